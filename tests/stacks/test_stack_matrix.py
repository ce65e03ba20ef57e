"""The matrix of systems and stacks: what each says of a model directory."""

import shutil
import sys

import pytest
from stacks_running import STACKS


@pytest.fixture
def answers(monkeypatch):
    monkeypatch.syspath_prepend(str(STACKS))
    for name in ("matrix", "megatron_mapping"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import matrix

    return matrix.answers


def test_a_stock_language_model_goes_everywhere(answers, tiny_model):
    assert answers(tiny_model) == ["as it is"] * 4


def test_what_drafts_no_next_ids_goes_nowhere(answers, masked_model, tiny_model, tmp_path):
    assert all(cell.startswith("no: ") and "no causal language model" in cell for cell in answers(masked_model))
    continuous = shutil.copytree(tiny_model, tmp_path / "continuous")
    (continuous / "vectors").mkdir()
    assert answers(continuous) == ["no: it drafts vectors, of vectors/, not ids"] * 4


def test_another_architecture_is_named(answers, tmp_path):
    from tiny_language import write

    write(tmp_path / "language", "gemma")
    vllm, gguf, trainer, megatron = answers(tmp_path)
    assert (vllm, trainer) == ("as it is", "as it is")
    assert gguf.startswith("no: ")
    assert "'gemma'" in megatron


def test_a_pipeline_has_no_language_model(answers, tmp_path):
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    assert answers(tmp_path) == ["no: StableDiffusionPipeline is no causal language model of transformers"] * 4
