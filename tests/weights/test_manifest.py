"""A model's files are not believed: each number, tensor and file that does not fit is named, on every backend."""

import json
import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

import lantu
from lantu.cli import main
from lantu.errors import ModelError
from lantu.files.untrusted import parse_json
from lantu.models.lantu.controls import KINDS
from lantu.weights import arrays, checksums, expected, manifest


@pytest.fixture
def model(small_model, tmp_path):
    """A copy that may be spoilt."""
    return shutil.copytree(small_model, tmp_path / "model")


@pytest.fixture
def bare(model):
    """The same without checksums, as lantu 0.1 wrote it."""
    change(model, "model_index.json", "checksums", {})
    return model


def change(model: Path, file: str, keys: str, value: object) -> None:
    """Set one value of a JSON file."""
    path = model / file
    config = inner = json.loads(path.read_text())
    *way, last = keys.split(".")
    for key in way:
        inner = inner[key]
    inner[last] = value
    path.write_text(json.dumps(config))


def change_header(path: Path, name: str, **values: object) -> None:
    """Set fields of one tensor's entry in a safetensors header."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header[name] |= values
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


def file_of(folder: Path, tensor: str) -> Path:
    where = arrays.weight_map(folder)
    return folder / (where[tensor] if where else arrays.SINGLE)


def refusal(capsys, *arguments: str) -> str:
    """The one line that a command is refused with."""
    assert main(list(arguments)) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


WRONG = [
    ("language", "hidden_size", 16, "embed_tokens.weight of the language model is [460, 32], in config.json [460, 16]"),
    ("language", "num_attention_heads", 0, "num_attention_heads 0, not a whole number from 1"),
    ("language", "num_key_value_heads", 0, "num_key_value_heads 0, not a whole number from 1"),
    ("language", "head_dim", 0, "head_dim 0, not a whole number from 2"),
    ("language", "head_dim", 8, "self_attn.q_proj.weight of the language model is [32, 32], in config.json [16, 32]"),
    ("language", "num_hidden_layers", 10**12, "num_hidden_layers 1000000000000, not a whole number from 1 to 1000"),
    ("language", "num_hidden_layers", True, "num_hidden_layers True, not a whole number"),
    ("language", "num_hidden_layers", 1, "not as many as num_hidden_layers, 1"),
    ("tokenizer", "encoder_layers", 0, "the image tokenizer has a tensor 'encoder.blocks.0."),
    ("tokenizer", "encoder_layers", 2, "the image tokenizer lacks encoder.blocks.1."),
    ("language", "num_hidden_layers", 3, "not as many as num_hidden_layers, 3"),
    ("language", "intermediate_size", 10**12, "intermediate_size 1000000000000, not a whole number"),
    ("language", "rms_norm_eps", -1, "rms_norm_eps -1, not a number from 1e-12"),
    ("language", "rope_parameters.rope_theta", 0, "rope_theta 0, not a number from 1"),
    ("language", "bos_token_id", 0, "bos_token_id 0, not one of"),
    ("language", "lantu.codebook_size", 33, "codebooks of different sizes (tokenizer 32"),
    ("language", "lantu.text_size", 999, "vocab_size 460, not 1159 or more"),
    ("language", "lantu.text_size", 260, "bos_token_id 262, not one of 261"),
    ("language", "lantu.grid", [4, 65], "grid [4, 65], not a list of 1 to 64"),
    ("language", "lantu.guidance", [1.3], "guidance [1.3], not different ones of 1.25"),
    ("decoder", "width", 64, "codes.weight of the diffusion decoder is [33, 32], in config.json [33, 64]"),
    ("decoder", "patch", 16, "noisy.weight of the diffusion decoder is [32, 192], in config.json [32, 768]"),
    ("decoder", "layers", -1, "layers -1, not a whole number from 1"),
    ("decoder", "codebook_size", 31, "codebooks of different sizes"),
    ("tokenizer", "width", 64, "encoder.patches.weight of the image tokenizer is [32, 192], in config.json [64, 192]"),
    ("tokenizer", "code_width", 5, "encoder.out.weight of the image tokenizer is [4, 32], in config.json [5, 32]"),
    ("tokenizer", "size", 31, "size 31, not a multiple of patch 8"),
    ("tokenizer", "quantizer", "fsq", "levels [], not code_width 4 numbers"),
    ("tokenizer", "reach", 12, "reach 12, not a multiple of 8"),
    ("tokenizer", "encoder_window", -1, "encoder_window -1, not a whole number from 0"),
    ("control", "patch", 4, "picture.weight of the control is [32, 192], in config.json [32, 48]"),
    ("control", "strengths", [1, 2], "strengths [1, 2], not 3 numbers"),
    ("control", "prior", 2, "prior 2, not a number from 0 to 1"),
]


@pytest.mark.parametrize(("part", "key", "value", "said"), WRONG)
def test_a_wrong_number_is_named(bare, capsys, part, key, value, said):
    config = json.loads((bare / "language/config.json").read_text())
    said = said.replace("460", str(config["vocab_size"]))
    change(bare, f"{part}/config.json", key, value)
    assert said in refusal(capsys, "draw", "a cat", "--model", str(bare), "-o", str(bare / "out.png"))
    assert not (bare / "out.png").exists()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"steps": 0}, "steps can't be 0"),
        ({"steps": True}, "steps can't be True"),
        ({"guidance": None}, "'guidance' None"),
        ({"heat": 1}, "'heat' 1"),
        ({"sampler": 5}, "sampler can't be 5"),
        (5, "not a JSON object"),
    ],
)
def test_settings_of_the_index_are_in_range(model, capsys, value, said):
    change(model, "model_index.json", "draw", value)
    assert said in refusal(capsys, "draw", "a cat", "--model", str(model), "-o", str(model / "out.png"))


@pytest.mark.parametrize(
    ("part", "tensor", "dtype", "said"),
    [
        ("language", "model.norm.weight", "I16", "model.norm.weight of the language model is I16, not BF16 or"),
        ("language", "model.norm.weight", "F16", "model.norm.weight of the language model is F16, where"),
        ("decoder", "noisy.weight", "F16", "noisy.weight of the diffusion decoder is F16, not BF16 or F32"),
        ("tokenizer", "encoder.out.weight", "U16", "'encoder.out.weight' in model.safetensors has the dtype 'U16'"),
        ("control", "fit.weight", "I16", "fit.weight of the control is I16, not BF16 or F32"),
    ],
)
def test_a_wrong_type_is_named(bare, capsys, part, tensor, dtype, said):
    change_header(file_of(bare / part, tensor), tensor, dtype=dtype)
    assert said in refusal(capsys, "draw", "a cat", "--model", str(bare), "-o", str(bare / "out.png"))


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("language/config.json", "rope_parameters.rope_theta", 20000.0),
        ("language/config.json", "rms_norm_eps", 1e-5),
        ("control/config.json", "prior", 0.25),
    ],
)
def test_what_no_shape_shows_a_checksum_does(model, capsys, file, key, value):
    change(model, file, key, value)
    said = refusal(capsys, "draw", "a cat", "--model", str(model), "-o", str(model / "out.png"))
    assert f"{file} differs from the file that the model was assembled with: restore it" in said
    change(model, "model_index.json", "checksums", {})
    assert lantu.load(model).draw("a cat", seed=1).codes.shape == (4, 4)  # on purpose, then


def test_all_halves_called_by_the_other_name_show_in_the_checksum(model, capsys):
    for path in arrays.shard_paths(model / "language"):
        path.write_bytes(path.read_bytes().replace(b'"BF16"', b'"F16" '))
    change(model, "language/config.json", "dtype", "float16")
    assert "language/" in refusal(capsys, "draw", "a cat", "--model", str(model), "-o", str(model / "out.png"))


def test_settings_and_line_endings_may_change(model):
    change(model, "model_index.json", "draw.steps", 3)
    path = model / "decoder" / "config.json"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert lantu.load(model).draw("a cat", seed=1).settings["steps"] == 3


def test_assembling_records_checksums(small_model, tmp_path):
    from lantu.recipes.assemble import assemble

    parts = {part: small_model / part for part in ("tokenizer", "language", "decoder", "control")}
    made = assemble(**parts, out=tmp_path / "made")
    wanted = json.loads((small_model / "model_index.json").read_text())["checksums"]
    assert made.index["checksums"] == wanted
    change(made.path, "decoder/config.json", "patch", 8.0)
    with pytest.raises(ModelError, match=r"patch 8\.0, not a whole number"):
        lantu.load(made.path)


def test_the_shipped_model_has_its_checksums():
    folder = lantu.models.hub.find(None).path
    recorded = json.loads((folder / "model_index.json").read_text())["checksums"]
    parts = sorted(path.name for path in folder.iterdir() if path.is_dir())
    assert {"language", "tokenizer", "decoder"} <= set(parts)
    assert recorded == checksums.of_parts(folder, parts)


@pytest.mark.parametrize("part", ["tokenizer", "decoder", "control", "language"])
def test_torch_and_transformers_are_as_careful(bare, part):
    from lantu.engine.backends import huggingface, pytorch
    from lantu.models.lantu.decoder.control import ControlNetwork
    from lantu.models.lantu.decoder.network import PixelDecoder
    from lantu.models.lantu.language import model as language
    from lantu.models.lantu.tokenizer.model import ImageTokenizer

    loads = {"tokenizer": [ImageTokenizer.load], "decoder": [PixelDecoder.load], "control": [ControlNetwork.load]}
    loads["language"] = [pytorch.Language.load, huggingface.Language.load, language.load]
    key = "hidden_size" if part == "language" else "width"
    for load in loads[part]:
        load(bare / part)
    change(bare, f"{part}/config.json", key, 64)
    for load in loads[part]:
        with pytest.raises(ModelError, match=r"weight of the .* is \[.*, in config.json \["):
            load(bare / part)


def test_transformers_makes_up_no_weights_of_architectures_that_only_it_knows(tmp_path):
    from transformers import GPT2Config, GPT2LMHeadModel

    from lantu.engine.backends import huggingface

    GPT2LMHeadModel(GPT2Config(vocab_size=64, n_positions=32, n_embd=16, n_layer=2, n_head=2)).save_pretrained(tmp_path)
    huggingface.Language.load(tmp_path)
    for key, value in (("n_layer", 3), ("n_layer", 1), ("n_embd", 32), ("n_head", 0), ("n_layer", 10**12)):
        kept = (tmp_path / "config.json").read_text()
        change(tmp_path, "config.json", key, value)
        with pytest.raises(ModelError):
            huggingface.Language.load(tmp_path)
        (tmp_path / "config.json").write_text(kept)


def test_weights_that_are_no_numbers_are_not_drawn(bare, capsys):
    for part, tensor in (("language", "model.norm.weight"), ("decoder", "noisy.bias")):
        path = file_of(bare / part, tensor)
        start, header = arrays.read_header(path)
        whole = path.read_bytes()
        at = start + header[tensor].first
        path.write_bytes(whole[:at] + b"\xc0\x7f" + whole[at + 2 :])
        said = refusal(capsys, "draw", "a cat", "--model", str(bare), "-o", str(bare / "out.png"))
        assert f"the {manifest.NAMES[part]} computes numbers that are not finite" in said
        path.write_bytes(whole)


INDEXED = ["../../outside.safetensors", "/dev/zero", "/etc/passwd", "pipe.safetensors", "link.safetensors", "x.json"]


@pytest.mark.parametrize("name", [*INDEXED, 5, None])
def test_an_index_names_files_beside_it(bare, capsys, name):
    part = bare / "language"
    shutil.copy(file_of(part, "model.norm.weight"), bare.parent / "outside.safetensors")
    (part / "link.safetensors").symlink_to(bare.parent / "outside.safetensors")
    os.mkfifo(part / "pipe.safetensors")
    change(bare, f"language/{arrays.INDEX}", "weight_map", {"model.norm.weight": name})
    said = refusal(capsys, "draw", "a cat", "--model", str(bare), "-o", str(bare / "out.png"))
    assert str(name) in said
    assert "not a regular file" in said or "leaves its folder" in said or "not a safetensors file beside it" in said


@pytest.mark.parametrize("file", ["model_index.json", "language/tokenizer.json", "decoder/config.json"])
def test_pipes_devices_and_links_are_not_read(bare, capsys, file):
    kept = (bare / file).read_bytes()
    (bare.parent / "outside").write_bytes(kept)
    for target in ("", "/dev/zero", bare.parent / "outside"):
        (bare / file).unlink()
        (bare / file).symlink_to(target) if target else os.mkfifo(bare / file)
        refusal(capsys, "draw", "a cat", "--model", str(bare), "-o", str(bare / "out.png"))


def test_links_of_the_hugging_face_cache_are_followed(bare, tmp_path):
    home = tmp_path / "models--somebody--small"
    (home / "blobs").mkdir(parents=True)
    for number, path in enumerate(sorted(path for path in bare.rglob("*") if path.is_file())):
        blob = path.rename(home / "blobs" / f"{number:040x}")
        place = home / "snapshots" / "main" / path.relative_to(bare)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(os.path.relpath(blob, place.parent))
    assert lantu.load(home / "snapshots" / "main").draw("a cat", seed=1).codes.shape == (4, 4)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1, "a": 2}', "'a' occurs twice"),
        (b'{"a": NaN}', "NaN is not a finite number"),
        (b'{"a": 1e999}', "1e999 is not a finite number"),
        (b"[" * 200_000, "nested too deeply"),
        (b"\xff{}", "decode"),
        (b'{"a": ' + b"9" * 5000 + b"}", "digits"),
    ],
)
def test_json_is_strict(content, said):
    with pytest.raises(ValueError, match=said):
        parse_json(content)


def test_tensors_fill_their_file(tmp_path):
    import torch

    from lantu.weights import tensors

    def entry(first: int, last: int) -> dict:
        return {"dtype": "F32", "shape": [(last - first) // 4], "data_offsets": [first, last]}

    tensors.save({"a": torch.zeros(2), "b": torch.zeros(2)}, tmp_path, None)
    path = tmp_path / arrays.SINGLE
    for first, second, said in (
        ((0, 8), (4, 12), "overlaps"),
        ((0, 8), (12, 16), "gap"),
        ((0, 8), (8, 12), "has 16 bytes"),
        ((0, 8), (8, 20), "has 16 bytes"),
    ):
        change_header(path, "a", **entry(*first))
        change_header(path, "b", **entry(*second))
        with pytest.raises(ModelError, match=said):
            arrays.read(tmp_path)


def test_native_code_is_given_only_what_fits():
    from lantu import kernels

    if kernels.reason():
        pytest.skip(kernels.reason())
    from lantu.kernels import Choice, Layer, Shape, native

    def ones(*shape: int) -> np.ndarray:
        return np.ones(shape, np.float32)

    names = ("query", "key", "value", "out", "gate", "up", "down")
    whole = dict.fromkeys(names, ones(32, 32)) | dict.fromkeys(("attention_norm", "feed_forward_norm"), ones(32))
    whole |= dict.fromkeys(("query_norm", "key_norm"), ones(16))
    shape = Shape(1, 32, 2, 2, 16, 32)
    native.TransformerStack(shape, [Layer(**whole)])
    for name in whole:
        with pytest.raises(ValueError, match="the native code got"):
            native.TransformerStack(shape, [Layer(**whole | {name: ones(*(side // 2 for side in whole[name].shape))})])
    with pytest.raises(ValueError, match="the native code got"):
        native.Linear(ones(32, 32), bias=ones(31))
    with pytest.raises(ValueError, match="a choice names a row"):
        native.choose(ones(2, 8), [Choice(row=2)])


def test_a_tokenizer_with_other_ids_is_refused(bare, capsys):
    path = bare / "language" / "tokenizer.json"
    kept = path.read_text()
    words = json.loads(kept)["model"]["vocab"]
    first, second = (word for word, id_ in words.items() if id_ in (100, 101))
    for entry, value, said in (
        (("model", "vocab", first), words[second], f"gives the id {words[second]} twice"),
        (("model", "vocab", first), 10**6, "the id 1000000, beyond the text ids"),
        (("added_tokens", 0, "content"), "<|other|>", "text ids"),
    ):
        told = inner = json.loads(kept)
        for key in entry[:-1]:
            inner = inner[key]
        inner[entry[-1]] = value
        path.write_text(json.dumps(told))
        assert said in refusal(capsys, "draw", "a cat", "--model", str(bare), "-o", str(bare / "out.png"))


def test_kinds_of_control_are_counted_alike():
    assert len(KINDS) == expected.CONTROL_KINDS
