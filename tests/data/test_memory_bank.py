"""Pictures are found by words, in any order of the bank, and kept as a part of a model."""

import json
import shutil

import numpy as np
import pytest

from lantu.data.memory_bank import MemoryBank, align, check_tokenizer, embed, rarity, same, unit
from lantu.errors import DataError, ModelError
from lantu.pipeline import Model


@pytest.fixture(scope="module")
def bank(remembering_model):
    return MemoryBank.load(remembering_model / "memory_bank")


def test_the_nearest_comes_last_and_no_like_twice(bank):
    found = bank.search("a red cat", 3)
    assert [one.picture for one in found][-1] == 0
    assert 4 not in [one.picture for one in found]  # the same document again
    assert bank.search("a red cat", 1)[0].caption == "a red cat"
    assert bank.search("红猫", 1)[0].caption == "一只红猫"
    assert bank.search("qqq", 3) == []
    assert len(bank.search("a cat and a dog and three lions", 9)) == 4


def test_what_is_saved_is_what_is_read(bank, remembering_model):
    assert len(bank) == 5
    assert bank.captions(1) == ["a dog", "一只狗"]
    assert bank.grids[3].shape == (4, 4)
    assert bank.vectors_MD.dtype == np.float32
    config = json.loads((remembering_model / "memory_bank" / "config.json").read_text())
    assert (config["count"], config["codebook_size"]) == (5, 32)


def test_pictures_come_near_to_their_captions():
    rng = np.random.default_rng(0)
    names = ["red cat", "blue dog", "green bird", "yellow fish"]
    said = [[names[number % 4]] for number in range(80)]
    rare = rarity(said)
    texts = np.stack([embed(each, rare)[0] for each in said])
    directions = rng.standard_normal((4, 24)).astype(np.float32)
    features = directions[np.arange(80) % 4] + 0.5 * rng.standard_normal((80, 24)).astype(np.float32)
    pictures = align(features, texts)
    right = (pictures @ texts[:4].T).argmax(1) == np.arange(80) % 4
    assert right.mean() > 0.9
    np.testing.assert_allclose(np.linalg.norm(pictures, axis=1), 1, rtol=1e-4)
    some = np.concatenate([texts[:20], np.zeros_like(texts[20:])])  # the others have no captions
    np.testing.assert_allclose(align(features, some)[:20], align(features[:20], texts[:20]), atol=1e-5)
    assert ((align(features, some)[20:] @ texts[:4].T).argmax(1) == np.arange(20, 80) % 4).mean() > 0.8


def test_rare_words_weigh_more_and_unknown_ones_nothing():
    rare = rarity([["a cat"], ["a dog"], ["a lion"], ["a zebra"]])
    cat, other = embed(["a cat", "a"], rare)
    assert cat @ embed(["cat"], rare)[0] > cat @ other
    assert not embed(["qqq"], rare).any()
    assert not unit(np.zeros(3)).any()
    with pytest.raises(DataError, match="no captions"):
        rarity([[], []])


def test_same_means_more_than_a_share_of_the_codes():
    grid = np.arange(16).reshape(4, 4)
    other = grid.copy()
    other[0, 0] = 99
    assert same(grid, other)
    other[0, :2] = 99
    assert not same(grid, other)
    assert not same(grid, grid[:2])


@pytest.mark.parametrize("change", [{"count": 6}, {"codebook_size": 31}, {"row": 17}, {"bytes": 5}, {"width": 10**9}])
def test_a_bank_that_contradicts_its_config_is_refused(change, remembering_model, tmp_path):
    broken = shutil.copytree(remembering_model, tmp_path / "broken")
    path = broken / "memory_bank" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError):
        Model.load(broken, "cpu").draw("a cat", seed=0, shots=1)


def test_damaged_numbers_and_captions_are_refused(bank, remembering_model, tmp_path):
    from safetensors.numpy import load_file, save_file

    place = shutil.copytree(remembering_model / "memory_bank", tmp_path / "bank")
    path = place / "model.safetensors"
    state = load_file(path)
    for name, at, value, named in (
        ("grids", (0, 0), 9, "don't fit"),
        ("grids", (0, 3), 32, "outside the codebook"),
        ("ends", 0, 1, "don't end"),
        ("vectors", (0, 0), np.nan, "finite"),
    ):
        broken = {key: array.copy() for key, array in state.items()}
        broken[name][at] = value
        save_file(broken, path)
        with pytest.raises(ModelError, match=named):
            MemoryBank.load(place)
    broken = {key: array.copy() for key, array in state.items()}
    broken["captions"][:] = ord("x")
    save_file(broken, path)
    with pytest.raises(ModelError, match="captions"):
        MemoryBank.load(place).search("a cat", 1)


def test_codes_of_another_tokenizer_are_refused():
    check_tokenizer("a" * 64, "a" * 64, "here")
    check_tokenizer("a" * 64, "", "here")
    check_tokenizer("", "a" * 64, "here")
    with pytest.raises(ModelError, match=r"in here has codes of another tokenizer \(aaaaaaaaaaaa, not ffffffffffff\)"):
        check_tokenizer("a" * 64, "f" * 64, "here")


def test_vectors_of_another_hash_are_refused(bank, tmp_path):
    narrow = MemoryBank(bank.vectors_MD[:, :256], bank.rarity_D[:256], bank.captions, bank.grids)
    narrow.save(tmp_path / "memory_bank", 32)
    with pytest.raises(ModelError, match="256 axes, words are hashed to 512"):
        MemoryBank.load(tmp_path / "memory_bank")
