"""Drawing with pictures that the prompt finds: in the model's own memory bank, or in a named one."""

import json

import numpy as np
import pytest

from lantu.errors import LantuError
from lantu.images import metadata
from lantu.pipeline import Model


@pytest.fixture(scope="module")
def model(remembering_model):
    return Model.load(remembering_model, "cpu")


def test_a_model_draws_with_found_pictures_and_without(model):
    assert model.folder.remembers
    plain, found = (model.draw("a red cat", seed=3, shots=shots) for shots in (0, 2))
    assert not np.array_equal(plain.codes, found.codes)
    np.testing.assert_array_equal(plain.codes, model.draw("a red cat", seed=3).codes)
    np.testing.assert_array_equal(found.codes, model.draw("a red cat", seed=3, shots=2).codes)
    assert found.settings["shots"] == 2
    streamed = list(model.stream("a red cat", seed=3, shots=2))[-1].picture
    np.testing.assert_array_equal(streamed.codes, found.codes)
    together = model.draw_all(["a dog", "a red cat"], [1, 3], shots=2)
    np.testing.assert_array_equal(together[1].codes, found.codes)


def test_what_is_found_is_read_as_examples_are(model):
    layout = model.parts.layout
    near = model.parts.memory_bank.search("a red cat", 2)
    assert layout.found("a red cat", 2) == layout.example_ids(
        [(one.caption, layout.of_codes(one.codes)) for one in near]
    )
    assert layout.found("qqq", 2) == []


def test_examples_take_the_place_of_what_would_be_found(model):
    shown = [("a zorp", model.draw("a dog", seed=1))]
    first, second = (model.draw("a zorp", seed=3, shots=shots, examples=shown) for shots in (0, 2))
    np.testing.assert_array_equal(first.codes, second.codes)


def test_a_model_without_a_bank_says_what_to_do(tiny_model, masked_model):
    for folder in (tiny_model, masked_model):
        with pytest.raises(LantuError, match="no memory bank") as caught:
            Model.load(folder, "cpu").draw("a cat", seed=1, shots=2)
        assert "--memory" in caught.value.hint


def test_the_bank_is_a_part_of_what_a_model_is(model, tiny_model):
    assert model.digest != Model.load(tiny_model, "cpu").digest
    assert "shots" not in model.folder.unused_params
    assert model.info()["parameters"].keys() == {"language", "tokenizer", "decoder"}


def test_the_command_finds_in_the_model_and_in_a_named_bank(lantu, model, remembering_model, tiny_model, tmp_path):
    options = ("--seed", 3, "--json", "-o")
    code, out, _ = lantu("draw", "a red cat", "--model", remembering_model, "--shots", 2, *options, tmp_path / "a.png")
    assert code == 0, out
    drawn = metadata.read_picture(tmp_path / "a.png")
    np.testing.assert_array_equal(drawn.codes, model.draw("a red cat", seed=3, shots=2).codes)
    assert drawn.settings["shots"] == 2
    code, out, _ = lantu("draw", "--like", tmp_path / "a.png", "--model", remembering_model, "--json", "-o", "b.png")
    assert json.loads(out)["seed"] == 3
    np.testing.assert_array_equal(metadata.read_picture(tmp_path / "b.png").codes, drawn.codes)
    bank = remembering_model / "memory_bank"
    assert lantu("draw", "a red cat", "--model", tiny_model, "--memory", bank, *options, "c.png")[0] == 0
    code, _, said = lantu("draw", "a red cat", "--model", tiny_model, "--shots", 2, "-o", "d.png")
    assert (code, "no memory bank" in said) == (2, True)
    assert lantu("draw", "a red cat", "--model", remembering_model, "--shots", 99, "-o", "d.png")[0] == 2
