"""Picture → codes → picture, for every quantiser."""

import numpy as np
import pytest
import torch

from lantu.errors import ImageError, ModelError
from lantu.models.lantu.tokenizer import codebook
from lantu.models.lantu.tokenizer.config import LATER, TokenizerConfig
from lantu.models.lantu.tokenizer.discriminator import PatchDiscriminator, discriminator_loss, generator_loss
from lantu.models.lantu.tokenizer.losses import ReconstructionLoss
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.models.lantu.tokenizer.start import start_from_patches

SMALL = {"size": 32, "patch": 8, "width": 32, "encoder_layers": 1, "decoder_layers": 2, "semantic_width": 5}
KINDS = {
    "vq": TokenizerConfig(**SMALL, quantizer="vq", codebook_size=16, code_width=8),
    "simvq": TokenizerConfig(**SMALL, quantizer="simvq", codebook_size=16, code_width=8),
    "following": TokenizerConfig(
        **SMALL, quantizer="following", codebook_size=16, code_width=8, reach=16, encoder_window=1
    ),
    "fsq": TokenizerConfig(**SMALL, quantizer="fsq", codebook_size=64, code_width=3, levels=(4, 4, 4)),
}


class Vision(torch.nn.Module):
    """A vision network of five equal channels."""

    def maps(self, pixels):
        return pixels.mean(1, keepdim=True).expand(-1, 5, -1, -1)


def pictures(count: int = 8, size: int = 32) -> torch.Tensor:
    """Smooth pictures in [-1, 1] that differ."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(count, 3, 4, 4, generator=generator) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=(size, size), mode="bilinear")


@pytest.fixture(params=KINDS)
def model(request):
    torch.manual_seed(0)
    tokenizer = ImageTokenizer(KINDS[request.param])
    tokenizer(pictures())  # the first batch sets a learnt codebook
    return tokenizer


def test_shapes_and_range_of_codes(model):
    made = model(pictures())
    assert made.pixels.shape == (8, 3, 32, 32)
    assert made.codes.shape == (8, 4, 4)
    assert made.features.shape == (8, 16, 5)
    assert made.codes.min() >= 0
    assert made.codes.max() < model.config.codebook_size


def test_encoding_gives_the_codes_of_the_forward_pass_for_any_grid(model):
    model.eval()
    wide = pictures(2, 32).repeat(1, 1, 1, 2)
    assert torch.equal(model.encode(wide), model(wide).codes)
    assert model.encode(wide).shape == (2, 4, 8)


def test_gradients_reach_the_encoder_through_the_rounding(model):
    made = model(pictures())
    made.pixels.square().mean().backward()
    assert model.encoder.out.weight.grad.abs().sum() > 0


def test_the_plain_decoder_sees_a_code_as_its_embedding(model):
    model.eval()
    made = model(pictures())
    vectors = model.quantizer.vectors()[made.codes.flatten(1)]
    again, _ = model.decoder(vectors, 4, 4)
    torch.testing.assert_close(again, made.pixels, atol=1e-4, rtol=1e-3)
    assert model.code_embeddings().shape == (model.config.codebook_size, 32)


def test_what_is_saved_is_what_is_loaded(model, tmp_path):
    model.eval()
    model.save(tmp_path)
    loaded = ImageTokenizer.load(tmp_path)
    assert loaded.config == model.config
    assert loaded.codes_digest() == model.codes_digest()
    loaded.save(tmp_path / "again")
    again = ImageTokenizer.load(tmp_path / "again")
    assert torch.equal(again.encode(pictures()), loaded.encode(pictures()))


def test_a_tokenizer_without_a_codebook_is_refused(tmp_path):
    ImageTokenizer(KINDS["vq"]).save(tmp_path)
    with pytest.raises(ModelError, match="no codebook yet"):
        ImageTokenizer.load(tmp_path)


def test_a_damaged_folder_is_named(tmp_path):
    with pytest.raises(ModelError, match="no image tokenizer"):
        ImageTokenizer.load(tmp_path)


def test_sides_that_do_not_fit_are_refused(model):
    with pytest.raises(ImageError, match="multiple of 8"):
        model.encode(torch.zeros(1, 3, 30, 32))


@pytest.mark.parametrize("more", [{"quantizer": "vq"}, {"quantizer": "following", "reach": 16}, {"quantizer": "simvq"}])
def test_starting_from_patches_beats_a_random_start(more):
    torch.manual_seed(0)
    config = TokenizerConfig(**SMALL, **more, codebook_size=64, code_width=16)
    model, real = ImageTokenizer(config), pictures(64)
    before = (model(real).pixels - real).square().mean()
    start_from_patches(model, real)
    after = (model.eval()(real).pixels - real).square().mean()
    assert after < before / 4
    spread = (real - real.mean((2, 3), keepdim=True)).square().mean()
    assert after < spread  # better than each picture's mean colour


def test_frozen_codes_stay_while_the_decoder_learns():
    torch.manual_seed(0)
    model, real = ImageTokenizer(KINDS["vq"]), pictures()
    start_from_patches(model, real)
    model.freeze_codes()
    digest, codes = model.codes_digest(), model.eval().encode(real)
    model.train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    before = [p.clone() for p in model.decoder.parameters()]
    model(real).pixels.square().mean().backward()
    optimizer.step()
    assert model.codes_digest() == digest
    assert torch.equal(model.eval().encode(real), codes)
    assert any(not torch.equal(p, q) for p, q in zip(before, model.decoder.parameters(), strict=True))


def test_use_of_the_codebook_is_measured():
    torch.manual_seed(0)
    model = ImageTokenizer(KINDS["vq"]).train()
    for _ in range(3):
        codes = model(pictures()).codes
    assert 1 <= model.quantizer.perplexity <= 16
    assert model.quantizer.used >= codes.unique().numel() / 16


def test_while_open_nothing_is_rounded():
    model = ImageTokenizer(KINDS["vq"])
    model.quantizer.open.fill_(True)
    made = model(pictures())
    assert (made.codes == -1).all()
    assert made.quantizer_loss == 0


def test_the_loss_is_the_weighted_sum_of_its_parts():
    model, real = ImageTokenizer(KINDS["vq"]).eval(), pictures()
    made = model(real)
    plain, _ = ReconstructionLoss()(real, made)
    judge = ReconstructionLoss(
        perceptual=lambda a, b: (a - b).square().mean((1, 2, 3)),
        perceptual_weight=2.0,
        vision=Vision(),
        semantic_weight=0.5,
        share=0.5,
    )
    full, parts = judge(real, made)
    error = (made.pixels[:4] - real[:4]).square().mean()
    torch.testing.assert_close(parts["lpips"], error.detach())
    torch.testing.assert_close(full, plain + 2.0 * parts["lpips"] + 0.5 * parts["semantic"])


def test_a_critic_learns_to_tell_noise_from_pictures():
    torch.manual_seed(0)
    critic, real = PatchDiscriminator(8, 2), pictures()
    fake = torch.randn_like(real)
    optimizer = torch.optim.Adam(critic.parameters(), 1e-2)
    for _ in range(15):
        loss = discriminator_loss(critic(real), critic(fake))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.5
    assert generator_loss(critic(real)) < generator_loss(critic(fake))


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 33},
        {"quantizer": "fsq", "levels": (4, 4), "code_width": 2, "codebook_size": 15},
        {"codebook_size": 1},
        {"reach": 12},
        {"reach": 6},
        {"unknown": 1},
    ],
)
def test_impossible_sizes_are_refused(wrong):
    with pytest.raises(ValueError):  # noqa: PT011
        TokenizerConfig(**{**SMALL, **wrong})


def test_settings_that_came_later_change_no_digest_of_former_tokenizers():
    assert "reach" not in KINDS["vq"].describe()
    assert '"reach":16' in KINDS["following"].describe()
    assert KINDS["vq"].describe() == KINDS["vq"].model_dump_json(exclude=set(LATER))
    assert '"depth":2' in KINDS["following"].model_copy(update={"depth": 2}).describe()


def test_in_a_window_of_one_cell_a_code_depends_on_its_reach_alone():
    torch.manual_seed(0)
    model = ImageTokenizer(KINDS["following"])
    start_from_patches(model, pictures(64))
    for block in model.encoder.blocks:  # awake, or there would be nothing to see
        torch.nn.init.normal_(block.feed_forward.down.weight, std=0.1)
        torch.nn.init.normal_(block.attention.out.weight, std=0.1)
    real = pictures()
    other = real.clone()
    other[:, :, :, 12:] = 0.3  # beyond the 8 + 4 pixels that the first column sees
    first, second = model.encoder(real).view(8, 4, 4, 8), model.encoder(other).view(8, 4, 4, 8)
    assert torch.equal(first[:, :, 0], second[:, :, 0])
    assert not torch.equal(first[:, :, 1], second[:, :, 1])


@pytest.mark.parametrize("window", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", ["vq", "following", "fsq"])
def test_the_kernels_give_the_same_codes(kind, window, tmp_path):
    from lantu.models.lantu.tokenizer import native

    torch.manual_seed(0)
    config = KINDS[kind].model_copy(update={"encoder_window": window, "encoder_layers": 2})
    model = ImageTokenizer(config)
    model(pictures())
    model.eval().save(tmp_path)
    loaded = ImageTokenizer.load(tmp_path)
    wide = torch.cat([pictures(3), pictures(6)[3:]], 3)[:, :, :24]
    codes = native.NativeEncoder.load(tmp_path).encode(wide.numpy())
    assert codes.shape == (3, 3, 8)
    assert len(set(codes.flatten().tolist())) > 3
    assert (codes == loaded.encode(wide).numpy()).mean() > 0.98  # sums in another order may round a tie apart


@pytest.mark.parametrize("kind", ["vq", "following", "simvq", "fsq"])
def test_torch_reads_pictures_as_the_kernels_do(kind, tmp_path):
    from lantu.models.lantu.components import load_encoder
    from lantu.models.lantu.tokenizer.pytorch import TorchEncoder

    torch.manual_seed(0)
    model = ImageTokenizer(KINDS[kind].model_copy(update={"encoder_layers": 2}))
    model(pictures())
    model.eval().save(tmp_path)
    native, there = load_encoder(tmp_path, "cpu"), TorchEncoder.load(tmp_path)
    wide = torch.cat([pictures(3), pictures(6)[3:]], 3)[:, :, :24].numpy()
    codes = there.encode(wide)
    assert codes.shape == (3, 3, 8)
    assert codes.dtype == np.int64
    assert (codes == native.encode(wide)).mean() > 0.98
    assert there.variance == pytest.approx(native.variance, rel=1e-4)
    distances = there.distances(wide)
    if kind == "fsq":
        assert distances is native.distances(wide) is there.vectors_KE is None
    else:
        assert (distances.argmin(-1).reshape(codes.shape) == codes).mean() > 0.98
        np.testing.assert_allclose(distances, native.distances(wide), atol=1e-3 * float(distances.max()))
    with torch.no_grad():
        there.network.encoder.out.bias[0] = torch.nan
    with pytest.raises(ModelError, match="not finite"):
        there.encode(wide)


def test_k_means_settles_and_brings_back_codes_without_use():
    torch.manual_seed(0)
    heaps = torch.randn(6, 2) * 10
    vectors = (heaps[:, None] + 0.1 * torch.randn(6, 50, 2)).flatten(0, 1)
    found = codebook.means(vectors, 6)
    assert (torch.cdist(heaps, found).min(1).values < 1).sum() >= 4  # it may begin twice in one heap
    lost = torch.cat([heaps[:5], torch.full((1, 2), 1e3)])  # the last one is far from everything
    assert torch.cdist(heaps[5:], codebook.kmeans_step(vectors, lost)).min() < 0.5
    model = ImageTokenizer(KINDS["following"])
    model.quantizer.set_codebook(torch.randn(200, 8))
    before = model.quantizer.vectors().clone()
    model.quantizer.refit(torch.randn(400, 8), training=False)
    assert 0 < (model.quantizer.vectors() - before).norm(dim=1).median() < 1  # each is still what it was, roughly


def test_codes_follow_the_vectors_that_they_serve_and_only_in_training():
    torch.manual_seed(0)
    codes = codebook.FollowingCodebook(2, 3)
    codes.codebook.data.copy_(torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]]))
    z = torch.tensor([[[1.0, 0.0], [1.0, 2.0], [9.0, 0.0]]], requires_grad=True)
    vectors, found, loss = codes.eval()(z)
    assert found.tolist() == [[0, 0, 1]]
    assert codes.codebook[1].tolist() == [10, 0]
    codes.train()(z)
    far = 1 - codebook.RATE
    torch.testing.assert_close(codes.codebook[0], (1 - far**2) * torch.tensor([1.0, 1.0]))
    torch.testing.assert_close(codes.codebook[1], torch.tensor([10 - codebook.RATE, 0.0]))
    assert codes.codebook[2].tolist() == [0, 10]
    (vectors.square().sum() + loss).backward()
    assert z.grad.abs().sum() > 0
    assert codes.codebook.grad is None


def test_settling_keeps_rare_codes_and_moves_those_that_training_does_not_use():
    torch.manual_seed(0)
    codes = ImageTokenizer(KINDS["following"]).quantizer
    codes.set_codebook(torch.randn(200, 8))
    with torch.no_grad():
        codes.inner.codebook[:2] = torch.tensor([[50.0], [60.0]])  # far from all that comes now
    codes.usage.fill_(1e-3)
    codes.usage[1] = 0
    codes.refit(torch.randn(300, 8))
    assert torch.equal(codes.vectors()[0], torch.full((8,), 50.0))
    assert codes.vectors()[1].abs().max() < 6


@pytest.mark.parametrize("kind", ["following", "simvq"])
def test_codes_are_looked_up_in_float32_where_training_multiplies_in_bfloat16(kind):
    torch.manual_seed(0)
    codes = ImageTokenizer(KINDS[kind].model_copy(update={"codebook_size": 512})).quantizer.eval()
    codes.set_codebook(30 + torch.randn(4000, 8))  # far from nought, so that squares are large
    z = 30 + torch.randn(2, 300, 8)
    wanted = (z.double()[:, :, None] - codes.vectors().double()).square().sum(-1).argmin(-1)
    with torch.autocast("cpu", torch.bfloat16):
        found = codes(z)[1]
    assert (found == wanted).float().mean() > 0.97
