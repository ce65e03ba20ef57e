"""Drawing in the studio: the blueprint fills, the picture comes, alone or side by side."""

import pytest

pytestmark = pytest.mark.slow


def test_the_blueprint_fills_cell_by_cell_and_the_picture_comes_out_of_it(visit, shipped):
    studio = visit(shipped, reduced_motion="no-preference")
    studio.page.evaluate(
        """() => {
            const count = (state) => document.querySelectorAll(`#large .cell[data-state=${state}]`).length;
            window.seen = [];
            new MutationObserver(() => seen.push([count("open"), count("inked"), count("shown")])).observe(
                document.getElementById("large-sheet"),
                { subtree: true, attributeFilter: ["data-state"] },
            );
        }"""
    )
    studio.draw("a cat on the left and a dog on the right", seed=7, wait=False)
    studio.page.wait_for_selector("#large .cell[data-state=shown]")
    assert studio.find("#large .cell[data-state=open]").count() > 0  # the picture shows before the blueprint is full
    studio.shot("half")
    studio.ready()
    seen = studio.page.evaluate("seen")
    opened = [open_ for open_, _, _ in seen]
    assert len(set(opened)) > 20  # cell by cell, and not all at once
    assert opened == sorted(opened, reverse=True)
    assert any(inked and shown and open_ for open_, inked, shown in seen)
    assert seen[-1] == [0, 0, 64]
    assert "Drawn in" in studio.text("#status")
    assert studio.text("#panel-title") == "a cat on the left and a dog on the right"
    assert "seed 7" in studio.text("#plate")


def test_a_seed_gives_the_picture_that_the_model_gives(visit, shipped):
    import lantu

    studio = visit(shipped)
    studio.draw("three apples", seed=11)
    assert studio.codes() == lantu.load(device="cpu").draw("three apples", seed=11).codes.tolist()
    first = studio.pixels()
    studio.draw("a rocket", seed=11)
    assert studio.pixels() != first
    studio.draw("three apples", seed=11)
    assert studio.pixels() == first


def test_chinese_is_drawn(visit, shipped):
    studio = visit(shipped)
    studio.draw("三个苹果", seed=3)
    studio.page.click("#caption")
    studio.page.wait_for_selector("#caption-text:not(:empty)")
    assert "apple" in studio.text("#caption-text")


def test_a_word_that_was_never_taught_is_told(visit, shipped):
    studio = visit(shipped)
    studio.draw("a catt", seed=3)
    assert "“catt” (cat" in studio.text("#notice")
    studio.draw("a cat", seed=3)
    assert studio.find("#notice").is_hidden()


def test_an_example_is_drawn_at_a_click(visit, taught):
    studio = visit(taught)
    examples = studio.find("#examples button").all_text_contents()
    assert any(text.isascii() for text in examples)
    assert any(not text.isascii() for text in examples)
    studio.find("#examples button").first.click()
    studio.ready()
    assert studio.text("#panel-title") == examples[0]


def test_enter_draws_and_shift_enter_does_not(visit, taught):
    studio = visit(taught)
    drawn = studio.requests("/draw")
    studio.page.fill("#prompt", "a cat")
    studio.page.press("#prompt", "Shift+Enter")
    assert studio.page.input_value("#prompt") == "a cat\n"
    assert not drawn
    studio.page.press("#prompt", "Enter")
    studio.page.wait_for_selector("#panel:not([hidden])")
    assert [body["prompt"] for body in drawn] == ["a cat"]


@pytest.mark.parametrize("count", [2, 4, 8])
def test_variations_stand_side_by_side(visit, shipped, count):
    studio = visit(shipped)
    studio.draw("a panda", seed=5, count=count)
    assert studio.find("#variations li").count() == count
    pictures = {studio.pixels(f"#variations li:nth-child({n})") for n in range(1, count + 1)}
    assert len(pictures) > 1
    boxes = [sheet.bounding_box() for sheet in studio.find("#variations .sheet").all()]
    assert boxes[0]["y"] == boxes[1]["y"]
    assert boxes[0]["x"] + boxes[0]["width"] < boxes[1]["x"]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 1280 for box in boxes)
    assert "seed 6" in studio.text("#variations li:nth-child(2)")


def test_a_variation_opens_large_and_leads_back(visit, taught):
    studio = visit(taught)
    studio.draw("a cat", seed=5, count=4)
    second = studio.pixels("#variations li:nth-child(2)")
    studio.find("#variations button").nth(1).click()
    studio.page.wait_for_selector("#panel:not([hidden])")
    assert studio.pixels() == second
    assert studio.page.evaluate("document.activeElement.id") == "panel-title"
    assert studio.find("#siblings [aria-current]").count() == 1
    studio.find("#siblings .thumb").nth(2).click()
    studio.page.wait_for_selector("#plate:has-text('seed 7')")
    studio.page.keyboard.press("Escape")
    assert studio.find("#variations").is_visible()
    assert studio.find("#variations button").nth(2).evaluate("button => button === document.activeElement")


def test_settings_are_sent_and_times_shown(visit, taught):
    studio = visit(taught)
    asked = studio.requests("/draw")
    studio.draw("a cat", seed=1)
    assert not {"guidance", "temperature", "steps"} & set(asked[0])
    studio.page.fill("#setting-steps", "3")
    assert studio.page.input_value("#number-steps") == "3"
    studio.page.fill("#number-guidance", "1.75")
    studio.draw("a cat", seed=1)
    assert {"steps": 3, "guidance": 1.75}.items() <= asked[1].items()
    assert "blueprint" in studio.text("#times")
    studio.page.click("#reset-settings")
    studio.draw("a cat", seed=1)
    assert asked[2] == asked[0]


def test_a_changed_setting_draws_again_with_the_same_seed_where_wished(visit, taught):
    studio = visit(taught)
    asked = studio.requests("/draw")
    studio.draw("a cat", seed=9)
    studio.page.fill("#number-steps", "4")
    studio.page.press("#number-steps", "Tab")
    studio.page.wait_for_timeout(200)
    assert len(asked) == 1
    studio.page.check("#live")
    studio.page.fill("#number-steps", "5")
    studio.page.press("#number-steps", "Tab")
    studio.page.wait_for_selector("body:not([data-busy])")
    studio.page.wait_for_timeout(200)
    assert [(body["seed"], body.get("steps")) for body in asked] == [(9, None), (9, 5)]


@pytest.mark.parametrize("way", ["Escape", "button"])
def test_stopping_breaks_the_request_off(visit, shipped, way):
    studio = visit(shipped, reduced_motion="no-preference")
    studio.draw("a rocket", seed=1)
    before = studio.pixels()
    studio.page.select_option("#pace", "slowly")
    aborted = []
    studio.page.on("requestfailed", lambda request: aborted.append(request.url))
    studio.draw("a house", seed=2, count=1, wait=False)
    studio.page.wait_for_selector("#large .cell[data-state=inked]")
    if way == "Escape":
        studio.page.keyboard.press("Escape")
    else:
        studio.page.click("#stop")
    studio.ready()
    assert studio.text("#status") == "Stopped."
    assert studio.find("#problem").is_hidden()
    studio.page.wait_for_selector("#large .sheet[data-done]")
    assert studio.pixels() == before  # what was there comes back


def test_a_new_drawing_takes_the_place_of_one_that_goes_on(visit, shipped):
    studio = visit(shipped, reduced_motion="no-preference")
    studio.page.select_option("#pace", "slowly")
    studio.draw("a house", seed=2, wait=False)
    studio.page.wait_for_selector("#large .cell[data-state=inked]")
    studio.page.select_option("#pace", "once")
    studio.draw("a rocket", seed=1)
    studio.page.wait_for_timeout(500)
    assert studio.text("#panel-title") == "a rocket"
    assert studio.find("#earlier-list li").count() == 1
    assert studio.find("#large .cell[data-state=shown]").count() == 64
