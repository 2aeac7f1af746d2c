"""Pictures of plots as the bytes of files, in matplotlib's default style, the same every time."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from cytotrace2_lite.system.caches import prepare_caches

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

__all__ = ["drawn", "render"]

_DPI = 300
_LARGE = 14  # inches


def render(draw: Callable[[], Figure], plot_format: str) -> bytes:
    """Draw a plot in matplotlib's default style, whatever the user's is.

    Parameters
    ----------
    draw
        Draws it.
    plot_format
        As for `write_plots`.

    Returns
    -------
    bytes
        Content of the file; the same every time.
    """
    return drawn(draw, plot_format)()


def drawn(draw: Callable[[], Figure], plot_format: str) -> Callable[[], bytes]:
    """Draw a plot as `render` does, and leave the packing of a PNG for later.

    Parameters
    ----------
    draw, plot_format
        As for `render`.

    Returns
    -------
    callable
        Gives the content of the file. Unlike drawing, it may run in another thread.
    """
    prepare_caches()
    import matplotlib as mpl

    # Text stays text in PDF (Type 42), and looks the same in SVG where the font is missing. Sizes
    # are measured as texts are drawn: at another resolution, all texts are laid out twice.
    style = dict(mpl.rcParamsDefault)
    del style["backend"]
    style |= {"pdf.fonttype": 42, "svg.hashsalt": "cytotrace2_lite"}
    if plot_format == "png":
        style["figure.dpi"] = _DPI
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    from cytotrace2_lite.plots.notebook import unshown

    with mpl.rc_context(style), unshown():
        figure = draw()
        # A panel is so large that it is printed smaller.
        dpi = _DPI if max(figure.get_size_inches()) < _LARGE else _DPI // 2
        if plot_format == "png":
            return _pixels(figure, dpi)
        content = io.BytesIO()
        options: dict[str, Any] = {"metadata": undated[plot_format]}
        figure.savefig(content, format=plot_format, dpi=dpi, **options)
    return content.getvalue


def _pixels(figure: Figure, dpi: int) -> Callable[[], bytes]:
    """Draw the pixels of a picture; the function that is returned makes a PNG of them."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    # Of a white ground, so that nothing is transparent: three colours are a quarter less.
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")

    def png() -> bytes:
        content = io.BytesIO()
        # zlib's Z_RLE: of pictures that are mostly white, the same bytes in less time.
        picture.save(content, format="png", dpi=(dpi, dpi), compress_type=3)
        return content.getvalue()

    return png
