"""The masked language model: kernels against torch, together against alone, saved and loaded, damaged files."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from lantu import kernels
from lantu.engine.drafting import draft
from lantu.engine.masked_diffusion import MaskedDrafter
from lantu.engine.request import Request
from lantu.errors import ModelError
from lantu.models.masked.config import MaskedConfig
from lantu.models.masked.native import MaskedLanguage
from lantu.models.masked.network import MaskedTransformer
from lantu.tokens import bpe
from lantu.tokens.document import draw_prefix, unconditional_prefix
from lantu.tokens.vocabulary import Vocabulary
from lantu.weights import manifest
from lantu.weights.language_config import vocabulary_of

TEXT, CODES = 300, 32
GRID = (3, 4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    codec = bpe.train(["a cat on the left", "a dog", "一只猫，一只狗"], TEXT)
    vocabulary = Vocabulary(codec.size, CODES)
    lantu = {"text_size": codec.size, "codebook_size": CODES, "grid": list(GRID), "learnt": []}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = MaskedTransformer(MaskedConfig(width=64, layers=2, passes=4, lantu=lantu))
        for parameter in network.parameters():
            if parameter.ndim == 2:
                torch.nn.init.normal_(parameter, std=0.2)
    path = tmp_path_factory.mktemp("masked") / "language"
    network.save(path, codec, torch.float32)
    assert network.vocabulary == vocabulary
    return path


@pytest.fixture(scope="module")
def vocabulary(folder):
    return vocabulary_of(json.loads((folder / "config.json").read_text()))


def requests(vocabulary):
    codes = (range(vocabulary.first_code, vocabulary.size),)
    return [
        Request(
            draw_prefix(text, *grid, vocabulary),
            codes,
            limit=grid[0] * grid[1],
            seed=seed,
            unconditional=unconditional_prefix(*grid, vocabulary),
            guidance=guidance,
            top_k=8,
        )
        for seed, (text, grid, guidance) in enumerate(
            [([5, 6, 7], GRID, 2.0), ([9], (2, 2), 1.0), ([5, 6, 7, 8, 9, 10, 11], (4, 3), 3.0)]
        )
    ]


def test_the_kernels_compute_what_torch_computes(folder, vocabulary):
    native, network = MaskedLanguage.load(folder, precise=True), MaskedTransformer.load(folder)
    asked = requests(vocabulary)
    prompts, ranges = [request.prefix for request in asked], asked[0].allowed
    drafts = [[vocabulary.first_code + 3, *[-1] * (request.limit - 1)] for request in asked]
    for ours, theirs in zip(
        native.logits(prompts, drafts, ranges), network.logits(prompts, drafts, ranges), strict=True
    ):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


def test_known_codes_the_prompt_and_positions_all_matter(folder, vocabulary):
    language = MaskedLanguage.load(folder, precise=True)
    ranges, prompt = requests(vocabulary)[0].allowed, draw_prefix([5, 6], *GRID, vocabulary)
    blank = [-1] * 12
    known = [vocabulary.first_code, *blank[1:]]
    moved = [*blank[:-1], vocabulary.first_code]
    swapped = draw_prefix([6, 5], *GRID, vocabulary)
    cases = language.logits([prompt, prompt, prompt, swapped], [blank, known, moved, blank], ranges)
    assert all(abs(cases[0][5] - other[5]).max() > 1e-3 for other in cases[1:])
    assert abs(cases[1][5] - cases[2][5]).max() > 1e-3


@pytest.mark.skipif(not kernels.exact(), reason="NumPy's sums depend on what is computed together")
def test_drafts_made_together_are_what_each_is_alone(folder, vocabulary):
    asked = requests(vocabulary)
    together = draft(MaskedDrafter(MaskedLanguage.load(folder)), asked)
    assert together == [draft(MaskedDrafter(MaskedLanguage.load(folder)), [request])[0] for request in asked]
    assert together != draft(MaskedDrafter(MaskedLanguage.load(folder)), [replace(r, seed=9) for r in asked])


def test_padding_changes_nothing_in_training(folder, vocabulary):
    network = MaskedTransformer.load(folder)
    ids = torch.randint(vocabulary.text_size, (1, 15))
    padded = torch.nn.functional.pad(ids, (0, 4), value=vocabulary.special("pad"))
    seen = torch.arange(19)[None] < 15
    torch.testing.assert_close(network(padded, seen, *GRID), network(ids, seen[:, :15], *GRID))


def test_a_config_or_weights_that_do_not_fit_are_refused(folder, tmp_path):
    import shutil

    assert manifest.read_language(folder)["model_type"] == manifest.MASKED
    for change, named in (({"passes": 0}, "passes"), ({"layers": 3}, "blocks.2"), ({"width": 48}, "embedding")):
        broken = shutil.copytree(folder, tmp_path / named)
        config = json.loads((broken / "config.json").read_text())
        (broken / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(ModelError, match=named):
            MaskedLanguage.load(broken)
