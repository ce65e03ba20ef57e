"""A model directory whose codes are a sequence: what it says of itself, and what it refuses."""

import json
import shutil

import numpy as np
import pytest
from changed_config import with_changed_config

import lantu
from lantu.errors import DataError, ImageError, LantuError, ModelError
from lantu.models import hub
from lantu.models.validation import check_codes
from lantu.types import MASK_CODE


@pytest.fixture(scope="module")
def folder(sequence_model):
    return hub.find(sequence_model).check()


def test_it_says_how_many_codes_make_a_picture(folder, tiny_model):
    facts = folder.describe()
    assert facts["codes"] == {"fewest": 2, "most": 16}
    assert (facts["pixels"], facts["grid"], facts["ids"]) == ("32x32", "16x1", 16)
    assert "codes" not in hub.find(tiny_model).describe()
    assert "num_codes" not in folder.unused_params
    assert "num_codes" in hub.find(tiny_model).unused_params


def test_the_first_codes_in_any_rows_become_a_whole_grid(folder):
    whole = check_codes(np.arange(6).reshape(2, 3), folder)
    assert whole.shape == (1, 16)
    assert whole[0].tolist() == [*range(6), *[MASK_CODE] * 10]
    assert np.array_equal(check_codes(whole, folder), whole)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ([[3]], "a sequence of 1 codes"),
        ([[1] * 17], "a sequence of 17 codes"),
        ([[1, MASK_CODE, 2]], "codes are missing before others"),
        ([[1, 32]], "codes from 1 to 32"),
        ([[1, -2]], "codes from -2 to 1"),
    ],
)
def test_other_codes_are_refused(folder, codes, message):
    with pytest.raises(DataError, match=message):
        check_codes(np.array(codes), folder)


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("decoder", {"cells": 8}, "the decoder paints 8 cells a side, the image tokenizer reads 4"),
        ("language", {"lantu": {"grid": [4, 4]}}, "draws 4x4 codes, the image tokenizer writes 16x1"),
        ("decoder", {"queries": 8}, r"canvas\.places"),
        ("decoder", {"nested": 99}, "nested"),
        ("tokenizer", {"queries": 0, "nested": 0}, "tokenizer"),
        ("tokenizer", {"queries": 65}, "queries"),
    ],
)
def test_parts_that_do_not_fit_are_refused(sequence_model, tmp_path, part, changes, message):
    changed = with_changed_config(sequence_model, tmp_path / "changed", part, changes)
    with pytest.raises(ModelError, match=message):
        hub.find(changed).check()


def test_parts_of_a_grid_and_a_sequence_do_not_join(sequence_model, tiny_model, tmp_path):
    for part in ("decoder", "tokenizer"):
        mixed = shutil.copytree(sequence_model, tmp_path / part)
        shutil.rmtree(mixed / part)
        shutil.copytree(tiny_model / part, mixed / part)
        index = json.loads((mixed / "model_index.json").read_text())
        (mixed / "model_index.json").write_text(json.dumps({k: v for k, v in index.items() if k != "checksums"}))
        with pytest.raises(ModelError, match="a sequence of 16 codes"):
            hub.find(mixed).check()


def test_only_the_size_of_training_is_drawn(sequence_model):
    model = lantu.load(sequence_model, device="cpu")
    assert model.size == (32, 32)
    with pytest.raises(ImageError, match="makes pictures of 32x32 pixels alone, not 64x32"):
        model.draw("a cat", size=(64, 32))


def test_a_place_can_not_be_redrawn(sequence_model):
    model = lantu.load(sequence_model, device="cpu")
    picture = model.draw("a cat", seed=1)
    with pytest.raises(LantuError, match="has not learnt filling") as refused:
        model.edit(picture, "a dog", box=(0, 0, 8, 8))
    assert "say what to change instead" in refused.value.hint


def test_the_pipeline_for_diffusers_is_refused(folder):
    from lantu.models.lantu.export.folder import check

    with pytest.raises(LantuError, match="are a sequence"):
        check(folder)


def test_the_card_tells_the_range(folder, tiny_model):
    from lantu.models.lantu.export.card import fewer

    assert "2 to 16" in fewer(folder.describe())
    assert fewer(hub.find(tiny_model).describe()) == ""
