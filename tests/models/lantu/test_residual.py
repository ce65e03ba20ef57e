"""Several codes a cell in a model directory: drafted level by level, rendered together, and what is refused."""

import json

import numpy as np
import pytest
import torch
from changed_config import with_changed_config

import lantu
import tiny_language
from lantu.diffusion.decoder import Conditioning, DiffusionDecoder
from lantu.diffusion.flow import Corruption, replace
from lantu.diffusion.sample import sample
from lantu.engine.drafting import draft
from lantu.engine.engine import Engine
from lantu.engine.request import InTurn
from lantu.errors import DataError, ImageError, LantuError, ModelError
from lantu.models import hub
from lantu.models.lantu.components import load_decoder
from lantu.models.lantu.decoder.config import DecoderConfig
from lantu.models.lantu.decoder.native import NativeDenoiser
from lantu.models.lantu.decoder.network import PixelDecoder
from lantu.models.lantu.decoder.pytorch import as_decoder
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.models.validation import check_codes
from lantu.recipes.adopt_language import adopt_language
from lantu.recipes.assemble import assemble
from lantu.tokens.grammar import Grammar
from lantu.tokens.vocabulary import Vocabulary
from lantu.types import MASK_CODE
from lantu.weights import manifest

CODES, DEPTH = 24, 3  # of each level, and codes of a cell: pictures of 32 px have 4 x 4 cells, 4 x 12 codes
SEEDS = [1, 2, 3]


@pytest.fixture(scope="module")
def model(residual_model):
    return lantu.load(residual_model, device="cpu")


def levels(codes):
    """The level of each code of a grid, and those that its place asks for."""
    return codes // CODES, np.broadcast_to(np.arange(codes.shape[-1]) % DEPTH, codes.shape)


def test_it_says_how_many_codes_a_cell_has(model):
    facts = model.folder.check().describe()
    assert (facts["pixels"], facts["grid"], facts["ids"]) == ("32x32", "12x4", 48)
    assert (facts["codes_of_a_cell"], facts["codebook"]) == (DEPTH, CODES * DEPTH)
    assert model.size == (32, 32)
    assert "num_codes" in model.folder.unused_params


def test_drawings_have_a_code_of_each_level_in_turn(model):
    picture = model.draw("a cat", seed=3)
    assert picture.image.size == (32, 32)
    assert picture.codes.shape == (4, 12)
    assert np.array_equal(*levels(picture.codes))
    assert len(np.unique(picture.codes)) > 12
    wide = model.draw("a cat", seed=3, size=(48, 32))
    assert (wide.image.size, wide.codes.shape) == ((48, 32), (4, 18))
    assert np.array_equal(*levels(wide.codes))


def test_draft_tokens_change_no_code(model):
    layout = model.parts.layout
    params = model.folder.settings.change(temperature=1.0)
    plain = layout.draw("a cat", (4, 12), 5, params)
    assert isinstance(plain.allowed, InTurn)
    ahead = layout.draw("a cat", (4, 12), 5, params.change(num_draft_tokens=4))
    found = [draft(Engine(model.parts.language), [request])[0] for request in (plain, ahead)]
    assert found[0] == found[1]
    assert np.array_equal(layout.codes(found[0], (4, 12)), model.draw("a cat", seed=5, temperature=1.0).codes)


def test_pictures_are_tokenized_rendered_and_captioned(model):
    picture = model.draw("a cat", seed=3)
    codes = model.tokenize(picture.image)
    assert codes.shape == (4, 12)
    assert np.array_equal(*levels(codes))
    assert model.render(codes, seed=1).image.size == (32, 32)
    assert isinstance(model.caption(picture, "en"), str)
    assert isinstance(model.caption(picture.image, "zh"), str)
    shown = [step.preview for step in model.stream("a cat", seed=3)]
    assert len(shown) == 4  # a preview after each row of cells but the last, and the picture
    assert np.array_equal(np.asarray(shown[-1]), np.asarray(picture.image))


def test_whole_cells_are_filled(model):
    picture = model.draw("a cat", seed=3)
    edited = model.edit(picture, "a dog", box=(8, 0, 24, 12), seed=1)
    same = edited.codes == picture.codes
    holes = np.zeros((4, 12), bool)
    holes[:2, DEPTH : 3 * DEPTH] = True
    assert same[~holes].all()
    assert not same[holes].all()
    assert np.array_equal(*levels(edited.codes))


def test_the_grammar_takes_turns(model):
    vocabulary = model.parts.vocabulary
    assert vocabulary.depth == DEPTH
    rules, start = Grammar(vocabulary), [vocabulary.special(name) for name in ("bos", "boi")]
    state = rules.read([*start, vocabulary.side(1), vocabulary.side(2 * DEPTH)])
    for place in range(2 * DEPTH):
        assert rules.allowed(state) == (vocabulary.levels[place % DEPTH],)
        state = rules.advance(state, vocabulary.levels[place % DEPTH][place])
    assert rules.allowed(state) == rules.specials("eoi")
    with pytest.raises(ValueError, match="levels"):
        Vocabulary(300, 32, 3)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ([[0, CODES, 2 * CODES, 1]], "one of each level in turn"),
        ([[CODES, 0, 2 * CODES]], "one of each level in turn"),
        ([[0, CODES, 3 * CODES]], "codes from 0 to 72"),
    ],
)
def test_other_codes_are_refused(model, codes, message):
    with pytest.raises(DataError, match=message):
        check_codes(np.array(codes), model.folder)


def test_too_wide_a_picture_is_refused(model):
    assert model.parts.layout.grid_of((21 * 8, 64)) == (8, 63)
    with pytest.raises(ImageError, match="176 pixels are too wide for 3 codes a cell") as refused:
        model.parts.layout.grid_of((22 * 8, 64))
    assert "168 wide at most" in refused.value.hint


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("decoder", {"depth": 2}, "different numbers of codes a cell"),
        ("decoder", {"depth": 5}, "depth"),
        ("decoder", {"depth": 1}, "different numbers of codes a cell"),
        ("decoder", {"queries": 16, "cells": 4}, "depth"),
        ("tokenizer", {"depth": 2}, "codebooks of different sizes"),
        ("language", {"lantu": {"depth": 7}}, "depth"),
        ("language", {"lantu": {"depth": 2}}, "different numbers of codes a cell"),
        ("language", {"lantu": {"grid": [4, 4]}}, "draws 4x4 codes, its tokenizer makes 12x4"),
    ],
)
def test_parts_that_do_not_fit_are_refused(residual_model, tmp_path, part, changes, message):
    changed = with_changed_config(residual_model, tmp_path / "changed", part, changes)
    with pytest.raises(ModelError, match=message):
        hub.find(changed).check()


def test_a_pretrained_language_model_takes_its_codes(residual_model, tmp_path):
    tiny_language.write(tmp_path / "published", "llama", True, rows=352)
    adopt_language(str(tmp_path / "published"), tmp_path / "adopted", residual_model, rows="codes")
    made = assemble(residual_model, tmp_path / "adopted", residual_model, tmp_path / "model").path
    assert np.array_equal(*levels(lantu.load(made, device="cpu").draw("a red cat", seed=1).codes))


def test_the_pipeline_for_diffusers_is_refused(model):
    from lantu.models.lantu.export.folder import check

    with pytest.raises(LantuError, match="has 3 codes"):
        check(model.folder)


# The decoder


@pytest.fixture(scope="module")
def codes():
    """All codes of a picture, the first five cells and a part of the sixth, and none."""
    made = np.random.default_rng(0).integers(0, CODES, (3, 4, 12)) + CODES * (np.arange(12) % DEPTH)
    made[1].reshape(-1)[17:] = MASK_CODE
    made[2] = MASK_CODE
    return made


def test_kernels_and_torch_agree(residual_model, codes):
    network, denoiser = (
        PixelDecoder.load(residual_model / "decoder"),
        NativeDenoiser.load(residual_model / "decoder", precise=True),
    )
    native = sample(DiffusionDecoder(denoiser, 8, depth=denoiser.depth), codes, SEEDS, steps=2)
    assert native.shape == (3, 3, 32, 32)
    np.testing.assert_allclose(native, sample(as_decoder(network), codes, SEEDS, steps=2), atol=1e-3)
    x = torch.randn(3, 3, 32, 32)
    with torch.inference_mode():
        made = network(x, torch.full((3,), 0.3), torch.from_numpy(codes))
    np.testing.assert_allclose(denoiser(x.numpy(), 0.3, Conditioning(codes)), made, atol=1e-3)
    decoder = load_decoder(residual_model / "decoder")
    together = sample(decoder, codes, SEEDS, steps=2, guidance=1.5)
    alone = sample(decoder, codes[1:2], SEEDS[1:2], steps=2, guidance=1.5)
    assert np.array_equal(alone[0], together[1])


def test_it_starts_as_the_plain_decoder(residual_model, codes):
    tokenizer = ImageTokenizer.load(residual_model / "tokenizer").eval()
    with torch.no_grad():
        tokenizer.decoder.embed.bias.normal_()
    network = PixelDecoder(DecoderConfig(patch=8, width=32, layers=2, codebook_size=CODES * DEPTH, depth=DEPTH))
    network.start_from(tokenizer.decoder.state_dict(), tokenizer.code_embeddings())
    whole = torch.from_numpy(codes[:1])
    with torch.inference_mode():
        made = network(torch.randn(1, 3, 32, 32), torch.rand(1), whole)
        torch.testing.assert_close(made, tokenizer.decode(whole), atol=1e-4, rtol=1e-4)


def test_wrong_codes_are_of_the_same_level(codes):
    whole = torch.from_numpy(codes[:1]).repeat(64, 1, 1)
    generator = torch.Generator().manual_seed(0)
    wrong = replace(whole, 0.5, CODES, generator)
    assert 0.3 < float((wrong != whole).float().mean()) < 0.6
    assert np.array_equal(*levels(wrong.numpy()))
    spoilt = Corruption(dropped=0, hidden=0, spoilt=1, most=1, depth=DEPTH)(whole, CODES * DEPTH, generator)
    assert np.array_equal(*levels(spoilt.numpy()))
    assert not torch.equal(spoilt, whole)


@pytest.mark.parametrize("wrong", [{"depth": 0}, {"depth": 17}, {"depth": "3"}, {"depth": 5}])
def test_odd_numbers_of_levels_are_refused(residual_model, wrong):
    config = json.loads((residual_model / "decoder" / "config.json").read_text()) | wrong
    with pytest.raises(ModelError):
        manifest.check("decoder", config, PixelDecoder.load(residual_model / "decoder").state_dict())
