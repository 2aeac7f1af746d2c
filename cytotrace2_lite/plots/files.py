"""The files of the plots: drawing and writing them, and removing those of an earlier run.

A plot that cannot be drawn does not harm the results: what went wrong is told in warnings.
"""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from cytotrace2_lite.base.progress import Progress
from cytotrace2_lite.errors import CytoTRACE2Error, PlotWarning
from cytotrace2_lite.metadata.coordinates import embedding_table
from cytotrace2_lite.plots import umap
from cytotrace2_lite.plots._style import one_line
from cytotrace2_lite.plots.panels import draw_samples
from cytotrace2_lite.plots.pictures import Picture, drawn, render, tiled
from cytotrace2_lite.plots.plot import Plots
from cytotrace2_lite.plots.table import PLOTS, PlotSpec
from cytotrace2_lite.system.files import write_whole
from cytotrace2_lite.system.threads import thread_pool

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from concurrent.futures import Future

    from cytotrace2_lite.counts import Counts
    from cytotrace2_lite.metadata.coordinates import Embedding
    from cytotrace2_lite.metadata.samples import Samples
    from cytotrace2_lite.output.scores import Scores
    from cytotrace2_lite.plots.boxes import Group

__all__ = [
    "FORMATS",
    "REPORT_FILE",
    "UMAP_NAME",
    "missing_packages",
    "no_plots",
    "remove_plots",
    "remove_samples",
    "write_plots",
    "write_samples",
]

#: File formats of plots, which are also the extensions of the files.
FORMATS = ("png", "pdf", "svg")

#: Name of the file with the coordinates of a UMAP that was computed.
UMAP_NAME = "cytotrace2_umap.tsv"
#: Name of the report, which shows the cells, too.
REPORT_FILE = "cytotrace2_report.html"
_MOST_MESSAGES = 3
_SAMPLES = PLOTS[-1]


def missing_packages(*, with_umap: bool = True) -> list[str]:
    """List the packages that plots need and that are not installed; none is imported.

    Parameters
    ----------
    with_umap
        Whether a UMAP is to be computed.

    Returns
    -------
    list of str
        Names of packages, as pip knows them.
    """
    missing = [] if find_spec("matplotlib") is not None else ["matplotlib"]
    if with_umap and not umap.is_installed():
        missing.append(umap.PACKAGE)
    return missing


def no_plots(packages: Sequence[str]) -> str:
    """Say how to get the plots.

    Parameters
    ----------
    packages
        That are missing, as `missing_packages` gives them.

    Returns
    -------
    str
        A sentence or two.
    """
    return (
        f"No plots: they need {' and '.join(packages)}. Install with: "
        "pip install 'cytotrace2-lite[plot]'"
    )


def remove_plots(directory: str | os.PathLike[str], prefix: str = "") -> None:
    """Remove plots, UMAP and report of an earlier run, which do not show the results there now.

    Parameters
    ----------
    directory
        Where `write_plots` has written.
    prefix
        What the names of the files begin with.
    """
    paths = [_path(directory, spec, extension, prefix) for spec in PLOTS for extension in FORMATS]
    names = (UMAP_NAME, REPORT_FILE)
    for path in [*paths, *(Path(directory, prefix + name) for name in names)]:
        with contextlib.suppress(OSError):
            path.unlink()


def write_plots(
    result: Scores,
    counts: Counts,
    labels: Mapping[str, str] | None,
    directory: str | os.PathLike[str],
    *,
    threads: int = 1,
    plot_format: str = "png",
    prefix: str = "",
    samples: Samples | None = None,
    computed: Embedding | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> tuple[list[Path], list[PlotWarning]]:
    """Draw all plots and write them; what goes wrong is told in warnings, never raised.

    Parameters
    ----------
    result
        The scores. A UMAP is computed where its `embedding` is None, and its coordinates are
        written, too.
    counts
        Expression over the model's features, shape (n_cells, 14271), for the UMAP.
    labels
        Cell id to phenotype. Without, the plots that need them are not drawn.
    directory
        Where they are written. Files of these names are replaced.
    threads
        How many threads may compute the UMAP.
    plot_format
        One of `FORMATS`.
    prefix
        What the names of the files begin with.
    samples
        The sample of each cell. Without, they are not drawn side by side.
    computed
        The UMAP, where it was computed already.
    progress
        Called once a second during "embed", and before each plot of "draw".

    Returns
    -------
    paths : list of Path
        The plots, all of them whole.
    warnings : list of PlotWarning
        At most one for each of: cells that are left out, plots that are not drawn, plots that may
        not look right.
    """
    report = progress or (lambda _: None)
    specs = [
        spec
        for spec in PLOTS
        if spec.can_be_drawn(with_labels=bool(labels), with_samples=samples is not None)
    ]
    of_cell = None if samples is None else [samples.names[k] for k in samples.of_cell]
    files: dict[Path, bytes] = {}
    failures: dict[str, list[PlotSpec]] = {}  # by reason
    problems: list[PlotWarning] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        if result.embedding is None:
            try:
                if computed is None:
                    computed = umap.compute_umap(
                        counts, result.components, threads=threads, progress=report
                    )
                result = replace(result, embedding=computed)
            except Exception as error:  # noqa: BLE001 (no error of any kind may cost the results)
                failures[_reason(error)] = [spec for spec in specs if spec.needs_coordinates]
                specs = [spec for spec in specs if not spec.needs_coordinates]
            else:
                files[Path(directory, prefix + UMAP_NAME)] = embedding_table(result.cells, computed)
                some = umap.left_out(counts)
                problems += [] if some is None else [some]
        with thread_pool(1) as pool:
            packed: dict[PlotSpec, Future[bytes]] = {}
            parts: dict[str, Picture] = {}
            wanted = {method for spec in specs for method in spec.parts}
            for n_done, spec in enumerate(specs):
                report(Progress("draw", n_done, len(specs), "plots"))
                try:
                    content: Callable[[], bytes]
                    if spec.parts and parts.keys() >= set(spec.parts):
                        # Pixels need not be drawn again: that took as long as all other plots.
                        content = tiled([parts[method] for method in spec.parts], 2)
                    else:
                        content = drawn(
                            partial(spec.draw, Plots(result), labels, of_cell), plot_format
                        )
                    if isinstance(content, Picture) and spec.method in wanted:
                        parts[spec.method] = content.small()
                    # A picture is packed while the next one is drawn.
                    packed[spec] = pool.submit(content)
                except Exception as error:  # noqa: BLE001 (as above)
                    failures.setdefault(_reason(error), []).append(spec)
            contents = {spec: future.result() for spec, future in packed.items()}
        report(Progress("draw", len(specs), len(specs), "plots"))
    paths = {
        _path(directory, spec, plot_format, prefix): content for spec, content in contents.items()
    }
    if paths:
        try:
            write_whole(paths | files)
        except CytoTRACE2Error as error:
            failures.setdefault(_reason(error), []).extend(contents)
            paths = {}
    if failures:
        problems.append(_not_drawn(failures))
    if caught:
        problems.append(_may_look_wrong(str(entry.message) for entry in caught))
    return list(paths), problems


def write_samples(
    groups: Sequence[Group],
    model: str,
    directory: str | os.PathLike[str],
    *,
    plot_format: str = "png",
    prefix: str = "",
) -> PlotWarning | None:
    """Draw samples of several runs side by side; what goes wrong is told, never raised.

    Parameters
    ----------
    groups
        Name of each sample, and the scores of its cells, none missing.
    model
        As `Scores.model_label`.
    directory, plot_format, prefix
        As for `write_plots`.

    Returns
    -------
    PlotWarning or None
        What went wrong.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a character that the font lacks
            content = render(partial(draw_samples, groups, model), plot_format)
        write_whole({_path(directory, _SAMPLES, plot_format, prefix): content})
    except Exception as error:  # noqa: BLE001 (no error of any kind may cost the results)
        return _not_drawn({_reason(error): [_SAMPLES]})
    return None


def remove_samples(directory: str | os.PathLike[str], prefix: str = "") -> None:
    """Remove what `write_samples` has written in an earlier run."""
    for extension in FORMATS:
        with contextlib.suppress(OSError):
            _path(directory, _SAMPLES, extension, prefix).unlink()


def _path(directory: str | os.PathLike[str], spec: PlotSpec, plot_format: str, prefix: str) -> Path:
    return Path(directory, f"{prefix}{spec.file_name}.{plot_format}")


def _reason(error: Exception) -> str:
    """Say in a line what went wrong; of an error of another package its kind, too."""
    text = one_line(str(error))
    if isinstance(error, CytoTRACE2Error):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _not_drawn(failures: Mapping[str, list[PlotSpec]]) -> PlotWarning:
    reasons = "; ".join(
        f"{', '.join(spec.file_name for spec in specs)}: {reason}"
        for reason, specs in failures.items()
    )
    return PlotWarning(f"plots not drawn (the results are complete): {reasons}")


def _may_look_wrong(messages: Iterable[str]) -> PlotWarning:
    """Sum up warnings that were given while plots were drawn, such as of missing characters."""
    different = list(dict.fromkeys(map(one_line, messages)))
    return PlotWarning(f"plots may not look right: {'; '.join(different[:_MOST_MESSAGES])}")
