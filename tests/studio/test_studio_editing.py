"""Looking at a picture and changing it: cells, marks, stamps, instructions; there and back."""

import io
import json

import numpy as np
import pytest
from PIL import Image

import lantu

pytestmark = pytest.mark.slow


def drag(studio, first, last):
    """From one cell to another with the mouse button held."""
    start, end = (studio.cell(*place).bounding_box() for place in (first, last))
    mouse = studio.page.mouse
    mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
    mouse.down()
    mouse.move(end["x"] + end["width"] / 2, end["y"] + end["height"] / 2, steps=10)
    mouse.up()


def marked(studio):
    return studio.find("#large .cell[aria-selected=true]").count()


def test_a_cell_tells_its_code_and_place(visit, shipped):
    studio = visit(shipped)
    studio.draw("a rocket", seed=4)
    codes = studio.codes()
    studio.cell(3, 4).hover()
    assert studio.text("#readout") == f"Row 4, column 5: code {codes[3][4]}"
    studio.cell(0, 0).focus()
    studio.page.keyboard.press("ArrowRight")
    studio.page.keyboard.press("ArrowDown")
    assert studio.text("#readout") == f"Row 2, column 2: code {codes[1][1]}"
    studio.page.keyboard.press("End")
    assert studio.text("#readout") == f"Row 2, column 8: code {codes[1][7]}"
    focused = studio.page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert focused == f"Row 2, column 8, code {codes[1][7]}"
    assert studio.find("#large .cell[tabindex='0']").count() == 1


def test_blueprint_and_pixels_can_be_shown(visit, taught):
    studio = visit(taught)
    studio.draw("a cat", seed=4)
    colour = "cell => getComputedStyle(cell).color"
    hidden, smooth = studio.cell(0, 0).evaluate(colour), studio.pixels()
    studio.page.check("#show-codes")
    assert studio.cell(0, 0).evaluate(colour) != hidden
    studio.page.check("#show-pixels")
    assert studio.pixels() != smooth


def test_marked_cells_are_drawn_anew_and_the_others_stay(visit, taught):
    studio = visit(taught)
    asked = studio.requests("/redraw")
    studio.draw("a cat", seed=4)
    before, picture = studio.codes(), studio.pixels()
    studio.tool("mark")
    assert studio.find("#redraw button[type=submit]").is_disabled()
    drag(studio, (0, 0), (0, 2))
    drag(studio, (1, 2), (1, 2))
    assert marked(studio) == 4
    assert "4 marked" in studio.text("#tool-note")
    studio.page.fill("#redraw-prompt", "a dog")
    studio.shot("marked")
    studio.page.press("#redraw-prompt", "Enter")
    studio.page.wait_for_selector("#undo:enabled")
    studio.ready()
    after, cells = studio.codes(), [[0, 0], [0, 1], [0, 2], [1, 2]]
    assert sorted(asked[0]["cells"]) == cells
    assert (asked[0]["prompt"], asked[0]["codes"]) == ("a dog", before)
    changed = np.argwhere(np.array(before) != np.array(after)).tolist()
    assert changed
    assert all(place in cells for place in changed)
    assert studio.pixels() != picture
    assert studio.text("#panel-title") == "a cat → a dog"

    studio.undo()
    assert studio.codes() == before
    assert studio.pixels() == picture
    studio.page.keyboard.press("Control+Shift+Z")
    studio.page.wait_for_selector("#redo:disabled")
    assert studio.codes() == after
    studio.page.keyboard.press("Control+Z")
    studio.page.wait_for_selector("#undo:disabled")
    assert studio.codes() == before


def test_cells_are_marked_by_keyboard(visit, taught):
    studio = visit(taught)
    studio.draw("a cat", seed=4)
    studio.tool("mark")
    studio.cell(0, 0).focus()
    studio.page.keyboard.press("Space")
    studio.page.keyboard.press("Shift+ArrowRight")
    studio.page.keyboard.press("Shift+ArrowDown")
    assert marked(studio) == 3
    studio.page.keyboard.press("Enter")
    assert marked(studio) == 2
    studio.page.keyboard.press("Escape")
    assert marked(studio) == 0
    studio.page.click("#mark-all")
    assert marked(studio) == 16


def test_cells_are_marked_by_finger(visit, taught):
    studio = visit(taught, has_touch=True, viewport={"width": 390, "height": 844})
    studio.draw("a cat", seed=4)
    studio.tool("mark")
    studio.cell(1, 1).tap()
    assert marked(studio) == 1
    assert studio.find("#large .cells").evaluate("grid => getComputedStyle(grid).touchAction") == "none"


def test_a_code_is_stamped_elsewhere(visit, shipped):
    studio = visit(shipped)
    studio.draw("a cat on the left and a dog on the right", seed=7)
    codes, picture = studio.codes(), studio.pixels()
    studio.tool("stamp")
    studio.cell(3, 5).click()
    assert f"Code {codes[3][5]}" in studio.text("#tool-note")
    assert studio.codes() == codes  # the first only takes it
    drag(studio, (0, 1), (0, 3))
    studio.page.wait_for_selector("#undo:enabled")
    studio.ready()
    wanted = [list(row) for row in codes]
    wanted[0][1:4] = [codes[3][5]] * 3
    assert studio.codes() == wanted
    assert studio.pixels() != picture
    told = shipped.post("/v1/lantu/render", {"codes": wanted, "seed": 7})
    assert studio.codes() == told["codes"]
    studio.undo()
    assert studio.codes() == codes


def test_the_slider_shows_what_was_before(visit, taught):
    studio = visit(taught)
    studio.draw("a cat", seed=4)
    before = studio.pixels()
    assert studio.find("#compare-line").is_hidden()
    studio.tool("stamp")
    codes = np.array(studio.codes())
    row, column = np.argwhere(codes != codes[0, 0])[0].tolist()
    studio.cell(0, 0).click()
    studio.cell(row, column).click()
    studio.page.wait_for_selector("#compare-line:not([hidden])")
    studio.ready()
    after = studio.pixels()
    studio.page.fill("#compare", "100")
    assert studio.pixels() == before
    studio.page.fill("#compare", "50")
    assert studio.pixels() not in (before, after)
    studio.shot("half")
    studio.page.focus("#compare")
    studio.page.keyboard.press("Home")
    assert studio.pixels() == after


def test_an_instruction_changes_the_picture(visit, taught, tiny_model):
    model = lantu.load(tiny_model, device="cpu")
    studio = visit(taught)
    studio.draw("a cat", seed=4)
    before = studio.codes()
    drawn = model.edit(model.render(np.array(before)), "a dog on the left", seed=5)
    studio.page.fill("#seed", "5")
    studio.page.fill("#instruction", "a dog on the left")
    studio.page.press("#instruction", "Enter")
    studio.page.wait_for_selector("#undo:enabled")
    studio.ready()
    assert studio.codes() == drawn.codes.tolist()
    assert studio.text("#panel-title") == "a cat → a dog on the left"
    studio.undo()
    assert studio.codes() == before


def test_what_a_model_has_not_learnt_is_there_with_the_reason(visit, untaught):
    studio = visit(untaught)
    studio.draw("a cat", seed=4)
    assert studio.find("#instruction").is_disabled()
    assert "was not trained to follow instructions" in studio.text("#instruct [data-lacks]")
    studio.tool("mark")
    studio.page.click("#mark-all")
    assert studio.find("#redraw-prompt").is_disabled()
    assert studio.find("#redraw button[type=submit]").is_disabled()
    assert "was not trained to fill in" in studio.text("#redraw [data-lacks]")


def test_a_picture_is_downloaded_with_what_it_tells(visit, taught, tmp_path):
    from lantu.images.metadata import read_picture

    studio = visit(taught)
    studio.draw("a cat, and 一只狗!", seed=4)
    with studio.page.expect_download() as download:
        studio.page.click("#download")
    assert download.value.suggested_filename == "lantu-a-cat-and-一只狗-4.png"
    download.value.save_as(tmp_path / "cat.png")
    told = read_picture(tmp_path / "cat.png")
    assert (told.prompt, told.seed, told.codes.tolist()) == ("a cat, and 一只狗!", 4, studio.codes())


def test_settings_of_a_picture_are_used_again(visit, taught):
    studio = visit(taught)
    studio.page.fill("#number-steps", "3")
    studio.draw("a cat", seed=4)
    first = studio.pixels()
    studio.page.click("#reset-settings")
    studio.draw("a dog", seed=5)
    studio.find("#earlier-list button").nth(1).click()
    studio.page.wait_for_selector("#plate:has-text('seed 4')")
    studio.page.click("#reuse")
    assert studio.page.input_value("#prompt") == "a cat"
    assert studio.page.input_value("#seed") == "4"
    assert studio.page.input_value("#number-steps") == "3"
    studio.page.click("#go")
    studio.ready()
    assert studio.pixels() == first


def picture_file(size=(300, 200), colour="teal"):
    data = io.BytesIO()
    Image.new("RGB", size, colour).save(data, "PNG")
    return {"name": "some.png", "mimeType": "image/png", "buffer": data.getvalue()}


def drop(studio, file):
    """A file is dropped on the page, as a browser tells of it."""
    studio.page.evaluate(
        """([name, type, bytes]) => {
            const files = new DataTransfer();
            files.items.add(new File([new Uint8Array(bytes)], name, { type }));
            for (const event of ["dragover", "drop"]) {
                const told = new DragEvent(event, { dataTransfer: files, bubbles: true, cancelable: true });
                document.body.dispatchEvent(told);
            }
        }""",
        [file["name"], file["mimeType"], list(file["buffer"])],
    )


def test_an_opened_picture_is_read_into_codes_and_rendered_from_them(visit, shipped):
    studio = visit(shipped)
    asked = studio.requests("/render")
    studio.find("#upload").set_input_files([picture_file()])
    studio.page.wait_for_selector("#panel:not([hidden])")
    studio.ready()
    assert asked[0]["codes"] == studio.codes()
    assert "Converted to 64 codes" in studio.text("#status")
    assert studio.text("#panel-title") == "Opened picture"
    after = studio.pixels()
    studio.page.fill("#compare", "100")
    assert studio.pixels() != after
    pixel = "canvas => [...canvas.getContext('2d').getImageData(9, 9, 1, 1).data]"
    assert studio.find("#large canvas").evaluate(pixel) == [0, 128, 128, 255]  # the original


def test_a_dropped_picture_of_ours_brings_everything_back(visit, taught, tmp_path):
    model = lantu.load(taught.model, device="cpu")
    picture = model.draw("a cat, long ago", seed=42, steps=3)
    lantu.images.metadata.save_picture(picture, tmp_path / "old.png")
    studio = visit(taught)
    file = {"name": "old.png", "mimeType": "image/png", "buffer": (tmp_path / "old.png").read_bytes()}
    drop(studio, file)
    studio.page.wait_for_selector("#panel:not([hidden])")
    studio.ready()
    assert studio.codes() == picture.codes.tolist()
    assert studio.page.input_value("#prompt") == "a cat, long ago"
    assert studio.page.input_value("#seed") == "42"
    assert studio.page.input_value("#number-steps") == "3"
    assert studio.text("#panel-title") == "a cat, long ago"
    opened = studio.pixels()
    studio.page.click("#go")
    studio.ready()
    assert studio.pixels() == opened  # drawn again, it is the same


def test_a_file_that_is_no_picture_is_refused_calmly(visit, taught):
    studio = visit(taught)
    drop(studio, {"name": "some.png", "mimeType": "image/png", "buffer": b"no picture"})
    studio.page.wait_for_selector("#problem:not([hidden])")
    assert studio.text("#problem-text")
    assert studio.find("#retry").is_hidden()  # it would not help
    studio.draw("a cat", seed=1)
    assert studio.find("#problem").is_hidden()


def test_codes_of_a_caption_are_those_on_the_sheet(visit, shipped):
    studio = visit(shipped)
    asked = studio.requests("/caption")
    studio.draw("a cat on the left and a dog on the right", seed=7)
    studio.page.click("#caption")
    studio.page.wait_for_selector("#caption-text:not(:empty)")
    assert json.dumps(asked[0]["codes"]) == json.dumps(studio.codes())
    assert "cat" in studio.text("#caption-text")
