"""Learnt stems, codes of several kinds, sequences and codecs: each is a setting of the one image tokenizer."""

import json

import numpy as np
import pytest
import torch

from lantu.errors import ImageError, LantuError, ModelError
from lantu.models.diffusers.tiny_autoencoder import TinyAutoencoder, decoder, encoder
from lantu.models.lantu import components
from lantu.models.lantu.components import load_encoder
from lantu.models.lantu.tokenizer import sequence
from lantu.models.lantu.tokenizer.codebook import ResidualCodebook
from lantu.models.lantu.tokenizer.codec import Codec
from lantu.models.lantu.tokenizer.config import TokenizerConfig
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.models.lantu.tokenizer.native import NativeEncoder
from lantu.models.lantu.tokenizer.pytorch import TorchEncoder
from lantu.models.lantu.tokenizer.quantizer import Quantizer
from lantu.models.lantu.tokenizer.start import start_from_patches
from lantu.weights import tensors

SMALL = {
    **{"size": 32, "patch": 8, "width": 32, "encoder_layers": 1, "decoder_layers": 2, "semantic_width": 5},
    **{"quantizer": "following", "codebook_size": 32, "code_width": 8},
}
KINDS = {
    "convolutions": {"stem": 8, "head": 8, "encoder_window": 2},
    "residual": {"depth": 3},
    "lattice": {"stem": 8, "quantizer": "fsq", "codebook_size": 64, "code_width": 3, "levels": (4, 4, 4)},
    "sequence": {"queries": 8, "nested": 2},
    "latents": {"encoder_window": 2},
    "latents of one": {"patch": 8, "stem": 4, "head": 4},
}


@pytest.fixture(scope="module")
def codec_folder(tmp_path_factory):
    """A tiny autoencoder with random weights, in the files of its makers."""
    folder = tmp_path_factory.mktemp("codec")
    torch.manual_seed(1)
    for name, network in (("encoder", encoder(4, 8)), ("decoder", decoder(4, 8))):
        tensors.save(network.state_dict(), folder / name)
        (folder / name / "model.safetensors").rename(folder / f"{name}.safetensors")
    TinyAutoencoder.load(folder)
    return folder


def pictures(count: int = 8, height: int = 32, width: int = 32) -> torch.Tensor:
    """Smooth pictures in [-1, 1] that differ."""
    coarse = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(3)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")


def make(kind: str, codec_folder) -> ImageTokenizer:
    """A tokenizer of a kind, its codebook set."""
    torch.manual_seed(0)
    codec = Codec(codec_folder) if "latents" in kind else None
    sizes = {**SMALL, **({"patch": 16} if codec else {}), **KINDS[kind]}
    model = ImageTokenizer(TokenizerConfig(**sizes, **(codec.sizes if codec else {})), codec)
    start_from_patches(model, model.seen(pictures(32)))
    return model


@pytest.fixture(params=KINDS)
def model(request, codec_folder):
    return make(request.param, codec_folder)


def test_each_kind_learns(model):
    real = model.seen(pictures())
    # From the start of patches nothing is left to learn of pictures so smooth; spoilt, all parts must.
    for parameter in model.parameters():
        parameter.data.add_(0.02 * torch.randn_like(parameter)) if parameter.requires_grad else None
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(25):
        made = model.train().rebuild(real)
        loss = (made.pixels - real).square().mean() + made.quantizer_loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    assert model.quantizer.perplexity > 1
    moved = {name for name, value in model.named_parameters() if value.grad is not None}
    assert {name for name, _ in model.named_parameters() if "codebook" not in name and "semantic" not in name} <= moved


def test_each_kind_is_saved_and_opened_as_it_was(model, tmp_path):
    model.save(tmp_path / "first")
    loaded = ImageTokenizer.load(tmp_path / "first")
    assert loaded.config == model.config
    assert loaded.codes_digest() == model.codes_digest()
    loaded.save(tmp_path)  # weights are rounded when they are saved
    again = ImageTokenizer.load(tmp_path)
    assert torch.equal(again.encode(pictures()), loaded.encode(pictures()))
    assert torch.equal(again.decode(again.encode(pictures())), loaded.decode(loaded.encode(pictures())))
    assert json.loads((tmp_path / "config.json").read_text())["depth"] == model.config.depth


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 32), (16, 48)])
def test_each_kind_brings_pictures_of_other_shapes_back(model, height, width):
    real = pictures(2, height, width)
    codes = model.eval().encode(real)
    rows, columns = height // model.config.patch, width // model.config.patch
    assert codes.shape[1:] == model.config.codes_of(rows, columns)
    assert torch.equal(model(real).codes, codes)
    made = model.decode(codes, (rows, columns))
    assert made.shape == real.shape
    torch.testing.assert_close(made, model(real).pixels, atol=1e-4, rtol=1e-4)


def test_sides_that_do_not_fit_are_refused(model):
    with pytest.raises(ImageError, match=r"a picture of 32x36 pixels"):
        model.encode(torch.zeros(1, 3, 36, 32))


def test_what_computes_codes_agrees(model, tmp_path):
    model.save(tmp_path)
    model, real = ImageTokenizer.load(tmp_path), pictures(2, 32, 64)
    there = load_encoder(tmp_path)
    assert isinstance(there, NativeEncoder) == (not (model.config.stem or model.config.queries or model.codec))
    assert np.array_equal(there.encode(real.numpy()), model.encode(real).numpy())
    assert np.array_equal(TorchEncoder.load(tmp_path).encode(real.numpy()), model.encode(real).numpy())
    if model.config.depth > 1 or model.config.queries:
        assert there.distances(real.numpy()) is None


def test_without_torch_what_needs_it_says_so(codec_folder, tmp_path, monkeypatch):
    make("convolutions", codec_folder).save(tmp_path)
    monkeypatch.setattr(components, "find_spec", lambda _: None)
    with pytest.raises(LantuError, match=r"encoder \(stem\) is computed by torch"):
        load_encoder(tmp_path)


def test_stem_and_head_start_by_adding_nothing_and_see_beyond_a_cell(codec_folder):
    model, real = make("convolutions", codec_folder).eval(), pictures()
    assert model.encoder.stem(real).abs().max() == 0
    assert model.decoder.head(torch.randn(8, 16, 32), 4, 4).abs().max() == 0
    torch.nn.init.normal_(model.encoder.stem.out.weight)
    other = real.clone()
    other[:, :, :, 8] += 1.0  # the first column of the second cell
    assert not torch.equal(model.encoder.stem(real)[:, 0], model.encoder.stem(other)[:, 0])


def test_more_codes_of_a_cell_say_more():
    torch.manual_seed(0)
    vectors = torch.randn(2000, 6)
    book = ResidualCodebook(6, 16, 3).eval()
    book.set(vectors)
    left = []
    for depth in (1, 2, 3):
        some = ResidualCodebook(6, 16, depth).eval()
        some.load_state_dict({name: value for name, value in book.state_dict().items() if int(name[7]) < depth})
        found, codes, _ = some(vectors[None])
        assert codes.shape == (1, 2000 * depth)
        left.append(float((found[0] - vectors).square().mean()))
    assert left[0] > left[1] > left[2]


def test_codes_of_a_cell_are_embedded_together(codec_folder):
    model = make("residual", codec_folder).eval()
    z = torch.randn(2, 5, 8)
    vectors, codes, _ = model.quantizer(z)
    torch.testing.assert_close(model.quantizer.embed(codes), vectors.detach(), atol=1e-5, rtol=1e-5)
    assert model.quantizer.vectors().shape == (96, 8)


@pytest.mark.parametrize("kind", ["vq", "simvq", "following", "residual"])
def test_unused_codes_of_every_learnt_kind_come_back(kind):
    torch.manual_seed(0)
    sizes = SMALL | ({"depth": 2} if kind == "residual" else {"quantizer": kind})
    codes = Quantizer(TokenizerConfig(**sizes))
    vectors = torch.randn(400, 8)
    codes.set_codebook(vectors)
    lost = 100 + torch.arange(8.0)
    with torch.no_grad():
        state = codes.inner.state_dict(keep_vars=True)
        names = {"vq": "_codebook.embed", "simvq": "frozen_codebook", "residual": "levels.0.codebook"}
        state[names.get(kind, "codebook")].view(-1, 8)[3] = lost
        codes.usage.fill_(1.0)
        codes.usage[3] = 0.0
    before = codes.vectors().clone()
    codes.refit(vectors)
    after = codes.vectors().detach()
    assert (after[3] - vectors).norm(dim=1).min() < (1e-3 if kind != "simvq" else 1e-2)
    if kind in ("vq", "simvq"):
        others = torch.arange(32) != 3
        torch.testing.assert_close(after[others], before[others])


def test_a_sequence_starts_as_the_mean_patch(codec_folder):
    made = make("sequence", codec_folder).eval()(pictures()).pixels
    assert made.std(0).max() < 0.05
    assert (made.mean((2, 3)) - pictures().mean((0, 2, 3))).abs().max() < 0.15


@pytest.mark.parametrize("kind", ["following", "vq", "fsq"])
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_pictures_that_are_all_alike_can_be_learnt(kind, noise):
    sizes = {"quantizer": kind, "semantic_width": 0}
    sizes |= {"codebook_size": 64, "code_width": 3, "levels": (4, 4, 4)} if kind == "fsq" else {}
    torch.manual_seed(0)
    model, real = ImageTokenizer(TokenizerConfig(**{**SMALL, **sizes})), torch.full((1, 3, 32, 32), 0.1)
    real = real + noise * torch.randn_like(real)
    start_from_patches(model, real)
    made = model(real)
    (made.pixels - real).square().mean().add(made.quantizer_loss).backward()
    assert (made.pixels - real).abs().max() < 0.1
    assert made.quantizer_loss < 1
    assert all(value.isfinite().all() for value in model.state_dict().values() if value.is_floating_point())
    assert all(value.grad.isfinite().all() for value in model.parameters() if value.grad is not None)


def test_a_lattice_starts_with_the_components_of_patches():
    torch.manual_seed(0)
    sizes = {"quantizer": "fsq", "codebook_size": 4096, "code_width": 4, "levels": (8, 8, 8, 8), "semantic_width": 0}
    model, real = ImageTokenizer(TokenizerConfig(**{**SMALL, **sizes})).eval(), pictures(64)
    start_from_patches(model, real)
    spread = (real - real.mean((2, 3), keepdim=True)).square().mean()
    assert (model(real).pixels - real).square().mean() < 0.35 * spread


def test_any_prefix_of_a_sequence_makes_a_picture(codec_folder):
    model = make("sequence", codec_folder).eval()
    codes = model.encode(pictures())
    assert codes.shape == (8, 1, 8)
    for count in (1, 2, 5, 8):
        assert model.decode(codes[:, :, :count], (4, 8)).shape == (8, 3, 32, 64)
    with pytest.raises(ImageError, match="a sequence of 9 codes"):
        model.decode(torch.zeros(1, 1, 9, dtype=torch.long))


def test_a_code_of_a_sequence_depends_on_those_before_it_alone(codec_folder):
    model = make("sequence", codec_folder).eval()
    before = model.encoder(pictures())
    model.encoder.queries.tokens.data[5:] += 1.0
    after = model.encoder(pictures())
    assert torch.equal(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5:], after[:, 5:])


def test_prefixes_in_training_have_all_lengths():
    torch.manual_seed(0)
    lengths = [sequence.prefix(12, 2) for _ in range(200)]
    assert set(lengths) == {2, 4, 8, 12}
    assert lengths.count(12) > 80
    assert {sequence.prefix(8, 8) for _ in range(20)} == {8}


def test_a_long_sequence_is_written_in_rows():
    config = TokenizerConfig(**SMALL, queries=256)
    assert config.codes_of(4, 4) == (4, 64)
    assert config.codes_of(9, 2) == (4, 64)


def test_a_codec_belongs_to_its_tokenizer(codec_folder, tmp_path):
    model = make("latents", codec_folder)
    assert (model.config.channels, model.config.cell) == (4, 2)
    model.save(tmp_path)
    name = tmp_path / "codec" / "decoder.safetensors"
    name.unlink()
    tensors.save({"1.weight": torch.zeros(8, 4, 3, 3)}, tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").rename(name)
    with pytest.raises(ModelError, match="doesn't hold the codec of this image tokenizer"):
        ImageTokenizer.load(tmp_path)


def test_gradients_pass_a_codec(codec_folder):
    model = make("latents", codec_folder)
    before = [parameter.clone() for parameter in model.codec.codec.decoder.parameters()]
    model(pictures()).pixels.square().mean().backward()
    assert model.decoder.out.linear.weight.grad.abs().sum() > 0
    assert all(torch.equal(a, b) for a, b in zip(before, model.codec.codec.decoder.parameters(), strict=True))


WRONG = [
    ({"depth": 2, "quantizer": "vq"}, "need the quantizer 'following'"),
    ({"depth": 2, "queries": 8}, "need the quantizer 'following' and a grid"),
    ({"queries": 65}, "a sequence of 65 codes"),
    ({"queries": 8, "encoder_window": 2}, "without windows"),
    ({"nested": 3}, "no prefix of 3 codes"),
    ({"latents": 4}, "set both or neither"),
    ({"latents": 4, "factor": 3}, "a multiple of that"),
    ({"latents": 4, "factor": 8, "reach": 16}, "and no reach"),
    ({"stem": 8, "patch": 24, "size": 48}, "a power of two"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG)
def test_odd_sizes_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        TokenizerConfig(**{**SMALL, **wrong})


@pytest.mark.parametrize("wrong", [wrong for wrong, _ in WRONG])
def test_odd_configs_of_folders_are_refused_before_anything_is_made(wrong, codec_folder, tmp_path):
    make("convolutions", codec_folder).save(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"stem": 0, "head": 0, "encoder_window": 0} | wrong))
    with pytest.raises(ModelError, match=r"config\.json"):
        ImageTokenizer.load(tmp_path)
