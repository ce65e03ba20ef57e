import json
import shutil

import pytest

from lantu.errors import ModelError
from lantu.models import hub
from lantu.models.lantu.directory import REQUIRED
from lantu.models.lantu.folder import LantuFolder


@pytest.fixture
def model(tiny_model, tmp_path, monkeypatch):
    """A copy that may be spoilt, on a shelf of its own."""
    monkeypatch.setenv("LANTU_MODELS", str(tmp_path))
    monkeypatch.setenv("LANTU_CACHE", str(tmp_path / "cache"))
    return shutil.copytree(tiny_model, tmp_path / "tiny")


def test_found_by_name_and_by_folder(model):
    assert hub.find("tiny").path == model
    assert hub.find(model).name == "tiny"
    assert "tiny" in [folder.name for folder in hub.every()]


def test_the_first_shelf_wins(model, tmp_path, monkeypatch):
    other = shutil.copytree(model, tmp_path / "other" / "tiny")
    monkeypatch.setenv("LANTU_MODELS", f"{other.parent}:{tmp_path}")
    assert hub.find("tiny").path == other
    assert [folder.path for folder in hub.every() if folder.name == "tiny"] == [other]


def test_unknown_name(model):
    with pytest.raises(ModelError, match=r"no model called nothing: choose one of .*tiny"):
        hub.find("nothing")


@pytest.mark.parametrize("name", [*REQUIRED, "decoder/model.safetensors"])
def test_an_incomplete_model_says_what_it_lacks(model, name):
    (model / name).unlink()
    with pytest.raises(ModelError) as caught:
        hub.find(model)
    assert name.replace("model.safetensors", "*.safetensors") in caught.value.message
    assert "tiny" not in [folder.name for folder in hub.every()]


def test_damaged_json(model):
    (model / "model_index.json").write_text("{")
    with pytest.raises(ModelError, match="can't be read as JSON"):
        hub.find(model).name  # noqa: B018


def test_a_language_model_that_does_not_draw(model):
    config = model / "language" / "config.json"
    config.write_text(json.dumps({"architectures": ["Qwen3ForCausalLM"]}))
    with pytest.raises(ModelError, match="lacks lantu"):
        hub.find(model).grid  # noqa: B018


def test_description(model):
    told = hub.find(model).describe()
    assert (told["pixels"], told["grid"], told["codebook"]) == ("32x32", "4x4", 32)
    assert told["license"] == "none"
    assert told["draw"]["guidance"] == 2.0
    assert json.loads(json.dumps(told)) == told


def test_parameters_are_counted_from_the_headers(model):
    from lantu.models.lantu.decoder.network import PixelDecoder

    decoder = PixelDecoder.load(model / "decoder")
    assert hub.find(model).parameters()["decoder"] == sum(value.numel() for value in decoder.state_dict().values())


def test_damaged_weights(model):
    (model / "decoder" / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="damaged"):
        hub.find(model).parameters()


def test_digest_names_the_weights_and_not_the_folder(model, tmp_path):
    digest = LantuFolder(model).digest
    moved = shutil.copytree(model, tmp_path / "moved")
    (moved / "README.md").write_text("# another card\n")
    assert LantuFolder(moved).digest == digest
    weights = moved / "decoder" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert LantuFolder(moved).digest != digest


@pytest.mark.parametrize("size", [64, 16])
def test_data_of_another_size_than_the_model_draws_is_no_fault(model, size):
    """The recipes scale the data's pictures: models of data of 256 pixels draw 128."""
    index = json.loads((model / "model_index.json").read_text())
    (model / "model_index.json").write_text(json.dumps(index | {"data": {"path": "/there", "size": size}}))
    assert hub.find(model).check().grid == (4, 4)


@pytest.mark.parametrize("grid", [[8, 8], [4, 2]])
def test_a_grid_that_is_not_the_tokenizers_is_refused(model, grid):
    config = json.loads((model / "language" / "config.json").read_text())
    config["lantu"]["grid"] = grid
    (model / "language" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=f"draws {grid[1]}x{grid[0]} codes, its tokenizer makes 4x4"):
        hub.find(model).check()
