"""Drawing from the first codes of a sequence: as a program and as a user on the command line do it."""

import json
import warnings

import numpy as np
import pytest
from PIL import Image

import lantu as package
from lantu.errors import DataError, LantuError
from lantu.recipes.generator import ModelGenerator
from lantu.types import MASK_CODE


@pytest.fixture(scope="module")
def model(sequence_model):
    return package.load(sequence_model, device="cpu")


def known(picture):
    return picture.codes[picture.codes != MASK_CODE].tolist()


def test_fewer_codes_are_the_first_ones(model):
    whole = model.draw("a cat", seed=7)
    assert whole.codes.shape == (1, 16)
    assert MASK_CODE not in whole.codes
    for count in (2, 5, 16):
        picture = model.draw("a cat", seed=7, codes=count)
        assert known(picture) == whole.codes[0, :count].tolist()
        assert picture.cells == count
        again = model.render(whole.codes[:, :count], seed=7)
        assert np.array_equal(np.asarray(again.image), np.asarray(picture.image))


def test_prefixes_are_drawn_together_as_alone(model):
    both = model.draw_many("a dog", 3, seed=3, codes=5)
    for picture in both:
        alone = model.draw("a dog", seed=picture.seed, codes=5)
        assert np.array_equal(alone.codes, picture.codes)
        assert np.array_equal(np.asarray(alone.image), np.asarray(picture.image))


def test_a_cached_prompt_drafts_as_a_fresh_one(model, sequence_model):
    fresh = package.load(sequence_model, device="cpu").draw("a cat", seed=9, codes=8)
    assert np.array_equal(model.draw("a cat", seed=9, codes=8).codes, fresh.codes)


@pytest.mark.parametrize("count", [1, 17, 4096])
def test_too_few_and_too_many_are_refused(model, count):
    with pytest.raises(LantuError, match=f"can't draw from {count} codes") as refused:
        model.draw("a cat", codes=count)
    assert refused.value.hint == "choose from 2 to 16"


def test_previews_become_finer(model):
    steps = list(model.stream("a cat", seed=7))
    assert [int((step.codes != MASK_CODE).sum()) for step in steps] == [2, 4, 6, 8, 10, 12, 14, 16]
    assert [step.fraction for step in steps] == pytest.approx([count / 16 for count in range(2, 17, 2)])
    for step, count in zip(steps, (2, 4, 4, 8, 8, 8, 8), strict=False):  # twice as many codes for each new picture
        coarse = model.render(steps[-1].codes[:, :count], seed=7, steps=1)
        assert np.array_equal(np.asarray(step.preview), np.asarray(coarse.image))
    fewer = list(model.stream("a cat", seed=7, codes=4, every=2))
    assert [step.fraction for step in fewer] == pytest.approx([0.5, 1.0])


def test_a_picture_of_few_codes_is_read_from_its_pixels(model, tmp_path):
    picture = model.draw("a cat", seed=7, codes=4)
    assert model.caption(picture) == model.caption(picture.image)
    assert isinstance(model.chat(["what is this?", picture], seed=1), list)
    codes = model.parts.layout.with_codes(picture)[1]
    assert np.array_equal(codes, model.tokenize(picture.image))


def test_instructions_may_ask_for_fewer_codes(model):
    picture = model.draw("a cat", seed=7)
    assert model.edit(picture, "replace the cat by a dog", seed=2, num_codes=4).cells == 4


def test_round_trips_can_go_through_the_first_codes(model):
    real = np.stack([np.asarray(model.draw("a cat", seed=seed).image) for seed in range(2)])
    coarse, fine = (ModelGenerator(model, num_codes=count).reconstruct(real) for count in (2, 16))
    assert np.array_equal(fine, ModelGenerator(model).reconstruct(real))
    assert not np.array_equal(coarse, fine)
    assert len(ModelGenerator(model, num_codes=2).caption_drawn(["a cat"], [1], "en")) == 1


def test_a_model_of_grids_refuses(tiny_model):
    model = package.load(tiny_model, device="cpu")
    with pytest.raises(LantuError, match="has not learnt to draw from fewer"):
        model.draw("a cat", codes=4)
    with pytest.raises(DataError):
        model.render(np.array([[1, MASK_CODE]]))


def test_the_command_draws_saves_and_repeats(lantu, sequence_model, model):
    code, out, err = lantu(
        "draw", "a cat", "--seed", 7, "--codes", 4, "--model", sequence_model, "-o", "a.png", "--json"
    )
    assert (code, err) == (0, "")
    assert json.loads(out)["tokens"] == 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert known(model.open("a.png")) == known(model.draw("a cat", seed=7, codes=4))
    for again in (["draw", "--like", "a.png"], ["draw", "a cat", "--seed", 7, "--codes", 4]):
        assert lantu(*again, "--model", sequence_model, "-o", "b.png", "--tokens-out", "t.json")[0] == 0
        with Image.open("a.png") as first, Image.open("b.png") as second:
            assert np.array_equal(np.asarray(first), np.asarray(second))
    assert lantu("detokenize", "t.json", "--seed", 7, "--model", sequence_model, "-o", "c.png")[0] == 0
    with Image.open("a.png") as first, Image.open("c.png") as third:
        assert np.array_equal(np.asarray(first), np.asarray(third))
    assert lantu("tokenize", "a.png", "--model", sequence_model)[0] == 0
    assert lantu("caption", "a.png", "--model", sequence_model)[0] == 0
    assert "fewest 2, most 16" in lantu("info", "--model", sequence_model)[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--codes", "99"], "can't draw from 99 codes"),
        (["--size", "64x64"], "makes pictures of 32x32 pixels alone"),
    ],
)
def test_the_command_refuses_in_one_line(lantu, sequence_model, options, message):
    code, out, err = lantu("draw", "a cat", "--model", sequence_model, *options)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_the_command_refuses_for_models_of_grids(lantu):
    code, _, err = lantu("draw", "a cat", "--codes", 4)
    assert code == 2
    assert "draws from all its 16 codes" in err
    assert err.count("\n") == 1
