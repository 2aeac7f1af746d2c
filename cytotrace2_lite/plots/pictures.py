"""Pictures of plots as the bytes of files, in matplotlib's default style, the same every time."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cytotrace2_lite.system.caches import prepare_caches

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure

__all__ = ["Picture", "drawn", "render", "tiled"]

_DPI = 300
_LARGE = 14  # inches
_GAP = 0.05  # inches between pictures, which have margins of their own


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
        Gives the content of the file. Unlike drawing, it may run in another thread. Of a PNG it is
        a `Picture`.
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
            return _painted(figure, dpi)
        content = io.BytesIO()
        options: dict[str, Any] = {"metadata": undated[plot_format]}
        figure.savefig(content, format=plot_format, dpi=dpi, **options)
    return content.getvalue


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture that is drawn and not packed yet; called, it gives the PNG.

    Attributes
    ----------
    image
        Its pixels, of the class `PIL.Image.Image`.
    dpi
        Pixels an inch.
    corner
        Where its first axes have their upper left corner, in pixels from that of the picture.
    """

    image: Any
    dpi: int
    corner: tuple[int, int]

    def __call__(self) -> bytes:
        """Pack it."""
        content = io.BytesIO()
        # zlib's Z_RLE: of pictures that are mostly white, the same bytes in less time.
        self.image.save(content, format="png", dpi=(self.dpi, self.dpi), compress_type=3)
        return content.getvalue()

    def small(self) -> Picture:
        """Give it with the pixels an inch of a large one, each the mean of four."""
        if self.dpi <= _DPI // 2:
            return self
        x, y = self.corner
        return Picture(self.image.reduce(2), self.dpi // 2, (x // 2, y // 2))


def tiled(pictures: Sequence[Picture], n_columns: int) -> Picture:
    """Put pictures side by side: first axes above one another begin at one line.

    Parameters
    ----------
    pictures
        Row by row, at least one; of one resolution.
    n_columns
        How many are side by side.

    Returns
    -------
    Picture
        On white.
    """
    from PIL import Image  # matplotlib needs it

    gap = round(_GAP * pictures[0].dpi)
    left = [max(one.corner[0] for one in pictures[k::n_columns]) for k in range(n_columns)]
    right = [
        max(one.image.width - one.corner[0] for one in pictures[k::n_columns])
        for k in range(n_columns)
    ]
    lines = [pictures[k : k + n_columns] for k in range(0, len(pictures), n_columns)]
    tops = [max(one.corner[1] for one in line) for line in lines]
    bottoms = [max(one.image.height - one.corner[1] for one in line) for line in lines]
    width = sum(left) + sum(right) + gap * (n_columns - 1)
    whole = Image.new("RGB", (width, sum(tops) + sum(bottoms) + gap * (len(lines) - 1)), "white")
    y = 0
    for line, top, bottom in zip(lines, tops, bottoms, strict=True):
        x = 0
        for one, before, after in zip(line, left, right, strict=False):
            whole.paste(one.image, (x + before - one.corner[0], y + top - one.corner[1]))
            x += before + after + gap
        y += top + bottom + gap
    return Picture(whole, pictures[0].dpi, (left[0], tops[0]))


def _painted(figure: Figure, dpi: int) -> Picture:
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    # Of a white ground, so that nothing is transparent: three colours are a quarter less.
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    del canvas.renderer  # pixels that figure and canvas would keep until memory is collected
    box = figure.axes[0].get_window_extent()
    return Picture(image, dpi, (round(box.x0), image.height - round(box.y1)))
