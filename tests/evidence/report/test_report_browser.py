"""The report in a real browser, at a desk and on a phone: as a person meets it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_droplets import stage
from test_report_page import DESCRIBED, HOSTILE, LOCKED, METADATA, NEWER, WHEELS, WHY, hostile

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
    described = stage(place / "c", LOCKED, DESCRIBED, metadata=METADATA)
    sides = {"one": [first], "two": [first, second], "hostile": [second, hostile(place)], "described": [described]}
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
@pytest.mark.parametrize("name", ["one", "two", "hostile", "described"])
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


def seen(browser: Any) -> list[str]:
    """The names of the packages that are shown, in their order."""
    script = (
        "return [...document.querySelectorAll('#package-table tbody')].filter((one) => one.offsetHeight > 0)"
        ".map((one) => one.querySelector('th bdi').textContent)"
    )
    return [str(name) for name in browser.execute_script(script)]


def press(browser: Any, *keys: str) -> Any:
    """Press keys, one after the other; the element that then has the focus."""
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser).send_keys(*keys).perform()
    return browser.switch_to.active_element


def tap(browser: Any, element: Any) -> None:
    """Touch an element in its middle, as a finger does; the browser makes a click of that, a moment later."""
    from selenium.webdriver.common.actions.action_builder import ActionBuilder
    from selenium.webdriver.common.actions.interaction import POINTER_TOUCH
    from selenium.webdriver.common.actions.pointer_input import PointerInput
    from selenium.webdriver.support.ui import WebDriverWait

    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
    browser.execute_script("clicked = false; addEventListener('click', () => { clicked = true; }, { once: true });")
    pointer: Any = PointerInput  # selenium says nothing of its types here
    actions: Any = ActionBuilder(browser, mouse=pointer(POINTER_TOUCH, "finger"))
    actions.pointer_action.move_to(element).pointer_down().pointer_up()
    actions.perform()
    WebDriverWait(browser, 10).until(lambda one: one.execute_script("return clicked"))


@pytest.mark.parametrize("size", ["desk", "phone"])
def test_the_search_filters_rows(browser: Any, pages: dict[str, Path], size: str) -> None:
    from selenium.webdriver.common.keys import Keys

    show(browser, pages["one"], size)
    query, count = browser.find_element("id", "query"), browser.find_element("id", "count")
    assert query.is_displayed()
    assert count.text == "41 packages"
    assert len(seen(browser)) == 41
    query.send_keys("PACK-1 1.1")
    assert seen(browser) == ["pack-1", *(f"pack-{number}" for number in range(10, 20))]
    assert count.text == "11 of 41 packages"
    query.send_keys(" nothing")
    assert seen(browser) == []
    assert browser.find_element("id", "none").is_displayed()
    query.send_keys(Keys.CONTROL, "a")
    query.send_keys(Keys.DELETE)
    assert len(seen(browser)) == 41
    query.send_keys("pkg:pypi/alpha@")
    assert seen(browser) == ["alpha"]
    query.send_keys(Keys.ENTER)
    assert seen(browser) == ["alpha"]
    assert browser.get_log("browser") == []


def test_choices_filter_rows_and_come_back(browser: Any, pages: dict[str, Path]) -> None:
    from selenium.webdriver.support.ui import Select

    show(browser, pages["described"], "phone")
    choices = {
        one.get_attribute("data-filter"): Select(one)
        for one in browser.find_elements("css selector", "select[data-filter]")
    }
    choices["licence"].select_by_value("MIT")
    assert seen(browser) == ["alpha", "omega"]
    choices["licence"].select_by_value("")
    assert seen(browser) == ["delta"]
    choices["reason"].select_by_value("asked")
    assert seen(browser) == []
    choices["licence"].select_by_value("*")
    assert seen(browser) == ["alpha", "gamma", "omega"]
    assert browser.find_element("id", "count").text == "3 of 5 packages"
    Select(browser.find_element("id", "order")).select_by_visible_text("Size")
    assert seen(browser) == ["alpha", "gamma", "omega"]
    tap(browser, browser.find_element("css selector", "#search button"))
    assert seen(browser) == ["alpha", "beta-tools", "delta", "gamma", "omega"]
    assert choices["reason"].first_selected_option.text == "all"


SORTED = {
    "Package": (["omega", "gamma", "delta", "beta-tools", "alpha"], ["alpha", "beta-tools", "delta", "gamma", "omega"]),
    "Version": (["gamma", "omega", "alpha", "beta-tools", "delta"], ["delta", "beta-tools", "alpha", "gamma", "omega"]),
    "Licence": (["gamma", "beta-tools", "alpha", "omega", "delta"], ["alpha", "omega", "beta-tools", "gamma", "delta"]),
    "Why": (["alpha", "gamma", "omega", "beta-tools", "delta"], ["beta-tools", "delta", "alpha", "gamma", "omega"]),
    "From": (["alpha", "beta-tools", "delta", "gamma", "omega"], ["alpha", "beta-tools", "delta", "gamma", "omega"]),
    "Size": (["delta", "alpha", "beta-tools", "gamma", "omega"], ["omega", "gamma", "beta-tools", "alpha", "delta"]),
}
"""Header → the order after it is pressed once, and twice; it begins sorted by name. Equal values keep the order of names."""


@pytest.mark.parametrize("name", SORTED)
def test_headers_sort(browser: Any, pages: dict[str, Path], name: str) -> None:
    """By touch and by key, and what is sorted by is said to programs that read the page aloud."""
    from selenium.webdriver.common.keys import Keys

    show(browser, pages["described"], "tablet")
    heads = {one.text.strip(): one for one in browser.find_elements("css selector", "#package-table thead th")}
    tap(browser, heads[name].find_element("css selector", "button"))
    assert seen(browser) == SORTED[name][0]
    falls = heads[name].get_attribute("aria-sort")
    assert falls == ("descending" if name in ("Package", "Size") else "ascending")
    browser.execute_script("arguments[0].focus()", heads[name].find_element("css selector", "button"))
    press(browser, Keys.ENTER)
    assert seen(browser) == SORTED[name][1]
    assert heads[name].get_attribute("aria-sort") == ("ascending" if falls == "descending" else "descending")
    assert len(browser.find_elements("css selector", "#package-table [aria-sort]")) == 1
    assert browser.execute_script("return document.getElementById('order').selectedOptions[0].text") == name


@pytest.mark.parametrize("size", ["desk", "phone"])
def test_rows_open_by_touch_and_by_keys(browser: Any, pages: dict[str, Path], size: str) -> None:
    from selenium.webdriver.common.keys import Keys

    show(browser, pages["described"], size)
    row = browser.find_element("css selector", "#package-table tbody[data-licence='BSD License']")
    button, more = row.find_element("css selector", "th button"), row.find_element("css selector", ".more")
    assert (more.is_displayed(), button.get_attribute("aria-expanded")) == (False, "false")
    assert button.get_attribute("aria-controls") == more.get_attribute("id")
    tap(browser, row.find_element("css selector", "td"))
    assert (more.is_displayed(), button.get_attribute("aria-expanded")) == (True, "true")
    assert WHY["beta-tools"] in more.text
    assert "pkg:pypi/beta-tools@2.0" in more.text
    browser.execute_script("arguments[0].focus()", button)
    press(browser, Keys.ENTER)
    assert not more.is_displayed()
    press(browser, Keys.SPACE)
    assert more.is_displayed()
    names = [press(browser, key).text for key in (Keys.ARROW_DOWN, Keys.ARROW_UP, Keys.END, Keys.ARROW_DOWN, Keys.HOME)]
    assert names == ["delta", "beta-tools", "omega", "omega", "alpha"]


@pytest.mark.parametrize("size", SIZES)
def test_the_treemap_by_keys_touch_and_mouse(browser: Any, pages: dict[str, Path], size: str) -> None:
    """One stop for Tab; arrows go from tile to tile; what is reached, touched or pointed at is named below."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    show(browser, pages["one"], size)
    tree = next(one for one in browser.find_elements("css selector", ".treemap") if one.is_displayed())
    named = browser.find_element("id", "seen")
    assert tree.get_attribute("role") == "tree"
    tiles = tree.find_elements("css selector", ".tile")
    titles = [tile.find_element("css selector", "title").get_attribute("textContent") for tile in tiles]
    levels = [int(tile.get_attribute("aria-level")) for tile in tiles]
    assert {tile.get_attribute("role") for tile in tiles} == {"treeitem"}
    assert [tile.accessible_name for tile in tiles[:5]] == titles[:5]
    assert levels[:2] == [1, 2]
    assert sum(tile.get_attribute("tabindex") == "0" for tile in tiles) == 1
    browser.execute_script("arguments[0].focus()", tiles[0])
    for key, at in (
        (Keys.ARROW_DOWN, 1),
        (Keys.ARROW_RIGHT, 2),
        (Keys.ARROW_UP, 1),
        (Keys.ARROW_LEFT, 0),
        (Keys.END, len(tiles) - 1),
        (Keys.HOME, 0),
    ):
        assert press(browser, key) == tiles[at]
        assert named.text == titles[at]
        assert [n for n, tile in enumerate(tiles) if tile.get_attribute("tabindex") == "0"] == [at]
    leaf = next(
        n for n, tile in enumerate(tiles) if "group" not in tile.get_attribute("class") and tile.rect["width"] > 20
    )
    tap(browser, tiles[leaf])
    assert named.text == titles[leaf]
    assert browser.switch_to.active_element == tiles[leaf]
    other = next(n for n, tile in enumerate(tiles) if n > leaf and tile.rect["width"] > 20 and tile.rect["height"] > 20)
    ActionChains(browser).move_to_element(tiles[other]).perform()
    assert named.text == titles[other]


def test_what_is_touched_is_large_enough(browser: Any, pages: dict[str, Path]) -> None:
    """At least 44 pixels high where the pointer is a finger (WCAG 2.2, 2.5.5), and nothing is told by hovering alone."""
    show(browser, pages["described"], "phone")
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    show(browser, pages["described"], "phone")
    small = browser.execute_script(
        "return [...document.querySelectorAll('main button, summary, select, input, nav a')]"
        ".filter((one) => one.offsetHeight && one.offsetHeight < 43.5).map((one) => one.outerHTML + one.offsetHeight)"
    )
    coarse = browser.execute_script("return matchMedia('(pointer: coarse)').matches")
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    assert coarse
    assert small == []
    assert browser.find_elements("css selector", "main [title]") == []


def test_without_javascript_it_is_a_plain_table(browser: Any, pages: dict[str, Path]) -> None:
    """All that a row hides is then shown."""
    show(browser, pages["described"], "desk", scripts=False)
    assert not browser.find_element("id", "search").is_displayed()
    assert (
        len([one for one in browser.find_elements("css selector", "#package-table tbody tr") if one.is_displayed()])
        == 10
    )
    assert WHY["delta"] in browser.find_element("id", "package-table").text
    assert browser.find_elements("css selector", "main button:not(#search *)") == []
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_keys_alone_reach_everything(browser: Any, pages: dict[str, Path]) -> None:
    from selenium.webdriver.common.keys import Keys

    show(browser, pages["two"], "desk")
    reached = []
    for _ in range(120):
        one = press(browser, Keys.TAB)
        if one.tag_name == "body":
            break
        reached.append((one.tag_name, one.get_attribute("class"), one.text))
        ring = browser.execute_script(
            "const style = getComputedStyle(arguments[0].querySelector('rect') ?? arguments[0]);"
            "return style.outlineStyle === 'solid' || style.strokeWidth === '6px'",
            one,
        )
        assert ring
    assert reached[0] == ("a", "skip", "Skip to the report")
    kinds = [kind for kind, _, _ in reached]
    assert kinds.count("a") >= 7
    assert kinds.count("svg") == 1
    assert kinds.count("select") == 4
    assert "summary" in kinds
    assert "input" in kinds
    buttons = [text for kind, _, text in reached if kind == "button"]
    assert buttons[:7] == ["Show all", "Package", "Version", "Licence", "Why", "From", "Size"]
    assert buttons[7:9] == ["alpha", "beta-tools"]
    assert len(buttons) == 7 + 41


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
