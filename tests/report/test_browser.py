"""The report in a real browser: Chromium, without a screen, driven by Selenium."""

import json
import shutil
import time

import pytest
from helpers.made_up_result import made_up_labels, made_up_result

pytest.importorskip("bokeh")
pytest.importorskip("selenium")

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from cytotrace2_lite.report import contents_of, report_bytes

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
if CHROMIUM is None or DRIVER is None:
    pytest.skip("Chromium or its driver is not installed", allow_module_level=True)

EVIL = (
    "<script>window.evil=1</script>",
    "</script><script>window.evil=2</script>",
    '"><img src="https://example.org/x" onerror="window.evil=3">',
    "$$\\href{javascript:window.evil=4}{x}$$",
    "\u202eright to left",
    "=1+1",
    "x" * 1_000_000,
)


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu",
                     "disable-background-networking", "window-size=1400,1600"):  # fmt: skip
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def show(browser, tmp_path):
    """Function that opens a report, and waits until all is drawn; checks what it asked for."""

    def call(contents):
        path = tmp_path / "report.html"
        path.write_bytes(report_bytes(contents))
        browser.get(path.as_uri())
        ready = "return document.documentElement.dataset.ready"
        WebDriverWait(browser, 30, 0.05).until(lambda b: b.execute_script(ready))
        return browser

    yield call
    asked = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [
        m["params"]["request"]["url"] for m in asked if m["method"] == "Network.requestWillBeSent"
    ]
    assert {url.partition(":")[0] for url in urls} <= {"file", "data", "blob"}
    assert len([url for url in urls if url.startswith("file")]) == 1
    messages = [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"]
    assert messages == []


def status(browser):
    return browser.find_element(By.ID, "status").text


def rows(browser):
    return browser.find_elements(By.CSS_SELECTOR, "#cells tbody tr")


def test_views_and_selection(show):
    result = made_up_result()
    labels = made_up_labels()
    browser = show(contents_of(result, labels=labels, embedding=result.embedding))
    for name in ("map", "histogram", "boxes"):
        size = browser.execute_script(
            "const e = document.getElementById(arguments[0]).firstElementChild;"
            "return [e.offsetWidth, e.offsetHeight]",
            name,
        )
        assert min(size) > 100, name
    assert status(browser) == "120 cells, none selected"
    # By the keyboard: a part of the composition.
    part = browser.find_element(By.CSS_SELECTOR, "#composition button")
    part.send_keys(Keys.ENTER)
    n = int(status(browser).split(" of ")[0])
    assert 0 < n < 120
    assert len(rows(browser)) == n
    assert browser.execute_script("return cytotrace2.map.source.selected.indices.length") == n
    csv = browser.execute_script("return cytotrace2.asCsv()").splitlines()
    assert len(csv) == n + 1
    assert csv[0].startswith("cell,CytoTRACE2_Score,CytoTRACE2_Relative,")
    # Escape takes it back.
    part.send_keys(Keys.ESCAPE)
    assert status(browser) == "120 cells, none selected"
    # On the map: what Bokeh selects is selected everywhere.
    browser.execute_script("cytotrace2.map.source.selected.indices = [3, 5]")
    assert [row.text.split()[0] for row in rows(browser)] == ["cell3", "cell5"]
    # A lasso by the mouse.
    plot = browser.find_element(By.ID, "map")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    drag = ActionChains(browser, duration=20).move_to_element_with_offset(plot, -150, -200)
    drag.click_and_hold()
    for step in ((300, 0), (0, 380), (-300, 0), (0, -370)):
        drag.move_by_offset(*step)
    drag.release().perform()
    WebDriverWait(browser, 5, 0.05).until(lambda b: not status(b).startswith("2 of"))
    assert 2 < int(status(browser).split(" of ")[0]) <= 120
    # Names, colours, groups, violins.
    browser.find_element(By.ID, "find").send_keys("cell7 cell9", Keys.ENTER)
    assert status(browser).startswith("2 of 120 cells")
    for place, value in (
        ("colour", "c1"),
        ("shape", "violins"),
        ("group", "0"),
        ("shape", "boxes"),
    ):
        browser.execute_script(
            "const e = document.getElementById(arguments[0]); e.value = arguments[1];"
            "e.dispatchEvent(new Event('change'))",
            *(place, value),
        )
    WebDriverWait(browser, 5, 0.05).until(
        lambda b: b.execute_script("return document.querySelector('#boxes > div').children.length")
    )
    assert browser.execute_script("return document.querySelectorAll('#boxes > *').length") == 1
    legend = browser.find_elements(By.CSS_SELECTOR, "#legend button")
    assert [button.text.split()[0] for button in legend] == ["mature", "middle", "stem"]
    legend[2].click()
    assert status(browser).startswith("40 of 120 cells")


def test_no_name_runs(show):
    cells = [*EVIL, *(f"c{k}" for k in range(113))]
    labels = [EVIL[k % len(EVIL)] for k in range(120)]
    result = made_up_result(cells=cells, input={"path": EVIL[2]})
    contents = contents_of(
        result, labels=labels, samples=labels, embedding=result.embedding,
        genes={EVIL[1]: [1.0] * 120},
        gene_table=[["group", "gene", "mean_share"], [EVIL[0], EVIL[1], "0.5"]],
    )  # fmt: skip
    browser = show(contents)
    browser.execute_script("cytotrace2.select(cytotrace2.where(() => true))")
    browser.execute_script(
        "for (const v of ['c1', 'c2', 'n4']) { const e = document.getElementById('colour');"
        "e.value = v; e.dispatchEvent(new Event('change')); }"
    )
    plot = browser.find_element(By.ID, "map")
    for across in range(-200, 200, 50):  # for the text at the pointer
        ActionChains(browser, duration=0).move_to_element_with_offset(plot, across, 0).perform()
    time.sleep(0.2)
    assert browser.execute_script("return window.evil") is None
    assert browser.find_elements(By.TAG_NAME, "img") == []
    assert len(browser.find_elements(By.TAG_NAME, "script")) == 4
    assert "\\u{202e}right" in rows(browser)[4].text
    csv = browser.execute_script("return cytotrace2.asCsv()")
    assert "\n'=1+1," in csv


@pytest.mark.slow
@pytest.mark.parametrize(("n_cells", "most"), [(3000, 2), (100_000, 3)])
def test_soon_drawn(show, browser, n_cells, most):
    """Seconds of the processor, as other programs may be at work."""
    browser.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    result = made_up_result(n_cells)
    show(contents_of(result, labels=made_up_labels(n_cells), embedding=result.embedding))
    metrics = browser.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    spent = {entry["name"]: entry["value"] for entry in metrics}["TaskDuration"]
    print(f"{n_cells:,} cells: {spent:.2f} s")
    assert spent < most
