import numpy as np
import pytest
import torch
from PIL import Image

import lantu
from lantu import images
from lantu.engine.seeds import derive_seed
from lantu.errors import DataError, ImageError, LantuError, ModelError, PromptError
from lantu.models.validation import MAX_PROMPT
from lantu.pipeline import Model
from lantu.recipes.generator import ModelGenerator
from lantu.tasks.draw import render
from lantu.tasks.run import run


@pytest.fixture(scope="module")
def model(tiny_model):
    return lantu.load(tiny_model, "cpu")


def pixels(picture):
    return np.asarray(picture.image)


def noise(height, width):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_a_drawing_knows_how_it_was_made(model):
    picture = model.draw("a cat", seed=7, steps=3)
    assert picture.image.size == model.size == (32, 32)
    assert picture.codes.shape == (4, 4)
    assert picture.codes.dtype == np.int64
    assert (picture.prompt, picture.seed, picture.model) == ("a cat", 7, model.digest)
    assert picture.settings["steps"] == 3
    assert picture.settings["guidance"] == 2.0  # the model's own
    assert picture.timings_ms["total"] == picture.timings_ms["plan"] + picture.timings_ms["render"]


def test_the_same_seed_gives_the_same_picture_whatever_is_drawn_with_it(model):
    alone = model.draw("a cat", seed=derive_seed(7, 2))
    third = model.draw_many("a cat", 3, seed=7)[2]
    among = model.draw_all(["a dog on the left", "a cat"], [1, derive_seed(7, 2)])[1]
    for other in (third, among):
        assert np.array_equal(alone.codes, other.codes)
        assert np.array_equal(pixels(alone), pixels(other))


def test_seeds_and_prompts_matter(model):
    first, second = model.draw_many("a cat", 2, seed=7)
    other = model.draw("一只猫", seed=7)
    assert not np.array_equal(first.codes, second.codes)
    assert not np.array_equal(first.codes, other.codes)
    assert first.seed == 7
    assert model.draw("a cat").seed != model.draw("a cat").seed


def test_batched_drawings_are_whole(model):
    pictures = model.draw_all(["a cat", "一只猫", "a dog"], [1, 2, 3], batched=True)
    assert [picture.codes.shape for picture in pictures] == [(4, 4)] * 3
    assert [picture.seed for picture in pictures] == [1, 2, 3]


def test_other_sizes(model):
    picture = model.draw("a cat", seed=1, size=(48, 16))
    assert picture.image.size == (48, 16)
    assert picture.codes.shape == (2, 6)


def test_progress_counts_codes(model):
    told = []
    model.draw_many("a cat", 2, seed=1, progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 32) for done in range(1, 33)]


def test_rendering_the_codes_of_a_drawing_gives_the_drawing(model):
    drawn = model.draw("a cat", seed=5)
    assert np.array_equal(pixels(model.render(drawn.codes, seed=5)), pixels(drawn))
    assert not np.array_equal(pixels(model.render(drawn.codes, seed=6)), pixels(drawn))


def test_tokenize_takes_any_grid(model):
    assert model.tokenize(noise(32, 32)).shape == (4, 4)
    assert model.tokenize(noise(16, 64)).shape == (2, 8)
    assert model.tokenize(noise(16, 64), fit=True).shape == (4, 4)
    assert model.tokenize(noise(33, 70), fit=True).shape == (4, 4)
    transparent = noise(32, 32).convert("RGBA")
    assert np.array_equal(model.tokenize(transparent), model.tokenize(noise(32, 32)))


@pytest.mark.parametrize("size", [(33, 32), (32, 7), (8 * 65, 8)])
def test_pictures_of_a_wrong_size(model, size):
    with pytest.raises(ImageError, match=r"multiple of 8, 512 at most.*--fit"):
        model.tokenize(noise(*size[::-1]))
    with pytest.raises(ImageError, match="multiple of 8"):
        model.draw("a cat", size=size)


def test_captions(model):
    first = model.caption(noise(32, 32))
    assert isinstance(first, str)
    assert first == model.caption(noise(32, 32))
    fitted = images.fit(noise(99, 32), 32, 32)
    assert model.caption(noise(99, 32), "zh", fit=True) == model.caption(fitted, "zh")
    with pytest.raises(ImageError, match="reads 32x32"):
        model.caption(noise(32, 64))
    with pytest.raises(PromptError, match="no captions in fr"):
        model.caption(noise(32, 32), "fr")


@pytest.mark.parametrize("prompt", ["", " \n", "x" * (MAX_PROMPT + 1), "half \ud800", None])
def test_prompts_that_can_not_be_drawn(model, prompt):
    with pytest.raises(PromptError):
        model.draw(prompt)


def test_a_prompt_of_more_ids_than_the_model_reads(model):
    with pytest.raises(PromptError, match="ids that the model can read"):
        model.draw("鑫" * MAX_PROMPT)


@pytest.mark.parametrize(
    "codes",
    [[1, 2], [[]], [[0.5]], [[-1]], [[32]], np.zeros((1, 65), int), np.zeros((2, 2, 2), int)],
)
def test_codes_that_are_none(model, codes):
    with pytest.raises(DataError):
        model.render(codes)


@pytest.mark.parametrize(("setting", "value"), [("seed", -1), ("steps", 0), ("sampler", "none"), ("guidance", -3.0)])
def test_settings_out_of_range(model, setting, value):
    with pytest.raises(LantuError):
        model.draw("a cat", **{setting: value})


def test_devices(tiny_model):
    with pytest.raises(LantuError, match="no device called tpu"):
        Model.load(tiny_model, "tpu")
    if not torch.cuda.is_available():
        with pytest.raises(LantuError, match="no GPU that torch can use"):
            Model.load(tiny_model, "cuda")


def test_unknown_model():
    with pytest.raises(ModelError, match="no model called nothing"):
        lantu.load("nothing")


def test_as_evaluation_knows_it(model):
    generator = ModelGenerator(model, steps=1)
    drawn = generator.draw(["a cat", "a dog"], [1, 2])
    assert (drawn.shape, drawn.dtype) == ((2, 32, 32, 3), np.uint8)
    images = np.stack([np.asarray(noise(64, 64))] * 2)
    rebuilt = generator.reconstruct(images)
    assert rebuilt.shape == (2, 32, 32, 3)
    alone = pixels(model.render(model.tokenize(noise(64, 64), fit=True), seed=0, steps=1))
    assert np.abs(rebuilt[0].astype(int) - alone).max() <= 2  # sums are rounded otherwise in a batch
    assert len(generator.caption(images, "en")) == 2


def test_info(model):
    assert model.info()["digest"] == model.digest


def test_a_stream_ends_with_the_picture_and_shows_what_is_there_before(model):
    steps = list(model.stream("a cat", seed=7))
    assert [step.fraction for step in steps] == [0.25, 0.5, 0.75, 1.0]
    whole = model.draw("a cat", seed=7)
    for number, step in enumerate(steps[:-1], 1):
        assert step.picture is None
        assert np.array_equal(step.codes[:number], whole.codes[:number])
        assert (step.codes[number:] == -1).all()
        assert step.preview.size == (32, 32)
    assert np.array_equal(pixels(steps[-1].picture), pixels(whole))
    assert steps[-1].preview is steps[-1].picture.image
    assert len(list(model.stream("a cat", seed=7, every=5))) == 4  # after 5, 10, 15 and all 16
    # What comes later doesn't show in a preview.
    other = next(iter(model.stream("a cat", seed=7)))
    assert np.array_equal(np.asarray(other.preview), np.asarray(steps[0].preview))


@pytest.mark.parametrize("num_draft_tokens", [0, 6])
def test_sketching_beside_the_draft_shows_the_same(model, monkeypatch, num_draft_tokens):
    """On three cores a step is sketched while the next is drafted; guesses may bring several rows at once."""
    alone = list(model.stream("a cat", seed=7))
    monkeypatch.setattr("lantu.kernels.threads", lambda: 3)
    beside = list(model.stream("a cat", seed=7, num_draft_tokens=num_draft_tokens))
    assert [step.fraction for step in beside] == [step.fraction for step in alone]
    for one, other in zip(alone, beside, strict=True):
        assert np.array_equal(one.codes, other.codes)
        assert np.array_equal(np.asarray(one.preview), np.asarray(other.preview))
    next(iter(model.stream("a cat", seed=7, every=1)))  # left while sketches wait
    assert not model.parts.drafter.busy


def test_a_stream_that_is_left_frees_its_rows(model):
    for step in model.stream("a cat", seed=7):
        assert step.fraction == 0.25
        break
    assert not model.parts.drafter.busy
    with pytest.raises(PromptError):
        model.stream("")
    with pytest.raises(LantuError):
        model.stream("a cat", every=-1)


def test_grids_of_several_sizes_are_rendered_in_their_order(model):
    grids = [np.full(shape, number) for number, shape in enumerate([(4, 4), (4, 4), (2, 3), (4, 4)])]
    parts, params = model.parts, model.folder.settings
    together = run(parts, [render(parts, grid, derive_seed(5, number), params) for number, grid in enumerate(grids)])
    assert [picture.image.size for picture in together] == [(32, 32), (32, 32), (24, 16), (32, 32)]
    for number, (grid, picture) in enumerate(zip(grids, together, strict=True)):
        assert np.array_equal(picture.codes, grid)
        alone = model.render(grid, seed=derive_seed(5, number))
        assert np.abs(pixels(picture).astype(int) - pixels(alone)).max() <= 1


def test_examples_are_read_before_the_prompt(model):
    first = model.draw("a cat", seed=1)
    again = model.draw("a cat", seed=1, examples=[("a dog", first)])
    assert not np.array_equal(first.codes, again.codes)
    many = model.draw_all(["a cat", "a dog"], [1, 1], examples=[[("a dog", first)], []])
    assert np.array_equal(many[0].codes, again.codes)
    assert np.array_equal(many[1].codes, model.draw("a dog", seed=1).codes)
    with pytest.raises(PromptError, match="more than the"):
        model.draw("a cat", examples=[("a dog", first)] * 400)
