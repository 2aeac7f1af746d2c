"""What `run` writes over several samples, besides the table of what became of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cytotrace2_lite.cli.progress import say
from cytotrace2_lite.errors import InputError, UsageError
from cytotrace2_lite.text import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cytotrace2_lite.cli.options import Dataset
    from cytotrace2_lite.cli.scoring import Wanted
    from cytotrace2_lite.cohort import Sample
    from cytotrace2_lite.output import joined

__all__ = ["Joined", "conditions_of_sheet"]


def conditions_of_sheet(
    samples: Sequence[Sample], dataset: Dataset, wanted: Wanted
) -> dict[str, str]:
    """Find the condition of each sample in a column of the sheet.

    Returns
    -------
    dict
        Sample to condition; empty where `--condition` is not there, or names another column, which
        --batch-key goes with.

    Raises
    ------
    UsageError
        There is no such column.
    InputError
        A sample has no condition, or all have the same, or there are warnings, and they are errors.
    """
    column = wanted.condition
    if column is None:
        return {}
    if column not in samples[0].conditions:
        if dataset.batch_key is None:
            raise UsageError(
                f"--condition compares samples: the sheet has no column {shown(column)}. Of "
                "samples in each table, name their column, too (--batch-key COLUMN)."
            )
        return {}
    import numpy as np

    from cytotrace2_lite.metadata.samples import Samples, condition_of_samples
    from cytotrace2_lite.output.composition import few_samples

    names = [one.name for one in samples]
    own = Samples(names, np.arange(len(names)), column)
    condition_of = condition_of_samples(
        [one.conditions[column] for one in samples], own, shown(column)
    )
    for finding in few_samples(condition_of):
        if dataset.options.strict:
            raise InputError(f"nothing is scored, as warnings are errors (--strict): {finding}")
        say(f"Warning: {finding}")
    return condition_of


class Joined:
    """Tables and a figure over the samples that have results.

    Parameters
    ----------
    folder, prefix
        Where they are written, and what their names begin with.
    wanted
        What is to be written.
    names
        Of the samples, in their order.
    condition_of
        Sample to condition; empty for no comparison.
    """

    def __init__(
        self,
        folder: Path,
        prefix: str,
        wanted: Wanted,
        names: Sequence[str],
        condition_of: Mapping[str, str],
    ) -> None:
        self._folder, self._prefix, self._wanted = folder, prefix, wanted
        self._names = names
        self._condition_of = condition_of
        self._datasets: dict[str, joined.Dataset] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._datasets

    def add(self, name: str, prefix: str) -> None:
        """Take the results of a sample from its files, whose names begin with the prefix."""
        from cytotrace2_lite.output.joined import read_dataset

        if not self._datasets:  # those of an earlier command are not of these results
            self._remove()
        found = self._datasets | {name: read_dataset(name, self._folder, prefix)}
        # On a cluster they end in any order.
        self._datasets = {one: found[one] for one in self._names if one in found}

    def write(self) -> None:
        """Write the tables, and the files for MultiQC, where a sample has results."""
        from cytotrace2_lite.output.joined import joined_tables
        from cytotrace2_lite.system.files import write_whole

        if not self._datasets:
            return
        files = joined_tables(list(self._datasets.values()), self._condition_of)
        if self._wanted.multiqc:
            files |= self._multiqc()
        write_whole({self._folder / (self._prefix + name): files[name] for name in files})

    def draw(self) -> bool:
        """Draw the samples side by side; tell whether that was possible."""
        from cytotrace2_lite.output.scores import model_label
        from cytotrace2_lite.plots import missing_packages, write_samples

        if not self._datasets or missing_packages(with_umap=False):
            return False
        groups = [
            (self._titled(name), one.scores)
            for name, one in self._datasets.items()
            if len(one.scores)
        ]
        if self._condition_of:  # beside each other
            order = sorted(self._condition_of, key=lambda name: self._condition_of[name])
            place = {self._titled(name): k for k, name in enumerate(order)}
            groups.sort(key=lambda group: place[group[0]])
        info = next(iter(self._datasets.values())).info
        problem = write_samples(
            groups,
            model_label(info),
            self._folder,
            plot_format=self._wanted.plot_format,
            prefix=self._prefix,
        )
        if problem is not None:
            say(f"Warning: {problem}")
        return problem is None

    def _titled(self, name: str) -> str:
        condition = self._condition_of.get(name)
        return f"{name} ({condition})" if condition else name

    def _multiqc(self) -> dict[str, bytes]:
        from cytotrace2_lite.output.multiqc import Row, multiqc_files, warnings_of
        from cytotrace2_lite.output.scores import model_label

        rows = [Row(name, one.n_cells[""], one.median) for name, one in self._datasets.items()]
        warnings = {name: warnings_of(one.info) for name, one in self._datasets.items()}
        info = next(iter(self._datasets.values())).info
        return multiqc_files(rows, warnings, model_label(info))

    def _remove(self) -> None:
        """Remove what an earlier command has left."""
        import contextlib

        from cytotrace2_lite.output.joined import JOINED_NAMES
        from cytotrace2_lite.output.multiqc import MULTIQC_NAMES
        from cytotrace2_lite.plots import remove_samples

        for name in (*JOINED_NAMES, *MULTIQC_NAMES):
            with contextlib.suppress(OSError):
                (self._folder / (self._prefix + name)).unlink()
        remove_samples(self._folder, self._prefix)
