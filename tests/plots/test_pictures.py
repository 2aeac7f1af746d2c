"""Pictures as bytes."""

import io
import threading

import pytest

pytest.importorskip("matplotlib")

from helpers.results import made_up
from PIL import Image

from cytotrace2_lite.plots import Plots
from cytotrace2_lite.plots.pictures import Picture, drawn, render, tiled


def draw():
    return Plots(made_up(50)).potency_score().figure


def test_png():
    content = render(draw, "png")
    picture = Image.open(io.BytesIO(content))
    assert picture.mode == "RGB"
    assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    width, height = draw().get_size_inches()
    assert picture.size == pytest.approx((300 * width, 300 * height), abs=8)
    assert picture.getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("plot_format", ["png", "pdf", "svg"])
def test_it_may_be_packed_in_another_thread(plot_format):
    packed = drawn(draw, plot_format)
    contents = []
    thread = threading.Thread(target=lambda: contents.append(packed()))
    thread.start()
    thread.join()
    assert contents == [render(draw, plot_format)]


def rectangle(width, height, color, corner, dpi=150):
    return Picture(Image.new("RGB", (width, height), color), dpi, corner)


def test_tiles_begin_at_one_line():
    pictures = [
        rectangle(50, 30, "red", (10, 5)),
        rectangle(40, 40, "green", (5, 15)),
        rectangle(60, 20, "blue", (20, 5)),
    ]
    whole = tiled(pictures, 2)
    assert whole.corner == (20, 15)
    assert whole.dpi == 150
    gap = 8
    # Left column: from 20 before the axes to 40 after; right column 5 and 35.
    assert whole.image.size == (20 + 40 + gap + 5 + 35, 15 + 25 + gap + 20)
    at = whole.image.getpixel
    white, red, green, blue = (255, 255, 255), (255, 0, 0), (0, 128, 0), (0, 0, 255)
    assert [at((9, 10)), at((10, 10)), at((10, 9))] == [white, red, white]
    assert [at((67, 0)), at((68, 0)), at((107, 39))] == [white, green, green]
    assert [at((0, 47)), at((0, 48)), at((59, 67)), at((60, 67))] == [white, blue, blue, white]


@pytest.mark.parametrize(("dpi", "size"), [(300, (4, 3)), (150, (8, 6))])
def test_small(dpi, size):
    small = rectangle(8, 6, "red", (4, 2), dpi).small()
    assert (small.image.size, small.dpi) == (size, 150)
    assert small.corner == (size[0] // 2, size[1] // 3)
