"""What `run` does with several datasets: one after the other, with one model and one table."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cytotrace2_lite.cli.cluster import in_threads, say_with
from cytotrace2_lite.cli.interrupt import InterruptibleReporter, interrupt
from cytotrace2_lite.cli.joined import Joined, conditions_of_sheet
from cytotrace2_lite.cli.progress import say
from cytotrace2_lite.cli.scoring import (
    Task,
    Wanted,
    draw,
    needs_plots,
    options_record,
    say_result,
    score,
)
from cytotrace2_lite.errors import CytoTRACE2Error, OutputError
from cytotrace2_lite.system.paths import expanded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from cytotrace2_lite.cli.options import Dataset
    from cytotrace2_lite.cluster import Cluster
    from cytotrace2_lite.cohort import Done, Sample
    from cytotrace2_lite.directory import Scored
    from cytotrace2_lite.models.ensemble import Ensemble
    from cytotrace2_lite.output.overview import SampleLine

__all__ = ["OUT_OF_MEMORY", "find_done", "run_samples", "samples_of", "task_of"]

#: What is said where there is not enough memory.
OUT_OF_MEMORY = "out of memory. Use a machine with more, or a smaller -bs/--batch-size."


def samples_of(dataset: Dataset) -> list[Sample]:
    """Give the samples that the command line or a sheet names.

    Raises
    ------
    CytoTRACE2Error
        The sheet cannot be used, or two names are alike.
    """
    from cytotrace2_lite.cohort import name_samples, read_sheet

    return name_samples(dataset.paths) if dataset.sheet is None else read_sheet(dataset.sheet)


def task_of(sample: Sample, dataset: Dataset, ensemble: Ensemble, prefix: str = "") -> Task:
    """Put together what a sample has of its own, and what the command says for all."""
    options = dataset.options
    labels = sample.annotation_path
    return Task(
        path=sample.path,
        annotation_path=dataset.annotation_path if labels is None else labels,
        batch_key=dataset.batch_key,
        options=replace(options, model=ensemble, species=sample.species or options.species),
        prefix=f"{prefix}{sample.file_name}_",
        sample=sample.name,
    )


def find_done(task: Task, wanted: Wanted, ensemble: Ensemble) -> Done | None:
    """Look for results that a run would only make again."""
    from cytotrace2_lite.cohort import done_before
    from cytotrace2_lite.output.multiqc import MULTIQC_NAMES

    folder = Path(expanded(wanted.output_dir))
    if wanted.multiqc and not (folder / (task.prefix + MULTIQC_NAMES[0])).is_file():
        return None
    return done_before(
        task.path,
        folder,
        task.options,
        options_record(task, wanted),
        model_sha256=ensemble.info.sha256,
        file_format=wanted.file_format,
        prefix=task.prefix,
        plots=needs_plots(task, wanted),
    )


def run_samples(
    dataset: Dataset,
    ensemble: Ensemble,
    wanted: Wanted,
    prefix: str,
    cluster: Cluster | None = None,
) -> int:
    """Score several datasets; an error of one of them does not end the others.

    Parameters
    ----------
    dataset
        The inputs, and the options for all.
    ensemble
        The model.
    wanted
        What is to be written.
    prefix
        What the names of all files begin with.
    cluster
        Scores the samples, several at a time; without one, this process does so one by one.

    Returns
    -------
    int
        0, or the exit code of the first sample that failed.

    Raises
    ------
    CytoTRACE2Error
        The sheet cannot be used, or nothing can be written to the directory.
    """
    from cytotrace2_lite.output.overview import OVERVIEW_NAME, SampleLine, overview
    from cytotrace2_lite.output.report import REPORT_NAME
    from cytotrace2_lite.output.tables import results_name
    from cytotrace2_lite.system.files import (
        check_replaceable,
        prepare_directory,
        refuse_to_replace,
        removed_on_error,
        write_whole,
    )

    samples = samples_of(dataset)
    tasks = [task_of(sample, dataset, ensemble, prefix) for sample in samples]
    lines = [SampleLine(one.name, one.path, one.conditions) for one in samples]
    folder = Path(expanded(wanted.output_dir))
    table = folder / f"{prefix}{OVERVIEW_NAME}"
    condition_of = conditions_of_sheet(samples, dataset, wanted)
    own = replace(wanted, multiqc=False)  # of each sample; MultiQC takes those over all
    if condition_of:
        own = replace(own, condition=None)
    joined = Joined(folder, prefix, wanted, [one.name for one in samples], condition_of)
    compared = wanted.condition if condition_of else None
    if others := [name for name in samples[0].conditions if name != compared]:
        kept = ", ".join(others)
        say(
            f"Note: columns of the sheet that are only kept in the table: {kept}.",
            quiet=wanted.quiet,
        )

    def keep() -> None:
        """Write the table, which a signal does not stop; then stop where one came."""
        n_complete = sum(line.status in {"done", "skipped"} for line in lines)
        interrupt.outcome = f": the results of {n_complete} of {len(lines)} samples are complete."
        interrupt.waits = True
        write_whole({table: overview(lines)})
        for line, task in zip(lines, tasks, strict=True):
            if line.status in {"done", "skipped"} and task.sample not in joined:
                joined.add(task.sample, task.prefix)
        interrupt.waits = False
        interrupt.stop_if_asked()

    def join() -> None:
        """Write the tables over all samples, which a signal does not stop."""
        interrupt.waits = True
        joined.write()
        interrupt.waits = False

    new = None if os.path.exists(folder) else folder  # noqa: PTH110
    with removed_on_error(new):
        prepare_directory(folder)
        names = (REPORT_NAME, results_name(wanted.file_format))
        targets = [table, *(folder / f"{task.prefix}{name}" for task in tasks for name in names)]
        paths = [path for task in tasks for path in (task.path, task.annotation_path)]
        refuse_to_replace([*paths, dataset.sheet, wanted.embedding], targets)
        check_replaceable([table])
        run = _Samples(tasks, own, ensemble, lines, keep)
        try:
            if cluster is None:
                for number in range(len(tasks)):
                    run.score(number)
            else:
                run.score_all(cluster)
        finally:  # of those that are complete, also after a signal
            join()
    if wanted.has_plots and not joined.draw() and wanted.require_plots:
        raise OutputError(
            f"{wanted.output_dir}: the results are complete, but the plot of the samples is not "
            "there (--require-plots)."
        )
    say(_summary(lines, str(table)), quiet=wanted.quiet)
    return next((line.exit_code for line in lines if line.exit_code), 0)


@dataclass(eq=False)
class _Samples:
    """The samples of a run, and the lines of their table.

    Attributes
    ----------
    keep
        Writes the table.
    """

    tasks: list[Task]
    wanted: Wanted
    ensemble: Ensemble
    lines: list[SampleLine]
    keep: Callable[[], None]

    def score(self, number: int) -> None:
        """Score a sample, note it, and draw its plots."""
        reporter = InterruptibleReporter(quiet=self.wanted.quiet)
        with self._noting_errors(number):
            outcome = self._outcome(number, reporter)
            self._note(number, outcome, reporter)

    def score_all(self, cluster: Cluster) -> None:
        """Score samples on a cluster, several at a time; draw the plots of one at a time."""
        # Lines of several samples would be in each other's way.
        reporter = InterruptibleReporter(quiet=True)
        say_with(cluster, None, quiet=self.wanted.quiet)

        def done(number: int, future: Future[Done | Scored]) -> None:
            with self._noting_errors(number):
                self._note(number, future.result(), reporter)

        in_threads(
            lambda number: self._outcome(number, InterruptibleReporter(quiet=True), cluster),
            range(len(self.tasks)),
            cluster,
            done,
        )

    def _outcome(
        self, number: int, reporter: InterruptibleReporter, cluster: Cluster | None = None
    ) -> Done | Scored:
        """Score a sample, unless that was done before."""
        task, wanted = self.tasks[number], self.wanted
        say(
            f"Sample {task.sample} ({number + 1} of {len(self.tasks)}): {task.path}",
            quiet=wanted.quiet,
        )
        done = find_done(task, wanted, self.ensemble) if wanted.skip_done else None
        if done is not None:
            return done
        with reporter:
            return score(task, wanted, reporter, options_record(task, wanted), cluster)

    def _note(self, number: int, outcome: Done | Scored, reporter: InterruptibleReporter) -> None:
        """Say and write what came out of a sample; draw its plots."""
        from cytotrace2_lite.cohort import Done
        from cytotrace2_lite.output.overview import figures

        task, wanted, line = self.tasks[number], self.wanted, self.lines[number]
        if isinstance(outcome, Done):
            say(
                f"Skipped {task.sample}: done before, with the same input, model, options and "
                f"version: {os.path.join(wanted.output_dir, outcome.results)}",  # noqa: PTH118
                quiet=wanted.quiet,
            )
            self.lines[number] = replace(line, status="skipped", exit_code=0, **outcome._asdict())
            self.keep()
            return
        self.lines[number] = replace(
            line,
            status="done",
            exit_code=0,
            figures=figures(outcome.result.info, outcome.result.score),
            results=f"{task.prefix}cytotrace2_results.{wanted.file_format}",
        )
        say_result(outcome, task, wanted)
        self.keep()
        if wanted.shows_cells:
            draw(outcome, task, wanted, reporter)

    @contextmanager
    def _noting_errors(self, number: int) -> Iterator[None]:
        """Note an error of a sample, which does not end the others."""
        try:
            yield
        except CytoTRACE2Error as error:
            _fail(self.lines, number, str(error), error.exit_code)
            self.keep()
        except MemoryError:
            _fail(self.lines, number, OUT_OF_MEMORY, 1)
            self.keep()


def _fail(lines: list[SampleLine], number: int, message: str, exit_code: int) -> None:
    lines[number] = replace(lines[number], status="failed", exit_code=exit_code, error=message)
    say(f"Error: {lines[number].sample}: {message}")


def _summary(lines: list[SampleLine], table: str) -> str:
    def named(status: str) -> list[str]:
        return [line.sample for line in lines if line.status == status]

    failed, skipped = named("failed"), named("skipped")
    parts = [f"{len(named('done'))} done"]
    parts += [f"{len(skipped)} done before"] if skipped else []
    parts += [f"{len(failed)} failed ({', '.join(failed)})"] if failed else []
    return f"{len(lines)} samples: {', '.join(parts)}\nTable of the samples: {table}"
