"""A Janus directory by the command line and the library: the codes and pixels of transformers' own generation."""

import builtins
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lantu.errors import ImageError, LantuError, ModelError
from lantu.models import hub, registry
from lantu.models.janus.folder import JanusFolder
from lantu.pipeline import Control, Model

PROMPT = "the blue dog on the left"


@pytest.fixture(scope="session")
def wanted(theirs):
    """Codes (4, 4) and picture of transformers, greedily."""
    model, processor = theirs
    said = [{"role": "user", "content": [{"type": "text", "text": PROMPT}]}]
    text = processor.apply_chat_template(said, add_generation_prompt=True)
    inputs = processor(text=text, generation_mode="image", return_tensors="pt")
    codes = model.generate(**inputs, generation_mode="image", do_sample=False, guidance_scale=5)
    with torch.inference_mode():
        pixels = model.decode_image_tokens(codes)[0].permute(2, 0, 1)
    (picture,) = processor.postprocess([pixels], return_tensors="PIL.Image.Image")["pixel_values"]
    return codes.numpy().reshape(4, 4), np.asarray(picture)


@pytest.fixture(scope="session")
def model(janus):
    return Model.load(janus, "cpu")


def test_draw_gives_the_codes_and_the_picture_of_transformers(lantu, janus, wanted):
    arguments = ("--model", janus, "--temperature", 0, "--tokens-out", "t.json", "-o", "out.png", "--json")
    code, out, err = lantu("draw", PROMPT, *arguments)
    assert (code, err.count("\n")) == (0, 1)
    assert err.startswith("lantu: janus: the weights are under the DeepSeek Model License")  # once per machine
    assert (json.loads(out)["model"], json.loads(out)["tokens"]) == ("tiny-janus", 16)
    (told,) = json.loads(Path("t.json").read_text())["pictures"]
    assert told["codes"] == wanted[0].tolist()
    np.testing.assert_array_equal(np.asarray(Image.open("out.png")), wanted[1])
    assert lantu("detokenize", "t.json", "--model", janus, "-o", "again.png")[0] == 0
    np.testing.assert_array_equal(np.asarray(Image.open("again.png")), wanted[1])
    assert lantu("draw", "--like", "out.png", "--model", janus, "-o", "like.png")[0] == 0
    np.testing.assert_array_equal(np.asarray(Image.open("like.png")), wanted[1])


def test_pictures_are_read_and_tokenized(lantu, janus, model):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save("noise.png")
    code, out, _ = lantu("tokenize", "noise.png", "--model", janus)
    assert code == 0
    assert json.loads(out)["pictures"][0]["codes"] == model.tokenize(Image.open("noise.png")).tolist()
    code, out, err = lantu("caption", "noise.png", "--model", janus)
    assert (code, err) == (0, "")
    assert out.strip() == model.caption(Image.open("noise.png"))


def test_info_and_models(lantu, janus, monkeypatch):
    told = json.loads(lantu("info", "--model", janus, "--json")[1])
    assert (told["pixels"], told["grid"], told["codebook"]) == ("64x64", "4x4", 64)
    assert told["parameters"]["language"] > told["parameters"]["codes"] > 0
    monkeypatch.setenv("LANTU_MODELS", str(janus.parent))
    told = json.loads(lantu("models", "--json")[1])
    assert "tiny-janus" in {one["name"] for one in told["installed"]}
    families = {one["name"]: one for one in told["families"]}
    assert families["janus"]["tasks"] == ["draw", "caption"]
    assert set(families["lantu"]) == {*("name", "tasks", "licence", "notice", "accepted", "size", "tokens", "sizes")}
    shown = lantu("models")[1]
    assert "tiny-janus" in shown
    assert "DeepSeek" in shown


def test_it_streams_the_finished_picture_alone(model):
    (step,) = model.stream(PROMPT, seed=3)
    assert step.picture.codes.tolist() == model.draw(PROMPT, seed=3).codes.tolist()


def test_several_drawings_are_each_what_they_are_alone(model):
    pictures = model.draw_many("a red cat", 3, seed=1)
    assert len({picture.codes.tobytes() for picture in pictures}) == 3
    alone = model.draw("a red cat", seed=pictures[1].seed)
    assert alone.codes.tolist() == pictures[1].codes.tolist()
    assert alone.image.tobytes() == pictures[1].image.tobytes()


def test_a_drawing_is_captioned_as_its_picture_is(model):
    picture = model.draw("a red cat", seed=1)
    assert model.caption(picture) == model.caption(picture.image)


def test_captions_leave_nothing_open(model, monkeypatch):
    language, held = model.parts.language, []
    opens, closes = language.open, language.close
    monkeypatch.setattr(language, "open", lambda *how: held.append(opens(*how)) or held[-1])
    monkeypatch.setattr(language, "close", lambda row: held.remove(row) or closes(row))
    for _ in range(3):
        model.caption(WHITE)
    assert not held


WHITE = Image.new("RGB", (64, 64), "white")


@pytest.mark.parametrize(
    ("ask", "error", "match"),
    [
        (lambda model: model.draw("a cat", size=(128, 64)), ImageError, "64x64"),
        (lambda model: model.draw("a cat", steps=3), LantuError, "steps"),
        (lambda model: model.draw("a cat", control=Control(WHITE)), LantuError, "control"),
        (lambda model: model.draw("a cat", examples=[("a dog", WHITE)]), LantuError, "examples"),
        (lambda model: model.draw("a cat " * 1000), LantuError, "2,000"),
        (lambda model: model.draw("a " * 300), LantuError, "256 ids"),
        (lambda model: model.edit(WHITE, "a cat", box=(0, 0, 16, 16)), LantuError, "filling.*another model"),
        (lambda model: model.edit(WHITE, "make it red"), LantuError, "talking"),
        (lambda model: model.chat(["hello"]), LantuError, "talking"),
        (lambda model: model.caption(WHITE.resize((32, 32))), ImageError, "64x64"),
    ],
)
def test_what_it_cannot_do_is_said_in_one_line(model, ask, error, match):
    with pytest.raises(error, match=match) as found:
        ask(model)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("backend", ["transformers", "vllm"])
def test_other_backends_are_refused(janus, backend, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    with pytest.raises(LantuError, match="backend"):
        Model.load(janus, "cpu", backend)


def test_without_transformers_it_says_what_to_install(lantu, janus, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, out, err = lantu("draw", "a cat", "--model", janus, "--device", "cpu")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "transformers" in err
    assert "pip install 'lantu[train]'" in err


def test_opening_reads_no_weights_and_imports_no_torch(janus, monkeypatch):
    plain = builtins.__import__

    def guarded(name, *rest):
        assert name.partition(".")[0] not in ("torch", "transformers"), name
        return plain(name, *rest)

    monkeypatch.setattr(builtins, "__import__", guarded)
    folder = hub.find(janus).check()
    assert (folder.name, folder.grid, folder.patch) == ("tiny-janus", (4, 4), 16)
    assert len(folder.digest) == 16


def test_the_digest_names_the_weights(janus, tmp_path):
    other = shutil.copytree(janus, tmp_path / "other")
    assert JanusFolder(other).digest == JanusFolder(janus).digest
    shard = sorted(other.glob("*.safetensors"))[-1]
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    assert JanusFolder(other).digest != JanusFolder(janus).digest


def test_a_cached_download_has_the_name_of_its_repository(janus, tmp_path):
    cached = tmp_path / "models--deepseek-community--Janus-Pro-1B" / "snapshots" / "0123abc"
    shutil.copytree(janus, cached)
    assert hub.find(cached).name == "Janus-Pro-1B"


def test_damaged_directories_are_refused(lantu, janus, tmp_path):
    folder = shutil.copytree(janus, tmp_path / "damaged")
    next(iter(sorted(folder.glob("*.safetensors")))).unlink()
    code, out, err = lantu("draw", "a cat", "--model", folder)
    assert (code, out, err.count("\n")) == (2, "", 1)
    with pytest.raises(ModelError):
        Model.load(folder)
    (folder / "config.json").write_text('{"model_type": "janus", "text_config": {"hidden_size": 1e99}}')
    with pytest.raises(ModelError, match="hidden_size"):
        Model.load(folder)


def test_families_are_recognised(tmp_path):
    (tmp_path / "model_index.json").write_text('{"_class_name": "SomePipeline"}')
    with pytest.raises(ModelError, match="SomePipeline"):
        registry.open_folder(tmp_path)
    for part, named in (
        ("decoder", ["diffusers", "SomeTransformer"]),
        ("tokenizer", "ImageTokenizer"),
        ("language", 3),
    ):
        (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "lantu.Model", part: named}))
        with pytest.raises(ModelError, match=f'"{part}".*known are'):
            registry.open_folder(tmp_path)
    (tmp_path / "model_index.json").unlink()
    (tmp_path / "config.json").write_text('{"model_type": "janus"}')
    assert registry.family_of(tmp_path).name == "janus"
