"""Make the picture of the report: cells of the example, some of them selected.

    python docs/make_report_picture.py

Needs `pip install '.[plot,report]' selenium`, and Chromium with its driver. Run it after the report
has changed.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from make_pictures import ANNOTATION, PICTURES, ROOT, TABLE, say, small
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

PICTURE = "cytotrace2_report.png"
SIZE = (1400, 1400)  # pixels
SELECT = """
const between = document.getElementById("between");
between.elements.low.value = 0.25;
between.requestSubmit();
const colour = document.getElementById("colour");
colour.value = "c1"; // the label
colour.dispatchEvent(new Event("change"));
"""


def main() -> None:
    """Write the picture."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in (
        "headless=new",
        "no-sandbox",
        "hide-scrollbars",
        f"window-size={SIZE[0]},{SIZE[1]}",
    ):
        options.add_argument(f"--{argument}")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "tests").mkdir()
        shutil.copytree(ROOT / "tests/data", directory / "tests/data")
        say(directory, "run", TABLE, "-a", ANNOTATION, "-dpl", "--report")
        browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
        try:
            browser.get((directory / "cytotrace2_results/cytotrace2_report.html").as_uri())
            WebDriverWait(browser, 60).until(
                lambda b: b.execute_script("return document.documentElement.dataset.ready")
            )
            browser.execute_script(SELECT)
            time.sleep(1)
            browser.save_screenshot(str(directory / PICTURE))
        finally:
            browser.quit()
        (PICTURES / PICTURE).write_bytes(small(directory / PICTURE))


if __name__ == "__main__":
    main()
