"""A model that drafts by masked diffusion, as a user has it: drawn with, streamed, from the command line."""

import json
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from lantu import kernels
from lantu.errors import AbilityError, LantuError
from lantu.models import hub
from lantu.models.control import Control
from lantu.pipeline import Model
from lantu.types import MASK_CODE


@pytest.fixture(scope="module")
def model(masked_model):
    return Model.load(masked_model, "cpu")


def test_the_seed_decides_a_drawing(model):
    picture, again = model.draw("a cat", seed=3), model.draw("a cat", seed=3)
    assert picture.codes.shape == (4, 4)
    assert MASK_CODE not in picture.codes
    assert picture.image.tobytes() == again.image.tobytes()
    assert not np.array_equal(picture.codes, model.draw("a cat", seed=4).codes)
    assert not np.array_equal(picture.codes, model.draw("a dog", seed=3, guidance=8.0).codes)


@pytest.mark.skipif(not kernels.exact(), reason="NumPy's sums depend on what is computed together")
def test_drawings_made_together_are_what_each_is_alone(model):
    prompts, seeds = ["a cat", "a dog", "一只猫"], [1, 2, 3]
    together = model.draw_all(prompts, seeds)
    for prompt, seed, picture in zip(prompts, seeds, together, strict=True):
        assert picture.image.tobytes() == model.draw(prompt, seed=seed).image.tobytes()


def test_progress_counts_codes(model):
    told = []
    model.draw_all(["a cat", "a dog"], [1, 2], progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (32, 32)
    assert told == sorted(told)
    assert len(told) == 10  # a pass each


def test_a_stream_shows_each_pass_and_ends_with_the_drawing(model):
    *steps, last = model.stream("a cat", seed=3, every=1)
    assert last.picture.image.tobytes() == model.draw("a cat", seed=3).image.tobytes()
    assert [round(16 * step.fraction) for step in steps] == [1, 4, 7, 12]  # of 5 passes, by the cosine schedule
    for before, after in pairwise([step.codes for step in [*steps, last]]):
        known = before != MASK_CODE
        assert np.array_equal(before[known], after[known])
    assert steps[0].preview.size == last.picture.image.size
    first = next(iter(steps)).codes.reshape(-1)
    assert first.tolist() != sorted(first.tolist(), reverse=True)  # not in reading order


def test_the_command_line_draws_with_it(lantu, masked_model, tmp_path):
    code, out, error = lantu("draw", "a cat", "--model", masked_model, "--seed", 3, "--tokens-out", "t.json", "--json")
    assert (code, error) == (0, "")
    assert json.loads(out)["seed"] == 3
    codes = json.loads((tmp_path / "t.json").read_text())["pictures"][0]["codes"]
    assert codes == Model.load(masked_model, "cpu").draw("a cat", seed=3).codes.tolist()


def test_holes_are_filled_around_what_is_there(model, lantu, tmp_path, masked_model):
    picture = model.draw("a cat", seed=1)
    edited = model.edit(picture, "a dog", box=(0, 0, 16, 32), seed=2)
    assert np.array_equal(edited.codes[:, 2:], picture.codes[:, 2:])
    assert (edited.codes[:, :2] != picture.codes[:, :2]).any()
    assert np.array_equal(np.asarray(edited.image)[:, 24:], np.asarray(picture.image)[:, 24:])
    picture.image.save(tmp_path / "cat.png")
    code, _, error = lantu("edit", "cat.png", "a dog", "--box", "0,0,8,8", "--model", masked_model, "-o", "dog.png")
    assert (code, error) == (0, "")
    everything = model.edit(picture, "a cat", box=(0, 0, 32, 32), seed=1)
    assert np.array_equal(everything.codes, picture.codes)  # nothing is given: a drawing


def test_next_token_drafting_refuses_given_ids():
    from lantu.engine.engine import Engine
    from lantu.engine.request import Request

    with pytest.raises(ValueError, match="given"):
        Engine.submit(SimpleNamespace(max_rows=4), Request([1], (range(4),), limit=2, given=(1, -1)))
    with pytest.raises(ValueError, match="1 given ids of 2"):
        Request([1], (range(4),), limit=2, given=(1,))


def test_what_it_has_not_learnt_is_refused(model, lantu, masked_model):
    picture = model.draw("a cat", seed=1)
    with pytest.raises(AbilityError, match="captioning"):
        model.caption(picture)
    with pytest.raises(AbilityError, match="examples"):
        model.draw("a cat", examples=[("a dog", picture)])
    with pytest.raises(LantuError, match="control"):
        model.draw("a cat", control=Control(picture.image))
    code, _, error = lantu("draw", "a cat", "--model", masked_model, "--backend", "transformers")
    assert (code, error.count("\n")) == (2, 1)
    assert "masked" in error


def test_its_directory_says_what_it_is(masked_model):
    index = json.loads((masked_model / "model_index.json").read_text())
    assert index["_class_name"] == "lantu.MaskedModel"
    assert index["language"] == ["lantu.models.masked.network", "MaskedTransformer"]
    folder = hub.find(masked_model).check()
    assert folder.abilities == ("drawing", "filling")
    assert folder.describe()["language"] == "MaskedTransformer"
