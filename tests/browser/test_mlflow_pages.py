"""What a person sees in the MLflow UI: the front at one click, and the report in the artifact frame."""

import json
import os
import time
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.support.ui import Select

from nas.records.front import front_of
from nas.reporting.style import FRONT_COLOUR, search_styles
from tests.browser.conftest import Browser, Plot, ShownSearch

pytestmark = pytest.mark.browser

both_sizes = pytest.mark.parametrize("shown", [30, 1000], indirect=True)
# Where to keep pictures of the pages, for the documentation.
PICTURES = os.environ.get("BROWSER_PICTURES")


def keep_picture(browser: Browser, name: str) -> None:
    if PICTURES:
        assistant = "[data-component-id='mlflow.assistant.chat_panel.close']"
        for close in browser.driver.find_elements("css selector", assistant):
            close.click()
        time.sleep(2)  # The page moves into the room of the panel beside it.
        browser.driver.save_screenshot(str(Path(PICTURES) / name))


def coloured_as_front(plot: Plot) -> set[tuple[float, float]]:
    return {(x, y) for x, y, colour, _ in plot.points if colour.lower() == FRONT_COLOUR}


@both_sizes
def test_one_click_on_the_experiment_page_shows_the_whole_front(browser: Browser, shown: ShownSearch) -> None:
    browser.open(shown.experiment_path)
    browser.click_link("Front")
    for axis in ("flops", "params"):
        plot = browser.plot_of(axis)
        assert plot.axes[1] == "val_accuracy"
        expected = {(float(getattr(record, axis)), record.val_accuracy) for record in shown.front}
        assert coloured_as_front(plot) == expected
        assert len(plot.points) == min(100, sum(record.trained and bool(record.epochs) for record in shown.records))
        assert {record.name for record in shown.front} <= {text for *_, text in plot.points}
    assert browser.errors() == []


@both_sizes
def test_one_click_shows_the_front_alone(browser: Browser, shown: ShownSearch) -> None:
    browser.open(shown.experiment_path)
    browser.click_link("front alone")
    plot = browser.plot_of("flops")
    assert {text for *_, text in plot.points} == {record.name for record in shown.front}
    assert browser.errors() == []


@both_sizes
def test_one_click_shows_compared_fronts_a_colour_for_each_search(browser: Browser, shown: ShownSearch) -> None:
    browser.open(shown.experiment_path)
    browser.click_link("Fronts compared")
    for axis in ("flops", "params"):
        plot = browser.plot_of(axis)
        found = {(x, y, colour.lower()) for x, y, colour, _ in plot.points}
        expected = {
            (float(getattr(record, axis)), record.point[0], style.colour)
            for search, style in zip(shown.compared, search_styles(3), strict=True)
            for record in front_of(search.records)
        }
        # The UI loads a hundred runs.
        assert found <= expected and len(found) >= min(len(expected), 95)
        assert {colour for *_, colour in found} == {style.colour for style in search_styles(3)}
    names = {text for *_, text in plot.points}
    assert all(any(name.startswith(search.name) for name in names) for search in shown.compared)
    assert browser.errors() == []


@both_sizes
def test_the_address_that_a_search_prints_opens_on_the_front(browser: Browser, shown: ShownSearch) -> None:
    browser.open(shown.front_path)
    plot = browser.plot_of("flops")
    assert len(coloured_as_front(plot)) == len({record.point for record in shown.front})
    keep_picture(browser, "mlflow_front.png")
    assert browser.errors() == []


@both_sizes
def test_the_report_works_in_the_artifact_frame_without_a_network(browser: Browser, shown: ShownSearch) -> None:
    browser.open(shown.experiment_path)
    browser.click_link("report")
    driver = browser.driver
    browser.wait(lambda driver: driver.find_elements("css selector", "iframe#html"), "no artifact frame")
    keep_report(browser)
    driver.switch_to.frame(driver.find_element("css selector", "iframe#html"))
    try:
        axis = "return document.getElementById('front')._fullLayout.xaxis"
        browser.wait(lambda driver: driver.execute_script(f"{axis}.type") == "log", "the figure is not drawn")
        front = driver.execute_script(
            """const plot = document.getElementById("front");
            return JSON.stringify(plot.data.filter(trace => trace.name == "front").map(trace => trace.customdata))"""
        )
        assert [set(numbers) for numbers in json.loads(front)] == [{record.number for record in shown.front}]

        driver.find_element("id", "log-axis").click()
        browser.wait(lambda driver: driver.execute_script(f"{axis}.type") == "linear", "the axis stays logarithmic")
        Select(driver.find_element("id", "x-axis")).select_by_value("params")
        browser.wait(
            lambda driver: "arameter" in driver.execute_script(f"{axis}.title.text"), "the axis shows no parameters"
        )
        hover_shows_the_architecture(browser, shown)
    finally:
        driver.switch_to.default_content()
    assert browser.errors() == []


def keep_report(browser: Browser) -> None:
    if PICTURES:
        frame = browser.driver.find_element("css selector", "iframe#html")
        browser.driver.switch_to.frame(frame)
        browser.wait(lambda driver: driver.execute_script("return !!document.getElementById('front')._fullLayout"), "")
        browser.driver.execute_script("document.getElementById('x-axis').scrollIntoView()")
        browser.driver.switch_to.default_content()
        keep_picture(browser, "mlflow_report.png")


def hover_shows_the_architecture(browser: Browser, shown: ShownSearch) -> None:
    """Moves the mouse onto the front's member of the highest cost; what floats beside it has to name its stages."""
    driver = browser.driver
    member = shown.front[-1]
    mark = driver.execute_script(
        "return [...document.querySelectorAll('#front path.point')].find(mark => mark.__data__.data === arguments[0])",
        member.number,
    )
    ActionChains(driver).move_to_element(mark).perform()
    hover = "return [...document.querySelectorAll('#front .hoverlayer text')].map(e => e.textContent).join(' ')"
    text = str(browser.wait(lambda driver: driver.execute_script(hover), "no hover text"))
    assert f"trial {member.number}" in text
    for stage in range(1, 5):
        assert f"stage {stage}: " in text
    ActionChains(driver).click().perform()
    browser.wait(
        lambda driver: driver.find_elements("css selector", f"#pins [data-trial='{member.number}']"), "nothing pinned"
    )
