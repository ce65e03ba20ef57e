"""What many tests need: a tiny model with random weights, complete in all its parts."""

import importlib
import json
import logging
import os
import sys

import hypothesis
import pytest

# How fast a busy machine makes examples says nothing of the code.
hypothesis.settings.register_profile("busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("busy")

# A training command would start the whole test process anew to set these.
os.environ.update(
    {
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": "100000000000",
        "MALLOC_TOP_PAD_": "1000000000",
        "OMP_WAIT_POLICY": "passive",
        "LANTU_MKL": "as-is",  # results of this process, where torch may be first, are compared with those of commands
    }
)

SIZE, PATCH, CODES = 32, 8, 32


@pytest.fixture(autouse=True)
def gradients():
    """A test that leaves gradients switched off would break those behind it."""
    yield
    torch = sys.modules.get("torch")
    assert torch is None or not hasattr(torch, "is_grad_enabled") or torch.is_grad_enabled()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """The folder of a model that draws noise of 32x32 pixels, 4x4 codes."""
    import torch

    from lantu.models.lantu.decoder.config import DecoderConfig
    from lantu.models.lantu.decoder.network import PixelDecoder
    from lantu.models.lantu.language import model
    from lantu.models.lantu.tokenizer.config import TokenizerConfig
    from lantu.models.lantu.tokenizer.model import ImageTokenizer
    from lantu.tokens import bpe
    from lantu.tokens.vocabulary import Vocabulary

    folder = tmp_path_factory.mktemp("models") / "tiny"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sizes = {"width": 32, "encoder_layers": 1, "decoder_layers": 1, "codebook_size": CODES, "code_width": 4}
        tokenizer = ImageTokenizer(TokenizerConfig(size=SIZE, patch=PATCH, **sizes))
        tokenizer(torch.randn(8, 3, SIZE, SIZE))  # the first batch sets the codebook
        tokenizer.save(folder / "tokenizer")
        decoder = PixelDecoder(DecoderConfig(patch=PATCH, width=32, layers=1, codebook_size=CODES))
        for parameter in decoder.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        decoder.save(folder / "decoder")
    codec = bpe.train(["a cat on the left", "a dog", "一只猫，一只狗"], 300)
    vocabulary = Vocabulary(codec.size, CODES)
    language = model.make(vocabulary, width=32, layers=2, heads=2, grid=(SIZE // PATCH, SIZE // PATCH))
    language.config.lantu["learnt"] = ["filling", "talking", "planning"]
    model.export(language, folder / "language", codec)
    index = {"name": "tiny", "license": "none", "draw": {"guidance": 2.0, "steps": 2, "top_k": 8}}
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "README.md").write_text("# tiny\n")
    return folder


@pytest.fixture(scope="session")
def remembering_model(tiny_model, tmp_path_factory):
    """The folder of the tiny model with a memory bank: five pictures of random codes, each with captions."""
    import shutil

    import numpy as np

    from lantu.data.memory_bank import MemoryBank, embed, rarity, unit

    said = [["a red cat", "一只红猫"], ["a dog", "一只狗"], ["a cat on the left"], ["three lions"], ["a red cat!"]]
    rare = rarity(said)
    rng = np.random.default_rng(0)
    texts = np.stack([unit(embed(texts, rare).mean(0)) for texts in said])
    vectors = unit(texts + 0.3 * unit(rng.standard_normal(texts.shape).astype(np.float32)))
    vectors[4] = vectors[0]
    side = SIZE // PATCH
    grids = [rng.integers(CODES, size=(side, side)) for _ in said]
    folder = tmp_path_factory.mktemp("models") / "remembering"
    shutil.copytree(tiny_model, folder)
    MemoryBank(vectors, rare, said.__getitem__, grids).save(folder / "memory_bank", CODES)
    return folder


@pytest.fixture(scope="session")
def sequence_model(tiny_model, tmp_path_factory):
    """The folder of a model whose pictures of 32x32 pixels are sequences of 16 codes, of which any 2 make a picture."""
    import torch

    from lantu.models.lantu.decoder.config import DecoderConfig
    from lantu.models.lantu.decoder.network import PixelDecoder
    from lantu.models.lantu.language import model
    from lantu.models.lantu.tokenizer.config import TokenizerConfig
    from lantu.models.lantu.tokenizer.model import ImageTokenizer
    from lantu.recipes.assemble import assemble
    from lantu.tokens.bpe import TextCodec
    from lantu.tokens.vocabulary import Vocabulary

    folder = tmp_path_factory.mktemp("models")
    sizes = {"width": 32, "encoder_layers": 1, "decoder_layers": 1, "codebook_size": CODES, "code_width": 4}
    order = {"queries": 16, "nested": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tokenizer = ImageTokenizer(
            TokenizerConfig(size=SIZE, patch=PATCH, quantizer="following", semantic_width=0, **sizes, **order)
        )
        tokenizer.save(folder / "tokenizer")
        learnt = {"codebook_size": CODES, "cells": SIZE // PATCH, "tokenizer": tokenizer.codes_digest()}
        decoder = PixelDecoder(DecoderConfig(patch=PATCH, width=32, layers=2, **learnt, **order))
        for parameter in decoder.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        decoder.save(folder / "decoder")
    codec = TextCodec(tiny_model / "language")
    language = model.make(Vocabulary(codec.size, CODES), width=32, layers=2, heads=2, grid=(1, 16))
    language.config.lantu |= {"learnt": ["filling", "talking"], "tokenizer": tokenizer.codes_digest()}
    model.export(language, folder / "language", codec)
    parts = {part: folder / part for part in ("tokenizer", "language", "decoder")}
    return assemble(**parts, out=folder / "sequence", draw={"guidance": 2.0, "steps": 2, "top_k": 8}).path


@pytest.fixture(scope="session")
def residual_model(tiny_model, tmp_path_factory):
    """The folder of a model whose pictures of 32x32 pixels are 4x4 cells of three codes each, of 24 a level."""
    import torch

    from lantu.models.lantu.decoder.config import DecoderConfig
    from lantu.models.lantu.decoder.network import PixelDecoder
    from lantu.models.lantu.language import model
    from lantu.models.lantu.tokenizer.config import TokenizerConfig
    from lantu.models.lantu.tokenizer.model import ImageTokenizer
    from lantu.recipes.assemble import assemble
    from lantu.tokens.bpe import TextCodec
    from lantu.tokens.vocabulary import Vocabulary

    folder, depth, codes = tmp_path_factory.mktemp("models"), 3, 24
    sizes = {"width": 32, "encoder_layers": 1, "decoder_layers": 1, "code_width": 4, "semantic_width": 0}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tokenizer = ImageTokenizer(
            TokenizerConfig(size=SIZE, patch=PATCH, quantizer="following", codebook_size=codes, depth=depth, **sizes)
        )
        tokenizer.save(folder / "tokenizer")
        learnt = {"codebook_size": codes * depth, "depth": depth, "tokenizer": tokenizer.codes_digest()}
        decoder = PixelDecoder(DecoderConfig(patch=PATCH, width=32, layers=2, **learnt))
        for parameter in decoder.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        decoder.save(folder / "decoder")
    codec = TextCodec(tiny_model / "language")
    vocabulary = Vocabulary(codec.size, codes * depth, depth)
    language = model.make(vocabulary, width=32, layers=2, heads=2, grid=(4, 4 * depth))
    language.config.lantu |= {"learnt": ["filling", "talking"], "tokenizer": tokenizer.codes_digest()}
    model.export(language, folder / "language", codec)
    parts = {part: folder / part for part in ("tokenizer", "language", "decoder")}
    return assemble(**parts, out=folder / "residual", draw={"guidance": 2.0, "steps": 2}).path


@pytest.fixture(scope="session")
def masked_model(tiny_model, tmp_path_factory):
    """The folder of a model that drafts by masked diffusion, with tokenizer and decoder of the tiny model."""
    import torch

    from lantu.models.masked.config import MaskedConfig
    from lantu.models.masked.network import MaskedTransformer
    from lantu.recipes.assemble import assemble
    from lantu.tokens.bpe import TextCodec

    folder = tmp_path_factory.mktemp("models")
    codec = TextCodec(tiny_model / "language")
    grid = [SIZE // PATCH, SIZE // PATCH]
    lantu = {"text_size": codec.size, "codebook_size": CODES, "grid": grid, "learnt": []}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = MaskedTransformer(MaskedConfig(width=32, layers=2, passes=5, lantu=lantu))
        for parameter in network.parameters():
            if parameter.ndim == 2:
                torch.nn.init.normal_(parameter, std=0.3)
    network.save(folder / "language", codec)
    parts = {"tokenizer": tiny_model / "tokenizer", "language": folder / "language", "decoder": tiny_model / "decoder"}
    return assemble(**parts, out=folder / "masked", draw={"guidance": 2.0, "steps": 2}).path


def published(name):
    """A fixture: the folder of a tiny model as its own library has just saved it, see ``tiny_NAME.py``."""

    @pytest.fixture(scope="session", name=name)
    def folder(tmp_path_factory):
        place = tmp_path_factory.mktemp("models") / f"tiny-{name.replace('_', '-')}"
        importlib.import_module(f"tiny_{name}").make(place)
        return place

    return folder


janus = published("janus")  # 64x64 pixels, 4x4 codes
emu3 = published("emu3")  # 32x32 pixels, 4x4 codes
plain = published("plain")  # a Llama that draws by a layout file: 16x16 pixels, 4x4 codes
glm_image = published("glm_image")  # 128 codes, 32x32 pixels a code
tar = published("tar")  # 27x27 codes of its language model, 32x32 pixels of its SANA


@pytest.fixture(scope="session")
def small_model(tiny_model, tmp_path_factory):
    """A small model with all parts, a control and two shards among them, and with checksums."""
    import shutil

    import torch

    from lantu.models.lantu.decoder.control import ControlNetwork
    from lantu.models.lantu.decoder.network import PixelDecoder
    from lantu.weights import checksums, tensors

    folder = shutil.copytree(tiny_model, tmp_path_factory.mktemp("fuzzed") / "small")
    control = ControlNetwork.for_decoder(PixelDecoder.load(folder / "decoder"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        for parameter in control.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    control.save(folder / "control")
    for part in ("language", "decoder"):
        tensors.save(tensors.load(folder / part), folder / part, max_shard_bytes=60_000)
        assert (folder / part / "model.safetensors.index.json").exists()
    index = json.loads((folder / "model_index.json").read_text())
    index["checksums"] = checksums.of_parts(folder, ("language", "tokenizer", "decoder", "control"))
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture
def lantu(tiny_model, tmp_path, monkeypatch, capsys):
    """Call the command in an empty folder; gives exit code, stdout and stderr."""
    from lantu import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANTU_MODELS", str(tiny_model.parent))
    monkeypatch.setenv("LANTU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("lantu.models.hub.DEFAULT", "tiny")

    def call(*arguments):
        code = cli.main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    yield call
    for name in ("lantu.server", "uvicorn"):  # `serve` writes its log to the stderr of this test
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
