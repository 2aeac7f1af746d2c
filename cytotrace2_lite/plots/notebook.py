"""Figures that show themselves in notebooks, each once: at the end of the cell that made them.

A figure is no figure of pyplot, which is not imported: nothing is shown outside of notebooks, and
no window is opened. Axes or figure as the last expression of a cell are shown there, not again.
"""

from __future__ import annotations

import contextlib
import io
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["PlotAxes", "PlotFigure", "show_later", "unshown"]

_is_shown: ContextVar[bool] = ContextVar("is_shown", default=True)
# Figures that the cell that is running has made and not shown yet.
_waiting: list[PlotFigure] = []


class PlotFigure(Figure):
    """A figure that a notebook shows."""

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Give the picture; called where the figure is the last expression of a cell."""
        if self in _waiting:
            _waiting.remove(self)
        return {"image/png": self._png(), "text/plain": repr(self)}

    def _png(self) -> bytes:
        content = io.BytesIO()
        canvas = self.canvas
        FigureCanvasAgg(self).print_figure(content, format="png", bbox_inches="tight")
        self.set_canvas(canvas)
        return content.getvalue()


class PlotAxes(Axes):
    """Axes of a figure of their own, which a notebook shows."""

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """As the figure's, where the axes are the last expression of a cell."""
        bundle: dict[str, Any] = self.figure._repr_mimebundle_(**options)
        return bundle | {"text/plain": repr(self)}


@contextlib.contextmanager
def unshown() -> Generator[None, None, None]:
    """Show no figure that is made in this context, as it is written to a file."""
    token = _is_shown.set(False)
    try:
        yield
    finally:
        _is_shown.reset(token)


def show_later(figure: PlotFigure) -> None:
    """Show a figure at the end of the cell that is running; outside of notebooks nothing is done.

    Parameters
    ----------
    figure
        A complete figure.
    """
    shell = _notebook()
    if shell is None or not _is_shown.get():
        return
    with contextlib.suppress(ValueError):  # it is not registered yet
        shell.events.unregister("post_execute", _show_waiting)
    shell.events.register("post_execute", _show_waiting)
    _waiting.append(figure)


def _notebook() -> Any:
    """Give the shell of the notebook that runs this program; None in a script or a terminal."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell if hasattr(shell, "kernel") else None


def _show_waiting() -> None:
    from IPython.display import display

    while _waiting:
        display(_waiting[0])  # takes it off the list
