"""The studio for everybody: names, keys, contrast, narrow screens, both languages and themes; and calm errors."""

import re
from pathlib import Path

import pytest

STUDIO = Path(__file__).parents[2] / "src" / "lantu" / "server" / "studio"
PHONE = {"viewport": {"width": 390, "height": 844}}


def keys():
    """The words of each language, by the names that the page gives them."""
    text = (STUDIO / "words.js").read_text(encoding="utf-8")
    english, chinese = text.split("\n  zh: {\n")
    chinese = chinese.split("\n  },\n")[0]
    return [dict(re.findall(r'^    (\w+): "(.*)",$', part, re.M)) for part in (english, chinese)]


def test_both_languages_say_the_same_things():
    english, chinese = keys()
    assert list(english) == list(chinese)
    blanks = {name: [sorted(re.findall(r"\{(\w+)\}", words[name])) for words in (english, chinese)] for name in english}
    assert {name: found for name, found in blanks.items() if found[0] != found[1]} == {}


def test_all_words_of_the_page_are_there():
    html = (STUDIO / "index.html").read_text(encoding="utf-8")
    used = set(re.findall(r'data-say(?:-\w+)?="(\w+)"', html))
    assert used - set(keys()[0]) == set()


def test_nothing_comes_from_elsewhere_and_nothing_is_inline():
    for file in STUDIO.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, file.name
        assert "https://" not in text, file.name
    html = (STUDIO / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", html)


CONTROLS = "button, a, input, select, textarea, summary, canvas[tabindex], [role=gridcell]"
NAMELESS = """elements => elements.filter(element => {
    if (!element.checkVisibility()) return false;
    const labels = [...(element.labels ?? [])].map(label => label.textContent.trim()).join("");
    return !(element.getAttribute("aria-label") || labels || element.textContent.trim());
}).map(element => element.outerHTML)"""


@pytest.mark.slow
def test_every_control_has_a_name(visit, steered):
    studio = visit(steered)
    studio.draw("a cat", seed=1)
    studio.page.click("#board summary")
    for tool in ("look", "mark", "stamp"):
        studio.tool(tool)
        assert studio.find(CONTROLS).evaluate_all(NAMELESS) == []
    studio.page.click("[data-view-link=talk]")
    assert studio.find(CONTROLS).evaluate_all(NAMELESS) == []
    assert studio.find("img:not([alt])").count() == 0
    assert studio.find("#status").get_attribute("aria-live") == "polite"
    assert studio.find("#problem").get_attribute("role") == "alert"


@pytest.mark.slow
def test_the_tab_key_goes_through_the_page_in_its_order(visit, taught):
    studio = visit(taught)
    studio.draw("a cat", seed=1)
    studio.page.focus("h1 a")
    seen = []
    while seen.count("language") < 2 and len(seen) < 100:  # once around
        studio.page.keyboard.press("Tab")
        seen.append(studio.page.evaluate("(document.activeElement.dataset.row ? 'cell' : document.activeElement.id)"))
    wanted = [
        "language",
        "theme",
        "prompt",
        "seed",
        "go",
        "upload",
        "setting-guidance",
        "cell",
        "show-codes",
        "download",
    ]
    places = [seen.index(name) for name in wanted]
    assert places == sorted(places)
    assert seen.count("cell") == 1  # one stop for the whole sheet


CONTRAST = """element => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const rgb = (colours) => {
        canvas.fillStyle = "white";
        canvas.fillRect(0, 0, 1, 1);
        for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
        return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const light = (colours) => {
        const linear = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
        const [r, g, b] = rgb(colours).map((value) => linear(value / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = [];
    for (let at = element; at; at = at.parentElement) behind.unshift(getComputedStyle(at).backgroundColor);
    const [one, other] = [light([...behind, getComputedStyle(element).color]), light(behind)].sort((a, b) => b - a);
    return (one + 0.05) / (other + 0.05);
}"""


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_stand_out_from_their_ground(visit, taught, theme):
    studio = visit(taught, color_scheme=theme)
    texts = ["#empty p", "#examples button", ".upload .note", "#about", "nav a:not([aria-current])", "#language", "#go"]
    low = {text: studio.find(text).first.evaluate(CONTRAST) for text in texts}
    studio.draw("a cat", seed=1)
    for text in (
        "#panel-title",
        "#readout",
        "#status",
        "#plate span",
        "#download",
        "#caption",
        ".note",
        ".counts span",
    ):
        low[text] = studio.find(text).first.evaluate(CONTRAST)
    assert {text: ratio for text, ratio in low.items() if ratio < 4.5} == {}


@pytest.mark.slow
def test_the_theme_is_the_systems_until_it_is_switched(visit, taught):
    studio = visit(taught, color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = studio.page.evaluate(ground)
    studio.page.click("#theme")
    light = studio.page.evaluate(ground)
    assert light != dark
    studio.page.reload()
    assert studio.page.evaluate(ground) == light


@pytest.mark.slow
def test_the_language_is_the_browsers_until_it_is_switched(visit, taught):
    studio = visit(taught, locale="zh-CN")
    assert studio.text("#go") == "画"
    assert studio.page.evaluate("document.documentElement.lang") == "zh-Hans"
    studio.draw("一只猫", seed=1)
    assert "种子 1" in studio.text("#plate")
    studio.page.click("#language")
    assert studio.text("#go") == "Draw"
    assert "seed 1" in studio.text("#plate")  # what was said before is said anew
    studio.page.reload()
    studio.page.wait_for_selector("#go:has-text('Draw')")


@pytest.mark.slow
def test_a_phone_shows_all_without_scrolling_sideways(visit, taught):
    studio = visit(taught, **PHONE)
    wide = "document.documentElement.scrollWidth > innerWidth"
    assert not studio.page.evaluate(wide)
    studio.draw("a cat", seed=123456789)
    assert not studio.page.evaluate(wide)
    assert studio.find("#large .sheet").bounding_box()["width"] > 340
    studio.draw("a cat", seed=1, count=8)
    assert not studio.page.evaluate(wide)
    studio.page.click("[data-view-link=talk]")
    assert not studio.page.evaluate(wide)


@pytest.mark.slow
def test_who_wants_less_motion_gets_none(visit, taught):
    studio = visit(taught, reduced_motion="reduce")
    studio.draw("a cat", seed=1)
    assert studio.cell(0, 0).evaluate("cell => getComputedStyle(cell).transitionDuration") == "0s"


@pytest.mark.slow
def test_the_servers_word_is_shown_when_it_refuses(visit, taught):
    studio = visit(taught)
    studio.page.evaluate("document.getElementById('number-steps').max = 100000")
    studio.page.fill("#number-steps", "99999")
    studio.draw("a cat", seed=1)
    assert "steps" in studio.text("#problem-text")
    assert studio.find("#retry").is_hidden()


@pytest.mark.slow
def test_a_server_that_is_gone_is_told_and_tried_again(visit, tiny_model, serve):
    server = serve(tiny_model)
    try:
        studio = visit(server)
        server.stop()
        studio.draw("a cat", seed=1)
        assert "does not answer" in studio.text("#problem-text")
        again = serve(tiny_model, server.port)
        try:
            studio.page.click("#retry")
            studio.ready()
            assert studio.text("#panel-title") == "a cat"
            assert studio.find("#problem").is_hidden()
        finally:
            again.stop()
    finally:
        if server.process.poll() is None:
            server.stop()


@pytest.mark.slow
def test_a_key_is_asked_for_once_and_kept_for_the_tab(browser, guarded):
    page = browser.new_page()
    page.goto(guarded.url)
    page.wait_for_selector("#key-dialog[open]")
    page.fill("#key", "wrong")
    page.press("#key", "Enter")
    page.wait_for_selector("#key-wrong:not([hidden])")
    page.fill("#key", "open-sesame-0123456789abcdef")
    page.press("#key", "Enter")
    page.wait_for_selector("#about:not(:empty)")
    page.reload()
    page.wait_for_selector("#about:not(:empty)")
    assert not page.is_visible("#key-dialog")
    assert page.evaluate("Object.keys(localStorage).some(name => name.includes('key'))") is False
    page.close()
