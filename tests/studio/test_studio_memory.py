"""What the browser remembers: pictures and the conversation, beyond a reload; and what it forgets."""

import pytest

pytestmark = pytest.mark.slow


def earlier(studio):
    return [button.get_attribute("aria-label") for button in studio.find("#earlier-list button").all()]


def test_pictures_survive_a_reload(visit, taught):
    studio = visit(taught)
    assert studio.find("#earlier").is_hidden()
    studio.draw("a cat", seed=1)
    first, codes = studio.pixels(), studio.codes()
    studio.draw("a dog", seed=2, count=2)
    studio.page.reload()
    studio.page.wait_for_selector("#earlier-list li:nth-child(3)")
    told = earlier(studio)
    assert told[2] == "Open: a cat, seed 1"
    assert sorted(told[:2]) == ["Open: a dog, seed 2", "Open: a dog, seed 3"]
    studio.find("#earlier-list button").nth(2).click()
    studio.page.wait_for_selector("#panel:not([hidden])")
    assert studio.codes() == codes
    assert studio.pixels() == first
    assert studio.text("#panel-title") == "a cat"


def test_versions_of_a_picture_are_kept_too(visit, taught):
    studio = visit(taught)
    studio.draw("a cat", seed=1)
    studio.tool("mark")
    studio.page.click("#mark-all")
    studio.page.fill("#redraw-prompt", "a dog")
    studio.page.press("#redraw-prompt", "Enter")
    studio.page.wait_for_selector("#earlier-list li:nth-child(2)")
    studio.page.reload()
    studio.page.wait_for_selector("#earlier-list li:nth-child(2)")
    assert earlier(studio)[0].startswith("Open: a cat → a dog")


def test_one_picture_is_forgotten_or_all_of_them(visit, taught):
    studio = visit(taught)
    for seed in (1, 2, 3):
        studio.draw("a cat", seed=seed)
    studio.page.click("#forget")
    studio.page.wait_for_selector("#empty", state="visible")
    assert [text.split(",")[1] for text in earlier(studio)] == [" seed 2", " seed 1"]
    studio.page.click("#forget-all")
    assert studio.text("#forget-all") == "Delete all 2 pictures?"
    assert len(earlier(studio)) == 2
    studio.page.click("#forget-all")
    studio.page.wait_for_selector("#earlier", state="hidden")
    studio.page.reload()
    studio.page.wait_for_selector("#about:not(:empty)")
    studio.page.wait_for_timeout(300)
    assert earlier(studio) == []


def say(studio, words):
    studio.page.fill("#talk-words", words)
    studio.page.press("#talk-words", "Enter")
    studio.ready()


def test_a_conversation_has_words_and_pictures(visit, shipped):
    studio = visit(shipped)
    asked = studio.requests("/chat/completions")
    studio.page.click("[data-view-link=talk]")
    say(studio, "three apples")
    studio.page.wait_for_selector("#talk-log li[data-role=assistant] img")
    studio.find("#talk-log li[data-role=assistant] button").click()
    studio.page.wait_for_selector("#panel:not([hidden])")
    assert studio.find("#draw").is_visible()
    studio.ready()
    studio.page.click("#discuss")
    studio.page.wait_for_selector("#talk-shown img")
    say(studio, "图里有什么？")
    parts = asked[1]["messages"][-1]["content"]
    assert [part["type"] for part in parts] == ["text", "image_url"]
    assert parts[1]["image_url"]["url"].startswith("data:image/png;base64,")
    assert "苹果" in studio.text("#talk-log li:last-child .words")
    assert studio.find("#talk-shown li").count() == 0


def test_a_conversation_survives_a_reload_and_is_sent_as_a_whole(visit, taught):
    studio = visit(taught)
    studio.page.click("[data-view-link=talk]")
    assert studio.find("#talk-lacks").is_hidden()
    say(studio, "a cat")
    assert studio.find("#talk-log li").count() == 2
    before = studio.text("#talk-log")
    studio.page.reload()
    studio.page.wait_for_selector("#talk-log li:nth-child(2)")
    assert studio.text("#talk-log") == before
    asked = studio.requests("/chat/completions")
    say(studio, "a dog")
    assert [turn["role"] for turn in asked[0]["messages"]] == ["user", "assistant", "user"]
    studio.page.click("#talk-clear")
    assert studio.find("#talk-log li").count() == 0
    studio.page.reload()
    studio.page.wait_for_selector("#about:not(:empty)")
    studio.page.wait_for_timeout(300)
    assert studio.find("#talk-log li").count() == 0


def test_a_model_that_has_not_learnt_to_talk_says_so_and_does_what_it_can(visit, untaught):
    studio = visit(untaught)
    studio.page.click("[data-view-link=talk]")
    assert "was not trained to chat" in studio.text("#talk-lacks")
    say(studio, "a cat")
    assert studio.find("#talk-log li[data-role=assistant] img").count() == 1


def test_a_picture_that_is_shown_can_be_taken_away(visit, taught):
    studio = visit(taught)
    studio.draw("a cat", seed=1)
    studio.page.click("#discuss")
    studio.page.wait_for_selector("#talk-shown li")
    studio.page.click("#talk-shown button")
    assert studio.find("#talk-shown li").count() == 0


def test_lines_are_drawn_that_the_picture_follows(visit, steered):
    studio = visit(steered)
    asked = studio.requests("/draw")
    studio.draw("a cat", seed=3)
    bare, codes = studio.pixels(), studio.codes()
    assert "control" not in asked[0]
    studio.page.click("#board summary")
    box = studio.find("#board-canvas").bounding_box()
    studio.page.mouse.move(box["x"] + 20, box["y"] + 20)
    studio.page.mouse.down()
    studio.page.mouse.move(box["x"] + 200, box["y"] + 150, steps=8)
    studio.page.mouse.up()
    studio.draw("a cat", seed=3)
    assert asked[1]["control"]["kind"] == "edges"
    assert asked[1]["control"]["scale"] == 1
    assert studio.codes() == codes  # it steers the decoder, not the blueprint
    assert studio.pixels() != bare
    studio.page.click("#board-undo")
    studio.draw("a cat", seed=3)
    assert studio.pixels() == bare
    studio.page.select_option("#board-kind", "layout")
    studio.page.focus("#board-canvas")
    studio.page.keyboard.press("Shift+ArrowRight")
    studio.draw("a cat", seed=3)
    assert asked[3]["control"]["kind"] == "layout"


def test_there_is_no_board_where_nothing_follows_it(visit, taught):
    assert visit(taught).find("#board").is_hidden()
