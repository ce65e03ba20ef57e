"""Which cells a box or a mask touches, what changes around them, and what a model makes of them."""

import warnings

import numpy as np
import pytest
from PIL import Image

import lantu
from lantu.engine.drafting import draft
from lantu.errors import ImageError, LantuError, PromptError
from lantu.tasks import masks
from lantu.tasks.chat import chat
from lantu.tasks.draw import draw
from lantu.tasks.edit import changed
from lantu.tasks.run import run_one
from lantu.tokens import document
from lantu.types import Picture

SIZE = (32, 32)


@pytest.fixture(scope="module")
def model(tiny_model):
    return lantu.load(tiny_model, device="cpu")


@pytest.fixture(scope="module")
def picture(model):
    return model.draw("a cat", seed=1)


def marked(holes):
    return sorted(zip(*map(np.ndarray.tolist, np.nonzero(holes)), strict=True))


@pytest.mark.parametrize(
    ("box", "wanted"),
    [
        ((0, 0, 8, 8), [(0, 0)]),
        ((8, 16, 24, 24), [(2, 1), (2, 2)]),
        ((7, 7, 9, 9), [(0, 0), (0, 1), (1, 0), (1, 1)]),
        ((31, 31, 32, 32), [(3, 3)]),
        ((0.5, 0, 7.5, 8.0), [(0, 0)]),
    ],
)
def test_a_box_marks_the_cells_that_it_touches(box, wanted):
    assert marked(masks.cells_of_box(box, SIZE, 8)) == wanted


@pytest.mark.parametrize("box", [(0, 0, 33, 8), (8, 8, 8, 16), (16, 0, 8, 8), (-1, 0, 8, 8)])
def test_boxes_outside_or_empty_are_refused(box):
    with pytest.raises(ImageError, match="does not fit"):
        masks.cells_of_box(box, SIZE, 8)


def test_masks_mark_by_transparency_or_else_by_light():
    light = Image.new("L", SIZE, 0)
    light.paste(255, (10, 10, 11, 11))
    assert marked(masks.cells_of_mask(light, SIZE, 8)) == [(1, 1)]
    clear = Image.new("RGBA", SIZE, (255, 255, 255, 255))
    clear.paste((0, 0, 0, 0), (16, 0, 32, 8))
    assert marked(masks.cells_of_mask(clear, SIZE, 8)) == [(0, 2), (0, 3)]
    with pytest.raises(ImageError, match="marks nothing"):
        masks.cells_of_mask(Image.new("RGBA", SIZE, (0, 0, 0, 255)), SIZE, 8)
    with pytest.raises(ImageError, match="16x16, the picture 32x32"):
        masks.cells_of_mask(Image.new("L", (16, 16), 255), SIZE, 8)
    with pytest.raises(ImageError, match="a box and a mask"):
        masks.cells(SIZE, 8, (0, 0, 8, 8), light)


def test_beyond_a_cell_no_pixel_changes():
    before, after = Image.new("RGB", SIZE, "white"), Image.new("RGB", SIZE, "black")
    holes = np.zeros((4, 4), bool)
    holes[1, 0] = True
    laid = np.asarray(masks.blend(before, after, holes))[..., 0]
    assert (laid[8:16, :8] == 0).all()
    assert (laid[24:] == 255).all()
    assert (laid[:, 16:] == 255).all()
    assert (np.diff(laid[12, 8:16].astype(int)) > 0).all()  # fades out


def test_only_the_holes_are_drafted_anew(model, picture):
    edited = model.edit(picture, "a dog", box=(8, 8, 24, 24), seed=3)
    holes = masks.cells_of_box((8, 8, 24, 24), SIZE, 8)
    assert np.array_equal(edited.codes[~holes], picture.codes[~holes])
    assert not np.array_equal(edited.codes[holes], picture.codes[holes])
    again = model.edit(picture, "a dog", box=(8, 8, 24, 24), seed=3)
    assert np.array_equal(np.asarray(edited.image), np.asarray(again.image))
    corner = model.edit(picture, "a dog", box=(0, 0, 8, 8), seed=3)
    old, new = np.asarray(picture.image), np.asarray(corner.image)
    assert np.array_equal(old[16:], new[16:])
    assert np.array_equal(old[:, 16:], new[:, 16:])
    assert not np.array_equal(old[:8, :8], new[:8, :8])
    mask = Image.new("L", SIZE, 0)
    mask.paste(255, (8, 8, 24, 24))
    assert np.array_equal(model.edit(picture, "a dog", mask=mask, seed=3).codes, edited.codes)


def test_any_picture_of_the_size_can_be_edited(model):
    foreign = Image.effect_noise(SIZE, 90).convert("RGB")
    edited = model.edit(foreign, "a dog", box=(0, 0, 8, 8), seed=3)
    assert np.array_equal(edited.codes.ravel()[1:], model.tokenize(foreign).ravel()[1:])
    with pytest.raises(ImageError):
        model.edit(foreign.resize((20, 20)), "a dog", box=(0, 0, 8, 8))
    with pytest.raises(PromptError):
        model.edit(foreign, " ", box=(0, 0, 8, 8))


def test_a_talk_gives_words_and_pictures(model, picture):
    replies = [model.chat(["what is on the left?", picture], seed=seed, temperature=1.0) for seed in range(12)]
    assert all(isinstance(part, str | Picture) for reply in replies for part in reply)
    same = model.chat(["what is on the left?", picture], seed=3, temperature=1.0)
    assert [part if isinstance(part, str) else part.codes.tolist() for part in same] == [
        part if isinstance(part, str) else part.codes.tolist() for part in replies[3]
    ]
    later = model.chat(["再画一只"], before=[["画一只猫"], replies[0]], seed=1)
    assert isinstance(later, list)


def test_talks_without_words_or_too_long_are_refused(model, picture):
    with pytest.raises(PromptError, match="nothing to answer"):
        model.chat([])
    with pytest.raises(PromptError, match="nothing to answer"):
        model.chat(["a"], before=[["b"]])
    with pytest.raises(PromptError, match="more than the 4096 ids"):
        model.chat([*[picture] * 300, "what are these?"])


def test_a_model_that_was_not_taught_says_so(tiny_model, tmp_path):
    import json
    import shutil

    shutil.copytree(tiny_model, tmp_path / "plain")
    path = tmp_path / "plain" / "language" / "config.json"
    config = json.loads(path.read_text())
    del config["lantu"]["learnt"]
    path.write_text(json.dumps(config))
    plain = lantu.load(tmp_path / "plain", device="cpu")
    assert plain.info()["learnt"] == []
    drawn = plain.draw("a cat", seed=1)
    with pytest.raises(LantuError, match="has not learnt filling"):
        plain.edit(drawn, "a dog", box=(0, 0, 8, 8))
    with pytest.raises(LantuError, match="has not learnt talking"):
        plain.edit(drawn, "replace the cat with a dog")


def test_an_instruction_is_answered_with_a_picture_of_the_same_size(model, picture):
    changed = model.edit(picture, "replace the cat with a dog", seed=3)
    assert changed.image.size == picture.image.size
    assert changed.prompt == "replace the cat with a dog"
    # Such an answer is one that a conversation can come to by itself.
    turns = [[picture, "replace the cat with a dog"]]
    (plan,) = draft(model.parts.drafter, [model.parts.layout.plan_change(turns)])
    request = model.parts.layout.change(turns, 3, model.folder.settings, model.parts.layout.goal(plan))
    heard = model.parts.layout.conversation(turns, model.parts.layout.goal(plan))
    assert list(request.prefix[: len(heard)]) == list(heard)
    vocabulary, (ids,) = model.parts.vocabulary, draft(model.parts.drafter, [request])
    said = [*request.prefix[len(heard) :], *ids, vocabulary.special("eoi"), vocabulary.special("eos")]
    reply = document.read_reply(said, vocabulary, model.parts.text.decode)
    assert (reply.parts[0].codes == changed.codes).all()


def test_a_talk_that_ends_in_a_plan_draws_what_it_says(model, picture, monkeypatch):
    vocabulary, text = model.parts.vocabulary, model.parts.text
    turns = [["replace the cat with a dog", picture]]
    thought = [vocabulary.special("plan"), *text.encode("a cat; a dog on the left"), vocabulary.special("eos")]
    params, layout = model.folder.settings, model.parts.layout
    wanted = run_one(model.parts, changed(model.parts, turns, "", 3, params, "a dog on the left"))
    task = chat(model.parts, turns, 3, params)
    next(task)
    drawing = task.send([thought])  # what the model answers with
    assert drawing.requests[0] == layout.change(turns, 3, params, "a dog on the left")
    rendering = task.send(draft(model.parts.drafter, drawing.requests))
    assert (rendering.codes == wanted.codes).all()
    with pytest.raises(StopIteration) as end:
        task.send(wanted)
    assert end.value.value.plan == "a cat; a dog on the left"
    assert "a dog on the left" in text.decode(layout.conversation(turns, "a dog on the left"))


def test_a_plan_is_kept_to_oneself(model, picture, monkeypatch):
    vocabulary, text = model.parts.vocabulary, model.parts.text
    marks = [vocabulary.special(name) for name in ("plan", "assistant", "eos")]
    ids = [marks[0], *text.encode("a cat on the left"), marks[1], *text.encode("a cat"), marks[2]]
    task = chat(model.parts, [["what is on the left?", picture]], 3, model.folder.settings)
    next(task)
    with pytest.raises(StopIteration) as end:
        task.send([ids])
    assert end.value.value.parts == ("a cat",)
    assert not end.value.value.cut


def test_a_model_that_has_not_learnt_to_plan_answers_at_once(tiny_model, tmp_path):
    import json
    import shutil

    shutil.copytree(tiny_model, tmp_path / "hasty")
    path = tmp_path / "hasty" / "language" / "config.json"
    config = json.loads(path.read_text())
    config["lantu"]["learnt"] = ["filling", "talking"]
    path.write_text(json.dumps(config))
    hasty = lantu.load(tmp_path / "hasty", device="cpu")
    drawn = hasty.draw("a cat", seed=1)
    assert hasty.parts.layout.plan_change([["a dog", drawn]]) is None
    asked = hasty.parts.layout.answer([["a dog", drawn]], 0, hasty.folder.settings)
    mark = hasty.parts.vocabulary.special("plan")
    assert not any(mark in ids for ids in asked.after([]))
    assert hasty.edit(drawn, "a dog", seed=1).image.size == drawn.image.size


def test_a_change_that_examples_show_is_made_without_a_word(model, picture):
    other = model.draw("a dog", seed=8)
    plans = []
    changed = model.edit(picture, examples=[(picture, other)], seed=3, on_plan=plans.append)
    assert changed.image.size == picture.image.size
    assert len(plans) == 1
    again = model.edit(picture, examples=[(picture.image, other.image)], seed=3)
    assert isinstance(again, Picture)
    with pytest.raises(PromptError):
        model.edit(picture)
    with pytest.raises(PromptError, match="more than the 4096 ids"):
        model.edit(picture, examples=[(picture, other)] * 200)
    with pytest.raises(LantuError, match="a whole picture changes"):
        model.edit(picture, box=(0, 0, 8, 8), examples=[(picture, other)])


def test_captions_go_by_examples(model, picture, monkeypatch):
    vocabulary, encode = model.parts.vocabulary, model.parts.text.encode
    assert isinstance(model.caption(picture.image, examples=[("a zorp", picture)]), str)
    # What was noted down before is not said.
    plan, lantu, eos, en = map(vocabulary.special, ("plan", "assistant", "eos", "en"))
    noted = [plan, *encode("a zorp: a cat"), lantu, *encode("a zorp"), eos]
    assert model.parts.layout.words(noted) == "a zorp"
    assert model.parts.layout.words([en, *encode("a zorp"), eos]) == "a zorp"
    assert model.parts.layout.words([*encode("a zorp"), eos]) == "a zorp"


def test_drawings_go_by_what_the_model_notes_down_of_examples(model, picture, monkeypatch):
    vocabulary, encode = model.parts.vocabulary, model.parts.text.encode
    plan = [vocabulary.special("plan"), *encode("a zorp: a cat")]
    layout = model.parts.layout
    shown = layout.example_ids([("a zorp", picture)])
    task = draw(model.parts, "a zorp", 1, model.folder.grid, model.folder.settings, examples=shown)
    assert next(task).requests[0].prefix == layout.plan_drawing("a zorp", shown).prefix
    (request,) = task.send([[*plan, vocabulary.special("boi")]]).requests
    assert request == layout.draw("a zorp", model.folder.grid, 1, model.folder.settings, None, shown, plan)
    (request,) = next(draw(model.parts, "a zorp", 1, model.folder.grid, model.folder.settings)).requests
    assert request == layout.draw("a zorp", model.folder.grid, 1, model.folder.settings)
    request = layout.draw("a zorp", model.folder.grid, 1, model.folder.settings, None, shown, plan)
    asked = layout.draw("a zorp", model.folder.grid, 1, model.folder.settings, None, shown)
    start = 1 + len(shown) + len(encode("a zorp"))
    assert list(request.prefix) == [*asked.prefix[:start], *plan, *asked.prefix[start:]]
    # A beginning is chosen between a plan and a picture, and a plan ends with one.
    from lantu.models.lantu.requests import plan_of_examples

    boi = vocabulary.special("boi")
    begins = plan_of_examples([1], vocabulary)
    assert {id_ for ids in begins.after([]) for id_ in ids} == {boi, plan[0]}
    assert all(any(id_ in ids for ids in begins.after(plan)) for id_ in (boi, 97))
    assert not begins.after([boi])


def test_parameters_without_effect_are_warned_of(model, picture):
    with pytest.warns(UserWarning, match="guidance: no effect on an instruction"):
        model.edit(picture, "a dog", seed=2, guidance=9.0)
    with pytest.warns(UserWarning, match="shots: no effect on filling"):
        model.edit(picture, "a dog", box=(0, 0, 8, 8), seed=2, guidance=9.0, shots=0)
    with pytest.warns(UserWarning, match="temperature: no effect on rendering"):
        model.render(picture.codes, seed=2, temperature=0.5)
    with pytest.warns(UserWarning, match="num_draft_tokens: no effect on an answer"):
        model.chat(["a cat"], seed=2, num_draft_tokens=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.edit(picture, "a dog", seed=2, temperature=0.5, steps=1)
