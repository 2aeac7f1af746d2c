"""What the command line passes on of the findings about a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cytotrace2_lite.cli.progress import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from cytotrace2_lite.base.finding import Finding
    from cytotrace2_lite.cli.interrupt import InterruptibleReporter

__all__ = ["teller"]

# Notes of the check that are worth a line, and how it begins.
_NOTES = {
    "input": "Input",
    "matrix": "Note:",
    "coordinates": "Note:",
    "repeated_values": "Note:",
    "estimate": "It will take",
}


def teller(
    reporter: InterruptibleReporter, *, quiet: bool, sample: str = ""
) -> Callable[[list[Finding]], None]:
    """Give a function that says warnings, and the notes that are worth a line.

    Parameters
    ----------
    reporter
        Its line on the terminal is ended first.
    quiet
        Say warnings only; the notes are in the log, if there is one.
    sample
        Whose warnings they are, where there are several.

    Returns
    -------
    callable
        To be called with the findings, before anything is computed.
    """
    where = f"{sample}: " if sample else ""

    def tell(findings: list[Finding]) -> None:
        reporter.finish()
        for finding in findings:
            if finding.severity == "warning":
                say(f"Warning: {where}{finding}")
            elif finding.code in _NOTES:
                say(f"{_NOTES[finding.code]} {finding.what}.", quiet=quiet)

    return tell
