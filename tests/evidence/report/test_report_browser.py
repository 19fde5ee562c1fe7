"""The report in a real browser, at a desk and on a phone: as a person meets it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_droplets import stage
from test_report_page import HOSTILE, NEWER, WHEELS, hostile

from stager.evidence.diff import compare, read
from stager.evidence.report import render_page

pytestmark = pytest.mark.tools

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
SIZES = {"desk": (1280, 900), "tablet": (768, 1024), "phone": (390, 844), "small phone": (320, 640)}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert program, "chromium is not installed"
    assert driver, "chromium-driver is not installed"
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with webdriver.Chrome(options=options, service=Service(driver)) as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One droplet, two droplets, and a slug with hostile names, as pages on disk."""
    place = tmp_path_factory.mktemp("pages")
    many = {f"pack-{number}": (f"1.{number}", {f"pack_{number}.py": b"x" * 700 * number}) for number in range(1, 40)}
    first = stage(place / "a", {"main.py": "1\n" * 3000}, {**WHEELS, **many}, env={"MODE": "slow"})
    second = stage(place / "b", {"main.py": "2\n" * 3000}, {**NEWER, **many}, env={"MODE": "fast"})
    sides = {"one": [first], "two": [first, second], "hostile": [second, hostile(place)]}
    found = {}
    for name, paths in sides.items():
        some = [read(str(path)) for path in paths]
        text = render_page(some[-1], compare(*some) if len(some) == 2 else None)
        found[name] = place / f"{name}.html"
        found[name].write_text(text, "utf-8")
    return found


def show(browser: Any, page: Path, size: str, *, scheme: str = "light", scripts: bool = True) -> None:
    """Open the page in a window of this size, the logs emptied before."""
    width, height = SIZES[size]
    phone = width < 500
    metrics = {"width": width, "height": height, "deviceScaleFactor": 2 if phone else 1, "mobile": phone}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(page.as_uri())


def requests(browser: Any) -> list[str]:
    """The addresses of everything the page asked for."""
    events = [json.loads(row["message"])["message"] for row in browser.get_log("performance")]
    return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["one", "two", "hostile"])
def test_it_fits_the_window_without_errors_or_requests(
    browser: Any, pages: dict[str, Path], name: str, size: str
) -> None:
    show(browser, pages[name], size)
    for details in browser.find_elements("css selector", "details"):
        browser.execute_script("arguments[0].open = true", details)
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    assert wide <= SIZES[size][0]
    over = browser.execute_script(
        "const edge = document.documentElement.clientWidth + 1;"
        "return [...document.querySelectorAll('main *:not(svg *), header *, nav *')].filter((one) =>"
        " !one.closest('.sr, .under > *') && one.getBoundingClientRect().right > edge &&"
        " getComputedStyle(one).display !== 'none')"
        ".map((one) => one.outerHTML.slice(0, 80))"
    )
    assert over == []
    assert browser.get_log("browser") == []
    others = [url for url in requests(browser) if url != pages[name].as_uri() and not url.startswith("data:")]
    assert others == []


@pytest.mark.parametrize("size", SIZES)
def test_the_treemap_is_seen_and_its_labels_stay_inside(browser: Any, pages: dict[str, Path], size: str) -> None:
    show(browser, pages["one"], size)
    maps = [one for one in browser.find_elements("css selector", ".treemap") if one.is_displayed()]
    assert len(maps) == 1
    box = maps[0].rect
    assert box["width"] > 0.8 * min(SIZES[size][0], 1120) - 40
    assert box["height"] > 250
    outside = browser.execute_script(
        "return [...arguments[0].querySelectorAll('svg.tile')].filter((tile) => {"
        " const room = tile.querySelector('rect').getBoundingClientRect();"
        " return [...tile.querySelectorAll(':scope > text')].some((text) =>"
        "  text.getBoundingClientRect().right > room.right + 1 || text.getBoundingClientRect().bottom > room.bottom + 2);"
        "}).map((tile) => tile.textContent)",
        maps[0],
    )
    assert outside == []
    labels = [text.text for text in maps[0].find_elements("css selector", "text")]
    assert any(label.startswith("alpha") for label in labels)
    small = browser.execute_script(
        "return Math.min(...[...arguments[0].querySelectorAll('text')].map((one) => one.getBoundingClientRect().height))",
        maps[0],
    )
    assert small >= 9


@pytest.mark.parametrize("size", ["desk", "phone"])
def test_the_search_filters_rows(browser: Any, pages: dict[str, Path], size: str) -> None:
    from selenium.webdriver.common.keys import Keys

    show(browser, pages["one"], size)
    query, count = browser.find_element("id", "query"), browser.find_element("id", "count")
    assert query.is_displayed()
    assert count.text == "41 packages"

    def seen() -> list[str]:
        script = (
            "return [...document.querySelectorAll('#package-table tbody tr')].filter((row) => row.offsetHeight > 0)"
            ".map((row) => row.querySelector('th bdi').textContent)"
        )
        return [str(name) for name in browser.execute_script(script)]

    assert len(seen()) == 41
    query.send_keys("PACK-1 1.1")
    assert seen() == ["pack-1", *(f"pack-{number}" for number in range(10, 20))]
    assert count.text == "11 of 41 packages"
    query.send_keys(" nothing")
    assert seen() == []
    assert browser.find_element("id", "none").is_displayed()
    query.send_keys(Keys.CONTROL, "a")
    query.send_keys(Keys.DELETE)
    assert len(seen()) == 41
    query.send_keys("pkg:pypi/alpha@")
    assert seen() == ["alpha"]
    assert browser.get_log("browser") == []


def test_without_javascript_it_is_a_plain_table(browser: Any, pages: dict[str, Path]) -> None:
    show(browser, pages["one"], "desk", scripts=False)
    assert not browser.find_element("id", "search").is_displayed()
    assert browser.find_element("id", "package-table").is_displayed()
    assert (
        len([one for one in browser.find_elements("css selector", "#package-table tbody tr") if one.is_displayed()])
        == 41
    )
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_keys_alone_reach_everything(browser: Any, pages: dict[str, Path]) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    show(browser, pages["two"], "desk")
    reached = []
    for _ in range(60):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        one = browser.switch_to.active_element
        if one.tag_name == "body":
            break
        reached.append((one.tag_name, one.get_attribute("class"), one.text))
        ring = browser.execute_script("return getComputedStyle(arguments[0]).outlineStyle", one)
        assert ring == "solid"
    assert reached[0] == ("a", "skip", "Skip to the report")
    kinds = [kind for kind, _, _ in reached]
    assert kinds.count("a") >= 7
    assert "summary" in kinds
    assert "input" in kinds


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2) of `rgb(r, g, b)`."""
    parts = [int(float(one)) / 255 for one in colour.partition("(")[2].rstrip(")").split(",")[:3]]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(browser: Any, pages: dict[str, Path], scheme: str) -> None:
    """Every text has a contrast of at least 4.5 to what it stands on (WCAG 2.2, 1.4.3)."""
    show(browser, pages["two"], "desk", scheme=scheme)
    pairs = browser.execute_script(
        "const ground = (one) => { for (; one; one = one.parentElement) {"
        "  const colour = getComputedStyle(one).backgroundColor; if (!colour.startsWith('rgba(0, 0, 0, 0')) return colour; }"
        " return 'rgb(255, 255, 255)'; };"
        "const html = [...document.querySelectorAll('body *:not(svg):not(svg *)')].filter((one) => one.offsetParent &&"
        "  [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));"
        "const tiles = [...document.querySelectorAll('.treemap.wide .tile > text')];"
        "return [...html.map((one) => [one.tagName + '.' + one.className, getComputedStyle(one).color, ground(one)]),"
        " ...tiles.map((one) => ['tile', getComputedStyle(one).fill,"
        "  getComputedStyle(one.parentElement.querySelector('rect')).fill])]"
    )
    assert len(pairs) > 100
    low = set()
    for name, ink, ground in pairs:
        bright, dark = sorted((luminance(ink), luminance(ground)), reverse=True)
        if (bright + 0.05) / (dark + 0.05) < 4.5:
            low.add((name, ink, ground))
    assert not low


def test_hostile_names_run_nothing(browser: Any, pages: dict[str, Path]) -> None:
    show(browser, pages["hostile"], "desk")
    from selenium.common.exceptions import NoAlertPresentException

    with pytest.raises(NoAlertPresentException):
        browser.switch_to.alert.accept()
    assert browser.execute_script("return document.querySelectorAll('img, main script').length") == 0
    files = [one.text for one in browser.find_elements("css selector", "#files th.path")]
    assert HOSTILE[0] in files
    assert len(files) == len(HOSTILE)


def test_motion_only_for_those_who_want_it(browser: Any, pages: dict[str, Path]) -> None:
    show(browser, pages["one"], "desk")
    for value, expected in (("reduce", "auto"), ("no-preference", "smooth")):
        features = [{"name": "prefers-reduced-motion", "value": value}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        assert browser.execute_script("return getComputedStyle(document.documentElement).scrollBehavior") == expected
