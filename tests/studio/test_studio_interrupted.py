"""What is refused, stopped or overtaken in the studio loses nothing and lands nowhere else."""

import contextlib
import io
import json

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow
CHAT, DRAW, INSTRUCT = "**/v1/chat/completions", "**/v1/lantu/draw", "**/v1/lantu/instruct"


def hold(studio, path):
    """Keep requests to a path waiting; ``released`` lets them go on."""
    waiting = []
    studio.page.route(path, lambda route: waiting.append(route))
    return waiting


def released(studio, waiting):
    for route in waiting:
        with contextlib.suppress(Exception):  # the page has given it up
            route.continue_()
    studio.page.wait_for_timeout(700)
    studio.ready()


def talk(studio, words):
    studio.page.fill("#talk-words", words)
    studio.page.press("#talk-words", "Enter")


def log(studio):
    return [turn.get_attribute("data-role") for turn in studio.find("#talk-log > li").all()]


def said(studio):
    return studio.find("#talk-log li[data-role=user] .words").all_text_contents()


def answered(route, words):
    event = {"choices": [{"delta": {"content": words}}]}
    route.fulfill(content_type="text/event-stream", body=f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n")


def test_a_message_before_the_answer_to_the_last_one_stays(visit, taught):
    studio = visit(taught)
    asked = []

    def answer(route):
        asked.append(route.request.post_data_json["messages"])
        if len(asked) > 1:  # the first one waits
            answered(route, "here it is")

    studio.page.route(CHAT, answer)
    studio.page.click("[data-view-link=talk]")
    talk(studio, "a cat")
    studio.page.wait_for_selector("#talk-log li:nth-child(2)")
    talk(studio, "no, a dog")
    studio.ready()
    assert said(studio) == ["a cat", "no, a dog"]
    assert log(studio) == ["user", "user", "assistant"]
    assert [message["role"] for message in asked[1]] == ["user", "user"]
    talk(studio, "thank you")
    studio.ready()
    assert log(studio) == ["user", "user", "assistant", "user", "assistant"]


def test_a_refused_message_comes_back_and_blocks_nothing(visit, taught):
    studio = visit(taught)

    def answer(route):
        if "dragon" in route.request.post_data:
            error = {"message": "the prompt was refused: reword it", "code": "moderation_blocked"}
            route.fulfill(status=400, json={"error": error})
        else:
            answered(route, "fine")

    studio.page.route(CHAT, answer)
    studio.draw("a cat", seed=1)
    studio.page.click("#discuss")
    studio.page.wait_for_selector("#talk-shown li")
    talk(studio, "a dragon")
    studio.ready()
    assert "reword it" in studio.text("#problem-text")
    assert log(studio) == []
    assert studio.find("#talk-words").input_value() == "a dragon"
    assert studio.find("#talk-shown li").count() == 1
    talk(studio, "a dog")
    studio.ready()
    assert log(studio) == ["user", "assistant"]
    assert studio.find("#problem").is_hidden()
    assert studio.find("#talk-shown li").count() == 0


def test_a_change_lands_on_its_own_picture_or_nowhere(visit, taught):
    studio = visit(taught)
    studio.draw("a cat", seed=5, count=2)
    studio.find("#variations button").nth(0).click()
    studio.page.wait_for_selector("#panel:not([hidden])")
    waiting = hold(studio, INSTRUCT)
    studio.page.fill("#instruction", "make it red")
    studio.page.press("#instruction", "Enter")
    studio.page.wait_for_timeout(300)
    studio.find("#siblings button").nth(2).click()
    released(studio, waiting)
    assert "seed 6" in studio.text("#plate")
    assert studio.find("#undo").is_disabled()
    assert studio.find("#earlier-list li").count() == 2

    waiting.clear()
    studio.page.press("#instruction", "Enter")
    studio.page.wait_for_timeout(300)
    studio.page.click("#back")
    released(studio, waiting)
    assert studio.find("#variations").is_visible()
    assert studio.find("#panel").is_hidden()

    studio.find("#variations button").nth(0).click()
    studio.page.wait_for_selector("#panel:not([hidden])")
    waiting.clear()
    studio.page.press("#instruction", "Enter")
    studio.page.wait_for_timeout(300)
    studio.page.click("#forget")
    released(studio, waiting)
    assert studio.find("#empty").is_visible()
    assert studio.find("#problem").is_hidden()
    assert studio.find("#earlier-list li").count() == 1


def test_a_variation_is_opened_while_the_others_are_drawn(visit, taught):
    studio = visit(taught)
    waiting = []
    studio.page.route(
        DRAW, lambda route: waiting.append(route) if route.request.post_data_json["seed"] == 6 else route.continue_()
    )
    studio.draw("a cat", seed=5, count=2, wait=False)
    studio.page.wait_for_selector("#variations button:enabled")
    studio.find("#variations button").nth(0).click()
    studio.page.wait_for_selector("#panel:not([hidden])")
    released(studio, waiting)
    assert studio.find("#earlier-list li").count() == 2


def file_of(kind, size):
    content = io.BytesIO()
    pixels = np.random.default_rng(0).integers(256, size=(size, size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(content, kind)
    return {"name": f"IMG.{kind}", "mimeType": f"image/{kind}", "buffer": content.getvalue()}


def test_photos_of_many_megapixels_are_opened(visit, taught):
    studio = visit(taught)
    asked = []

    def too_large(route):
        asked.append(route.request.url)
        route.fulfill(status=400, json={"error": {"message": "the picture is too large", "code": "invalid_image"}})

    studio.page.route("**/v1/lantu/read", too_large)
    for kind, times in (("jpeg", 0), ("png", 1)):
        studio.page.set_input_files("#upload", file_of(kind, 300))
        studio.page.wait_for_selector(f"#earlier-list li:nth-child({times + 1})")
        studio.ready()
        assert studio.find("#problem").is_hidden()
        assert studio.find("#panel").is_visible()
        assert len(asked) == times


@pytest.mark.parametrize("count", [1, 4])
def test_stopping_the_first_drawing_shows_the_examples_again(visit, taught, count):
    studio = visit(taught)
    hold(studio, DRAW)
    studio.draw("a cat", seed=1, count=count, wait=False)
    studio.page.wait_for_selector("#empty", state="hidden")
    studio.page.click("#stop")
    studio.page.wait_for_selector("#empty", state="visible")
    assert studio.find("#large").is_hidden()
    assert studio.find("#variations").is_hidden()
    assert studio.text("#status") == "Stopped."


def test_a_key_that_no_header_holds_is_asked_for_anew(browser, guarded):
    page = browser.new_page()
    page.add_init_script("Storage.prototype.setItem = () => { throw new Error('full') }")
    page.goto(guarded.url)
    for wrong in ("密钥", "open\u2011sesame"):
        page.wait_for_selector("#key-dialog[open]")
        page.fill("#key", wrong)
        page.press("#key", "Enter")
        page.wait_for_selector("#key-wrong:not([hidden])")
    page.fill("#key", "open-sesame-0123456789abcdef")
    page.press("#key", "Enter")
    page.wait_for_selector("#about:not(:empty)")  # although the browser stores nothing
    assert page.is_hidden("#problem")
    page.close()
