"""Pictures as bytes."""

import io
import threading

import pytest

pytest.importorskip("matplotlib")

from helpers.results import made_up
from PIL import Image

from cytotrace2_lite.plots import Plots
from cytotrace2_lite.plots.pictures import drawn, render


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
