"""Control of the decoder: what it is taken from, what it adds, and that it adds nothing when it is not wanted."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import lantu
from lantu.engine.logits_processors import ControlLogitsProcessor
from lantu.errors import ImageError, LantuError
from lantu.images import to_pixels
from lantu.models.lantu import controls
from lantu.models.lantu.decoder import native, pytorch
from lantu.models.lantu.decoder.control import NOTHING, ControlNetwork
from lantu.models.lantu.decoder.network import PixelDecoder
from lantu.pipeline import Control
from lantu.types import MASK_CODE


def square(size=32, at=(8, 24)):
    picture = np.full((size, size, 3), 255, np.uint8)
    picture[at[0] : at[1], at[0] : at[1]] = (200, 30, 30)
    return picture


def test_edges_are_where_colours_change_and_one_pixel_wide():
    edges = controls.edges(square())
    rows, columns = np.nonzero(edges)
    assert {*rows.tolist(), *columns.tolist()} <= set(range(6, 26))
    assert not edges[12:20, 12:20].any()
    assert edges[16].sum() == 2  # one line on the left, one on the right
    assert not controls.edges(np.full((32, 32, 3), 90, np.uint8)).any()


def test_a_pale_thing_has_an_outline_and_grain_has_none():
    pale = square()
    pale[pale[..., 1] < 255] = (225, 232, 237)  # as clouds are
    edges = controls.edges(pale)
    assert edges[16].sum() == edges[:, 16].sum() == 2
    assert not controls.edges(pale, coarse=3).any()
    assert np.array_equal(controls.edges(square(), coarse=3), controls.edges(square()))
    grain = np.random.default_rng(0).integers(-2, 3, (32, 32, 3))
    assert not controls.edges((128 + grain).astype(np.uint8)).any()


def test_weak_edges_stay_only_where_they_hang_together_with_strong_ones():
    weak = np.zeros((9, 9), bool)
    weak[4, 1:8] = True
    weak[0, 0] = True
    strong = np.zeros_like(weak)
    strong[4, 1] = True
    grown = controls.hysteresis(strong, weak | strong)
    assert grown[4, 1:8].all()
    assert not grown[0, 0]


def test_agreement_allows_a_pixel_and_no_more():
    one, other = np.zeros((16, 16), bool), np.zeros((16, 16), bool)
    one[:, 5] = True
    other[:, 6] = True
    assert controls.agreement(one, other) == 1
    assert controls.agreement(one, np.roll(other, 2, 1)) == 0
    assert controls.agreement(one, one & False) == 0
    assert controls.agreement(one & False, one & False) == 1


def test_layout_and_colour():
    assert controls.layout([(0.25, 0.5, 0.75, 1)], 8).sum() == 4 * 4
    blocks = controls.colour(square(32, (0, 16)))
    assert (blocks[:16, :16] == (200, 30, 30)).all()
    assert (blocks[16:] == 255).all()
    odd = square(32, (0, 16))[:24, :20]
    assert controls.colour(odd).shape == odd.shape  # the last blocks are cut
    assert (controls.colour(odd)[:16, :16] == (200, 30, 30)).all()
    assert controls.lit(np.array([[True, False]])).tolist() == [[[255] * 3, [0] * 3]]


@pytest.fixture(scope="module")
def network(tiny_model):
    """A control of the tiny decoder that adds something."""
    made = ControlNetwork.for_decoder(PixelDecoder.load(tiny_model / "decoder"), 3)
    torch.manual_seed(0)
    torch.nn.init.normal_(made.out.weight, std=0.2)
    torch.nn.init.normal_(made.picture.weight, std=0.2)
    torch.nn.init.normal_(made.fit.weight, std=0.5)
    return made


@pytest.fixture(scope="module")
def model(tiny_model, network, tmp_path_factory):
    """The tiny model with that control."""
    folder = tmp_path_factory.mktemp("models") / "steered"
    shutil.copytree(tiny_model, folder)
    network.save(folder / "control")
    return lantu.load(folder, device="cpu")


def test_it_begins_as_a_copy_that_adds_nothing(tiny_model):
    decoder = PixelDecoder.load(tiny_model / "decoder")
    fresh = ControlNetwork.for_decoder(decoder)
    assert fresh.config.layers == decoder.config.layers == 1  # no more than the decoder has
    assert torch.equal(fresh.blocks[0].attention.out.weight, decoder.blocks[0].attention.out.weight)
    control_residuals = fresh(torch.randn(2, 3, 32, 32), torch.tensor([0, 2]), torch.zeros(2, 4, 4, dtype=torch.long))
    assert not control_residuals.any()
    unknown = torch.full((2, 4, 4), MASK_CODE)
    bias = fresh.bias(torch.randn(2, 3, 32, 32), torch.tensor([0, 2]), unknown, 0)
    assert bias.shape == (2, 4, 32)
    assert torch.allclose(bias, bias[..., :1].expand_as(bias), atol=1e-5)  # as much on every code is nothing


@pytest.mark.parametrize("precise", [True, False])
def test_on_the_kernels_it_adds_what_it_adds_on_torch(network, precise, tmp_path):
    network.save(tmp_path)
    random = np.random.default_rng(0)
    picture = random.uniform(-1, 1, (2, 3, 32, 32)).astype(np.float32)
    codes = random.integers(-1, 32, (2, 4, 4))
    wanted = pytorch.TorchControl.load(tmp_path)(picture, 1, codes)
    told = native.NativeControl.load(tmp_path, precise)(picture, 1, codes)
    assert wanted.std() > 0.05
    np.testing.assert_allclose(told, wanted, atol=0.02 if precise else 0.1 * float(np.abs(wanted).max()))
    codes[:, 2:] = MASK_CODE
    wanted = pytorch.TorchControl.load(tmp_path).bias(picture, 2, codes, 2)
    told = native.NativeControl.load(tmp_path, precise).bias(picture, 2, codes, 2)
    assert wanted.shape == (2, 4, 32)
    assert wanted.std() > 0.2
    np.testing.assert_allclose(told, wanted, atol=0.02 if precise else 0.1 * float(np.abs(wanted).max()))


def test_what_fits_is_compared_with_what_fits_nothing(network):
    one, other = torch.randn(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    kind, nothing = torch.tensor([0]), torch.tensor([NOTHING])
    codes = torch.tensor([[[3, 1, 4, 1], [5, 9, 2, 6], *[[MASK_CODE] * 4] * 2]])
    assert torch.equal(network.code_logits(one, nothing, codes), network.code_logits(other, nothing, codes))
    assert not torch.equal(network.code_logits(one, kind, codes), network.code_logits(other, kind, codes))
    config, row = network.config, slice(8, 12)
    usual = network.code_logits(one, nothing, codes).log_softmax(-1)[:, row]
    bias = network.bias(one, kind, codes, 2)
    shares = (bias / config.strengths[0] + config.prior * usual).exp()
    assert torch.allclose(shares, network.code_logits(one, kind, codes).softmax(-1)[:, row], atol=1e-5)
    codes[0, 0, 0] = 7  # what is known above makes a difference
    assert not torch.allclose(network.bias(one, kind, codes, 2), bias, atol=1e-3)


def test_a_row_is_told_once_and_knows_what_is_above():
    told = []

    def of_row(codes_hw, row):
        told.append((codes_hw.tolist(), row))
        return np.arange(6.0).reshape(2, 3) + 10 * row

    bias = ControlLogitsProcessor(of_row, (2, 2), lambda ids: ids - 100)
    assert [bias([101, 102, 100][:count]).tolist() for count in range(4)] == [
        [0, 1, 2],
        [3, 4, 5],
        [10, 11, 12],
        [13, 14, 15],
    ]
    assert told == [([[-1, -1], [-1, -1]], 0), ([[1, 2], [-1, -1]], 1)]
    bias([101, 101, 100])  # as if another had been guessed
    assert told[2:] == [([[1, 1], [-1, -1]], 1)]


def test_control_changes_codes_and_pixels_and_scale_zero_nothing(model):
    lines = Image.fromarray(controls.lit(controls.edges(square())))
    bare = model.draw("a cat", seed=3)
    none = model.draw("a cat", seed=3, control=Control(lines, "edges", 0.0))
    some = model.draw("a cat", seed=3, control=Control(lines, "edges"))
    assert np.array_equal(np.asarray(bare.image), np.asarray(none.image))
    assert np.array_equal(bare.codes, none.codes)
    assert not np.array_equal(bare.codes, some.codes)
    more = model.draw("a cat", seed=3, control=Control(lines, "edges", 10.0))
    for row in range(len(more.codes)):
        known = np.where(np.arange(len(more.codes))[:, None] < row, more.codes, MASK_CODE)
        told = model.parts.control.bias(to_pixels(np.asarray(lines)[None]), 0, known[None], row)[0]
        assert more.codes[row].tolist() == told.argmax(-1).tolist()
    # The same codes with the control_residuals and without.
    settings = model.folder.settings
    drawn = [model.parts.render(bare.codes[None], [3], settings, it)[0] for it in (None, Control(lines, "edges"))]
    assert not np.array_equal(*drawn)
    guided = model.draw("a cat", seed=3, control=Control(lines, "layout"), render_guidance=2.0)
    assert guided.image.size == (32, 32)
    assert set(model.info()["parameters"]) == {"language", "tokenizer", "decoder", "control"}


def test_a_kind_without_strength_leaves_the_draft_alone(model, monkeypatch):
    lines = Image.fromarray(controls.lit(controls.edges(square())))
    monkeypatch.setattr(model.parts.control, "strengths", (0.0, 1.0, 1.0))
    bare, some = model.draw("a cat", seed=3), model.draw("a cat", seed=3, control=Control(lines, "edges"))
    assert np.array_equal(bare.codes, some.codes)
    assert not np.array_equal(np.asarray(bare.image), np.asarray(some.image))


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), -0.5, 10.5, "strong", None, True])
def test_a_scale_out_of_range_is_refused_by_name(scale):
    with pytest.raises(LantuError, match=r"a control's scale can't be .*: choose a value from 0 to 10"):
        Control(Image.new("RGB", (32, 32)), "edges", scale)


def test_what_can_not_control_is_told(model, tiny_model):
    lines = Image.new("RGB", (32, 32))
    with pytest.raises(LantuError, match="no control by smell"):
        model.draw("a cat", control=Control(lines, "smell"))
    with pytest.raises(ImageError, match="16x16 pixels, the drawing 32x32"):
        model.draw("a cat", control=Control(lines.resize((16, 16))))
    with pytest.raises(LantuError, match="can't be controlled"):
        lantu.load(tiny_model, device="cpu").draw("a cat", control=Control(lines))


def test_the_command_takes_lines_or_a_photo(model, tmp_path, monkeypatch, capsys):
    from lantu.cli import main

    monkeypatch.chdir(tmp_path)
    Image.fromarray(square()).save("photo.png")
    Image.fromarray(controls.lit(controls.edges(square()))).save("lines.png")
    draw = ["draw", "a cat", "--seed", "3", "--model", str(model.folder.path)]
    assert main([*draw, "--control", "lines.png", "-o", "a.png"]) == 0
    assert main([*draw, "--control", "photo.png", "--control-kind", "photo", "-o", "b.png"]) == 0
    assert np.array_equal(np.asarray(Image.open("a.png")), np.asarray(Image.open("b.png")))
    Image.new("RGB", (50, 40)).save("other.png")
    capsys.readouterr()
    assert main([*draw, "--control", "other.png", "-o", "c.png"]) == 2
    assert "50x40" in capsys.readouterr().err
    assert main([*draw, "--control", "other.png", "--fit", "-o", "c.png"]) == 0
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert main([*draw, "--control", "broken.png", "-o", "d.png"]) == 2
