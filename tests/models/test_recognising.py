"""A folder of another kind than a command takes: the message says what it is, and which command takes it."""

import json
import shutil

import pytest

from lantu.errors import LantuError, ModelError
from lantu.models import registry
from lantu.models.recognising import recognised
from lantu.recipes.adopt_decoder import adopt_decoder
from lantu.recipes.adopt_language import adopt_language
from lantu.recipes.sources import part_folder

JSON = {
    "pipeline": ("model_index.json", {"_class_name": "StableDiffusionXLPipeline", "unet": ["diffusers", "U"]}),
    "component": ("config.json", {"_class_name": "AutoencoderKL"}),
    "language": ("config.json", {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]}),
    "transformer": ("config.json", {"model_type": "clip_text_model", "architectures": ["CLIPTextModel"]}),
    "run": ("config.json", {"loop": {"steps": 1}, "identity": {}}),
    "data": ("index.json", {"splits": {}, "size": 32}),
}


def made(kind, folder):
    name, content = JSON[kind]
    folder.mkdir()
    (folder / name).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("kind", JSON)
def test_no_command_that_draws_takes_it_for_an_incomplete_model(lantu, tmp_path, kind):
    folder = made(kind, tmp_path / "it")
    found = recognised(folder)
    assert found.kind == kind
    for command in (("draw", "a cat"), ("info",), ("export", "gguf")):
        code, out, err = lantu(*command, "--model", folder)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert found.what in err
        assert "lacks" not in err


@pytest.mark.parametrize("part", ["tokenizer", "language", "decoder", "control"])
def test_a_part_is_called_a_part_of_its_model(lantu, small_model, part):
    code, _, err = lantu("draw", "a cat", "--model", small_model / part)
    assert code == 2
    assert f"{part}, a part of a model" in err.replace("language model, a part", "language, a part")
    assert str(small_model) in err.partition("give the model:")[2]


@pytest.mark.parametrize("kind", [*JSON, "part", "model"])
def test_adopting_says_what_a_folder_is(tmp_path, tiny_model, kind):
    where = {"part": tiny_model / "tokenizer", "model": tiny_model}
    folder = where[kind] if kind in where else made(kind, tmp_path / "it")
    what = registry.what(folder)
    refused = []
    for adopt in (
        lambda: adopt_language(str(folder), tmp_path / "out", tiny_model),
        lambda: adopt_decoder(str(folder), tiny_model, tmp_path / "out"),
    ):
        with pytest.raises(LantuError) as problem:
            adopt()
        refused.append(problem.value.message)
    takes = {"language": 0, "transformer": 0, "pipeline": 1}.get(
        kind
    )  # which of the two takes it, and misses other things
    for number, message in enumerate(refused):
        assert (what.what in message) == (number != takes), message


@pytest.mark.parametrize("part", ["tokenizer", "language", "decoder"])
@pytest.mark.parametrize("kind", JSON)
def test_where_a_part_is_wanted_other_folders_are_called_what_they_are(tmp_path, kind, part):
    folder = made(kind, tmp_path / "it")
    with pytest.raises(ModelError) as problem:
        part_folder(folder, part)
    assert recognised(folder).what in problem.value.message


def test_a_language_model_that_does_not_draw_is_no_part(tmp_path):
    folder = made("language", tmp_path / "it")
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="not one that draws: teach it to draw: lantu adopt language"):
        part_folder(folder, "language")


def test_language_models_that_draw_are_sent_to_training(tiny_model, tmp_path):
    for folder in (tiny_model, tiny_model / "language"):
        with pytest.raises(ModelError, match="train language --start"):
            adopt_language(str(folder), tmp_path / "out", tiny_model)


def test_an_incomplete_model_still_says_what_it_lacks(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    shutil.rmtree(folder / "decoder")
    with pytest.raises(ModelError, match=r"lacks decoder/config\.json"):
        registry.open_folder(folder)
