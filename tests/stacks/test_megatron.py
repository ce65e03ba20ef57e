"""Megatron-core reads lantu's documents, computes lantu's model and trains it, where lantu is not."""

import pytest
from stacks_running import MODEL, draws, environment, in_environment

pytestmark = [pytest.mark.slow, pytest.mark.network]


@pytest.fixture(scope="module")
def python():
    return environment("megatron")


def train(python, documents, out, *more):
    places = [MODEL / "language", documents, "--out", out, "--jsonl", f"{documents}.jsonl"]
    return in_environment(python, "megatron_train.py", *places, "--steps", 6, *more)


def test_equal_ids_equal_logits_and_back_bit_for_bit(python, documents, tmp_path):
    told = train(python, documents, tmp_path / "language")
    assert told["ids_equal"]
    assert told["documents"] > 100
    assert told["back"]
    for logits in (told["logits"], told["logits_after"]):
        assert logits["difference"] < 1e-4 * logits["largest"]
        assert logits["same_choice"] == 1
    assert draws(tmp_path / "language", tmp_path)


def test_it_trains(python, documents, tmp_path):
    told = train(python, documents, tmp_path / "all", "--fresh", "--row", 128)
    assert told["losses"][-1] < told["losses"][0] - 0.5
    assert told["codes_of_what_has_a_loss"] < 1  # unpatched: text has a loss too
    patched = train(python, documents, tmp_path / "codes", "--fresh", "--row", 128, "--codes-only")
    assert patched["codes_of_what_has_a_loss"] == 1
    assert patched["losses"][-1] < patched["losses"][0] - 0.5
