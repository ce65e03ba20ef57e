"""The upscaler on torch, on the native kernels, and behind a decoder."""

import json
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from lantu.errors import ImageError, ModelError
from lantu.images.metadata import save_picture
from lantu.models.control import Control
from lantu.models.lantu.upscaler.config import UpscalerConfig
from lantu.models.lantu.upscaler.native import NativeUpscaler
from lantu.models.lantu.upscaler.network import TorchUpscaler, Upscaler
from lantu.pipeline import Model
from lantu.weights import checksums


def upscaler(spread=0.1, **sizes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = Upscaler(UpscalerConfig(**{"width": 16, "layers": 2, **sizes}))
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter, std=spread)
    return made


def pictures(*shape):
    return np.random.default_rng(0).uniform(-1, 1, (*shape[:1], 3, *shape[1:])).astype(np.float32)


@pytest.fixture
def upscaled(tiny_model, tmp_path):
    """The tiny model, whose pictures of 32 pixels become ones of 64."""
    folder = shutil.copytree(tiny_model, tmp_path / "upscaled")
    upscaler().save(folder / "upscaler")
    return folder


def test_a_new_one_enlarges_as_bilinear_interpolation_does():
    given = torch.from_numpy(pictures(2, 8, 12))
    made = Upscaler(UpscalerConfig(factor=3, width=16, layers=1))
    wanted = F.interpolate(given, scale_factor=3, mode="bilinear", align_corners=False)
    assert torch.equal(made(given), wanted)


@pytest.mark.parametrize(("cell", "factor", "width"), [(2, 2, 48), (1, 2, 16), (4, 3, 16), (2, 8, 32)])
def test_native_code_computes_the_same(cell, factor, width):
    network, given = upscaler(cell=cell, factor=factor, width=width), pictures(2, 8, 12)
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    wanted = TorchUpscaler(network)(given)
    assert wanted.shape == (2, 3, 8 * factor, 12 * factor)
    exact = NativeUpscaler(network.config.model_dump(), state, precise=True)(given)
    assert np.abs(exact - wanted).max() < 1e-5 * np.abs(wanted).max()
    usual = NativeUpscaler(network.config.model_dump(), state)
    found = usual(given)
    assert np.abs(found - wanted).max() < 0.02 * np.abs(wanted).max()
    for picture, alone in zip(given, found, strict=True):
        assert np.array_equal(usual(picture[None])[0], alone)


def test_it_is_saved_and_read(tmp_path):
    made = upscaler().bfloat16()  # as weights are kept
    made.save(tmp_path)
    given = torch.from_numpy(pictures(1, 4, 4))
    read = Upscaler.load(tmp_path)
    assert torch.equal(read(given), made.float()(given))
    assert not any(parameter.requires_grad for parameter in read.parameters())
    assert np.abs(NativeUpscaler.load(tmp_path, precise=True)(given.numpy()) - read(given).numpy()).max() < 1e-5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"factor": 9}, "factor"),
        ({"cell": 0}, "cell"),
        ({"width": 24}, "a multiple of 16"),
        ({"width": 32}, r"first.weight of the upscaler is \[16, 12, 3, 3\]"),
        ({"layers": 3}, "lacks blocks.2.first.weight"),
        ({"heads": 3}, "heads"),
    ],
)
def test_damaged_configs_are_refused(tmp_path, changes, said):
    upscaler().save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(ModelError, match=said):
        NativeUpscaler.load(tmp_path)


def test_damaged_weights_are_found():
    network = upscaler()
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    state["last.bias"] = np.full_like(state["last.bias"], np.inf)
    with pytest.raises(ModelError, match="not finite"):
        NativeUpscaler(network.config.model_dump(), state)(pictures(1, 4, 4))


def test_a_model_draws_and_reads_its_larger_pictures(tiny_model, upscaled):
    plain, model = Model.load(tiny_model, "cpu"), Model.load(upscaled, "cpu")
    assert (plain.size, model.size) == ((32, 32), (64, 64))
    small, large = plain.draw("a cat", seed=3), model.draw("a cat", seed=3)
    assert large.image.size == (64, 64)
    assert np.array_equal(small.codes, large.codes)
    wide = model.draw("a cat", seed=3, size="128x64")
    assert (wide.image.size, wide.codes.shape) == ((128, 64), (4, 8))
    twice = small.image.resize((64, 64), Image.Resampling.NEAREST)
    assert np.array_equal(model.tokenize(twice), plain.tokenize(small.image))
    assert np.array_equal(model.render(large.codes, seed=3).image, large.image)
    assert set(model.info()["parameters"]) == {"language", "tokenizer", "decoder", "upscaler"}
    assert model.info()["pixels"] == "64x64"


def test_the_rest_of_an_edited_picture_stays(upscaled):
    model = Model.load(upscaled, "cpu")
    picture = model.draw("a cat", seed=3)
    edited = model.edit(picture, "a dog", box=(0, 0, 16, 16), seed=4)
    changed = np.any(np.asarray(edited.image) != np.asarray(picture.image), -1)
    assert edited.codes.shape == picture.codes.shape
    assert not changed[48:, 48:].any()
    assert np.array_equal(edited.codes[1:], picture.codes[1:])


def test_pictures_of_before_it_are_still_read(tiny_model, upscaled, tmp_path):
    (upscaled / "model_index.json").write_text(json.dumps({"name": "larger", "draw": {"steps": 1}}))
    former, model = Model.load(tiny_model, "cpu").draw("a cat", seed=3), Model.load(upscaled, "cpu")
    save_picture(former, tmp_path / "former.png")
    larger = former.image.resize((64, 64))
    assert np.array_equal(model.tokenize(former.image), model.tokenize(larger))
    assert model.caption(former.image) == model.caption(larger)
    with pytest.warns(UserWarning, match="its pixels are read"):
        opened = model.open(tmp_path / "former.png")
    assert opened.image.size == (64, 64)
    for where in ({"box": (8, 0, 16, 8)}, {"mask": mask(32, (8, 0, 16, 8))}):
        edited = model.edit(former.image, "a dog", **where, seed=4)
        doubled = {"box": (16, 0, 32, 16)} if "box" in where else {"mask": mask(64, (16, 0, 32, 16))}
        assert np.array_equal(edited.image, model.edit(larger, "a dog", **doubled, seed=4).image)
    with pytest.raises(ImageError, match="reads 64x64"):
        model.caption(Image.new("RGB", (48, 48)))


def test_sizes_of_before_it_are_still_drawn(upscaled, lantu, tmp_path, monkeypatch):
    model = Model.load(upscaled, "cpu")
    usual = model.draw("a cat", seed=3)
    for size in ((32, 32), "32x32", (64, 64)):
        assert np.array_equal(model.draw("a cat", seed=3, size=size).image, usual.image)
    assert model.draw("a cat", seed=3, size="64x32").image.size == (64, 32)  # no size of the decoder's: two codes high
    code, _, err = lantu("draw", "a cat", "--model", upscaled, "--size", "32x32", "-o", tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as drawn:
        assert (code, drawn.size) == (0, (64, 64))
    assert "pictures of 32x32 are enlarged to 64x64" in err
    (tmp_path / "prompts.txt").write_text("a cat\n")
    code, _, err = lantu(
        "draw", "--prompts", tmp_path / "prompts.txt", "--model", upscaled, "--size", "32x32", "-o", tmp_path / "drawn"
    )
    assert code == 0, err
    assert "enlarged to 64x64" in err


def mask(side, box):
    made = Image.new("L", (side, side))
    made.paste(255, box)
    return made


def test_previews_are_as_large(upscaled):
    model = Model.load(upscaled, "cpu")
    assert {step.preview.size for step in model.stream("a cat", seed=1) if step.preview} == {(64, 64)}


def test_a_control_has_the_size_of_the_drawing(upscaled):
    from lantu.models.lantu.decoder.control import ControlNetwork
    from lantu.models.lantu.decoder.network import PixelDecoder

    ControlNetwork.for_decoder(PixelDecoder.load(upscaled / "decoder"), 1).save(upscaled / "control")
    model = Model.load(upscaled, "cpu")
    lines = model.draw("a dog", seed=5).image
    for given in (lines, lines.resize((32, 32))):
        assert model.draw("a cat", seed=3, control=Control(given, "edges")).image.size == (64, 64)
    with pytest.raises(ImageError, match="the drawing 64x64"):
        model.draw("a cat", seed=3, control=Control(lines.resize((48, 48)), "edges"))


def test_thin_lines_of_a_control_stay_white(upscaled):
    model = Model.load(upscaled, "cpu")
    lines = np.zeros((64, 64, 3), np.uint8)
    lines[20] = 255
    pixels, _ = model.parts.control_pixels(Control(Image.fromarray(lines), "edges"))
    assert pixels.shape == (1, 3, 32, 32)
    assert (pixels[0, :, 10] == 1).all()
    assert (np.delete(pixels, 10, 2) == -1).all()
    pixels, _ = model.parts.control_pixels(Control(Image.fromarray(lines), "colour"))
    assert np.allclose(pixels[0, :, 10], 0, atol=0.01)


def test_an_upscaler_of_other_cells_is_refused(upscaled):
    upscaler(cell=3).save(upscaled / "upscaler")
    with pytest.raises(ModelError, match="sees 3 pixels a side at once, the decoder paints 8"):
        Model.load(upscaled)


def test_a_changed_upscaler_is_found(upscaled):
    index = json.loads((upscaled / "model_index.json").read_text())
    index[checksums.ENTRY] = checksums.of_parts(upscaled, ["upscaler"])
    (upscaled / "model_index.json").write_text(json.dumps(index))
    Model.load(upscaled)
    upscaler(width=32).save(upscaled / "upscaler")
    with pytest.raises(ModelError, match="upscaler"):
        Model.load(upscaled).draw("a cat", seed=1)
