"""DeepSpeed's ZeRO through transformers' Trainer, on documents and a directory of lantu, where lantu is not."""

import pytest
from stacks_running import MODEL, draws, environment, in_environment

pytestmark = [pytest.mark.slow, pytest.mark.network]
STEPS = 6


@pytest.fixture(scope="module")
def python():
    return environment("deepspeed")


@pytest.fixture(scope="module")
def alone(python, documents, tmp_path_factory):
    return train(python, documents, tmp_path_factory.mktemp("alone"), 0, "--fresh")


def train(python, documents, out, zero, *more):
    arguments = ["--out", out, "--zero", zero, "--steps", STEPS, "--batch", 8, *more]
    places = [MODEL / "language", f"{documents}.jsonl"]
    return in_environment(python, "deepspeed_train.py", *places, *arguments, processes=2 if zero else 1)


@pytest.mark.parametrize("zero", [2, 3])
def test_zero_trains_as_one_process_does(python, alone, documents, tmp_path, zero):
    told = train(python, documents, tmp_path / "language", zero, "--fresh")
    assert told["processes"] == 2
    assert told["losses"] == pytest.approx(alone["losses"], rel=1e-3)
    assert told["losses"][-1] < told["losses"][0] - 0.5
    assert told["moments_held"] == pytest.approx(0.5, abs=0.02)
    assert told["weights_held"] == pytest.approx(0.5 if zero == 3 else 1.0, abs=0.02)
    assert draws(tmp_path / "language", tmp_path)


def test_zero_3_goes_on_from_the_directory(python, documents, tmp_path):
    told = train(python, documents, tmp_path / "language", 3, "--answers-only", "--lr", 1e-4)
    assert max(told["losses"]) < 3  # random weights begin at 8.7
    assert draws(tmp_path / "language", tmp_path)
