"""The decoder of sequences: any prefix of the codes is rendered as in training, alone and in any batch."""

import json

import numpy as np
import pytest
import torch

from lantu.diffusion.decoder import Conditioning, DiffusionDecoder
from lantu.diffusion.flow import Corruption
from lantu.diffusion.sample import sample
from lantu.errors import ModelError
from lantu.models.lantu.components import load_decoder
from lantu.models.lantu.decoder.config import DecoderConfig
from lantu.models.lantu.decoder.native import NativeDenoiser
from lantu.models.lantu.decoder.network import PixelDecoder
from lantu.models.lantu.decoder.pytorch import as_decoder
from lantu.models.lantu.tokenizer.config import TokenizerConfig
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.types import MASK_CODE
from lantu.weights import manifest

ORDER = {"queries": 16, "nested": 2, "cells": 4}
SEEDS = [1, 2, 3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    network = PixelDecoder(DecoderConfig(patch=8, width=32, layers=2, codebook_size=32, **ORDER))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    folder = tmp_path_factory.mktemp("decoder")
    network.save(folder)
    return folder


@pytest.fixture(scope="module")
def codes():
    """All codes of a picture, the first five, and none."""
    codes = np.random.default_rng(0).integers(0, 32, (3, 1, 16))
    codes[1, :, 5:] = MASK_CODE
    codes[2] = MASK_CODE
    return codes


def test_kernels_and_torch_agree_on_prefixes(folder, codes):
    network, denoiser = PixelDecoder.load(folder), NativeDenoiser.load(folder, precise=True)
    native = sample(DiffusionDecoder(denoiser, 8, canvas=denoiser.canvas), codes, SEEDS, steps=2)
    assert native.shape == (3, 3, 32, 32)
    np.testing.assert_allclose(native, sample(as_decoder(network), codes, SEEDS, steps=2), atol=1e-3)
    told = Conditioning(torch.from_numpy(codes))
    x = torch.randn(3, 3, 32, 32)
    with torch.inference_mode():
        times = torch.full((3,), 0.3)
        np.testing.assert_allclose(
            denoiser(x.numpy(), 0.3, Conditioning(codes)), network(x, times, codes_of(told)), atol=1e-3
        )


def codes_of(told):
    return told.codes_Bhw


def test_prefixes_of_other_lengths_in_the_batch_change_nothing(folder, codes):
    decoder = load_decoder(folder)
    together = sample(decoder, codes, SEEDS, steps=2, guidance=1.5)
    for number, seed in enumerate(SEEDS):
        alone = sample(decoder, codes[number : number + 1], [seed], steps=2, guidance=1.5)
        assert np.array_equal(alone[0], together[number])


def test_masked_codes_are_as_if_they_were_not_there(folder, codes):
    decoder, network = load_decoder(folder), PixelDecoder.load(folder)
    assert np.array_equal(sample(decoder, codes[1:2, :, :5], [2], steps=2), sample(decoder, codes[1:2], [2], steps=2))
    x, time, all_codes = torch.randn(2, 3, 32, 32), torch.tensor([0.2, 0.7]), torch.from_numpy(codes[:2])
    masked = network(x, time, all_codes)[1]  # as in training: beside a picture of all codes
    torch.testing.assert_close(masked, network(x[1:], time[1:], all_codes[1:, :, :5])[0], atol=1e-5, rtol=1e-4)


def test_training_hides_prefixes_of_every_length():
    spoil = Corruption(dropped=0, hidden=1, spoilt=0, fewest=2)
    codes = torch.zeros(512, 1, 16, dtype=torch.long)
    left = (spoil(codes, 32, torch.Generator().manual_seed(0)) != MASK_CODE).sum((1, 2))
    assert (int(left.min()), int(left.max())) == (2, 15)
    shares = [((left >= low) & (left < 2 * low)).float().mean() for low in (2, 4, 8)]
    assert all(0.25 < share < 0.42 for share in shares)


def test_it_starts_as_the_plain_decoder(folder):
    torch.manual_seed(0)
    sizes = {"width": 32, "encoder_layers": 1, "decoder_layers": 2, "codebook_size": 32, "code_width": 4}
    tokenizer = ImageTokenizer(
        TokenizerConfig(size=32, patch=8, quantizer="following", queries=16, nested=2, semantic_width=0, **sizes)
    ).eval()
    network = PixelDecoder(DecoderConfig(patch=8, width=32, layers=2, codebook_size=32, **ORDER))
    network.start_from(tokenizer.decoder.state_dict(), tokenizer.code_embeddings())
    codes = torch.randint(32, (2, 1, 16))
    with torch.inference_mode():
        made = network(torch.randn(2, 3, 32, 32), torch.rand(2), codes[:, :, :6])
        torch.testing.assert_close(made, tokenizer.decode(codes[:, :, :6]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "wrong",
    [{"queries": 15}, {"cells": 0}, {"cells": 65}, {"queries": 0}, {"nested": 17}, {"queries": -1}, {"cells": "4"}],
)
def test_odd_numbers_of_a_sequence_are_refused(folder, wrong, tmp_path):
    config = json.loads((folder / "config.json").read_text()) | wrong
    with pytest.raises(ModelError):
        manifest.check("decoder", config, PixelDecoder.load(folder).state_dict())
