"""Recipes of the other designs of an image tokenizer: each trains."""

import json

import numpy as np
import pytest
import torch
from overrides import settings
from PIL import Image

from lantu import recipes
from lantu.data.build import build_folder
from lantu.data.shards import Shards
from lantu.errors import RecipeError
from lantu.models.diffusers.tiny_autoencoder import decoder, encoder
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.recipes import tokenizer_designs
from lantu.recipes.caption_vectors import CaptionVectors
from lantu.recipes.codes import load_tokenizer
from lantu.recipes.drafts import paint
from lantu.weights import tensors

TINY = [
    *("model.size=32", "model.width=32", "model.encoder_layers=1", "model.decoder_layers=2", "loop.batch_size=8"),
    *("loop.warmup_steps=1", "loop.sample_every=0", "loop.log_every=4", "loop.validate_every=0", "loop.precision=fp32"),
    *("loop.steps=8", "perceptual=", "loop.lr=3e-3"),
]
DESIGNS = {
    "convolutions": ["model.patch=8", "model.stem=8", "model.head=8", "model.codebook_size=32", "encoder_from=2"],
    "residual": ["model.patch=16", "model.depth=2", "model.stem=8", "model.head=8", "model.codebook_size=16"],
    "lattice": ["model.patch=8", "model.stem=8", "model.head=8", "adversarial_weight=0.1"],
    "sequence": ["model.queries=8", "model.nested=2", "model.codebook_size=16", "semantic_weight=0", "refit_every=2"],
    "latents": ["model.codebook_size=16", "model.encoder_window=0", "encoder_from=2", "adversarial_weight=0.1"],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data folder of pictures with a spot somewhere, half of them with a caption."""
    pictures = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(24):
        image = np.full((32, 32, 3), rng.integers(40, 200, 3), np.uint8)
        image[number : number + 6, 2 * number % 26 : 2 * number % 26 + 6] = 255 - 5 * number
        Image.fromarray(image).save(pictures / f"{number}.png")
        if number % 2:
            (pictures / f"{number}.txt").write_text(f"a photo of a {'cat' if number % 3 else 'dog'}")
    return build_folder(pictures, tmp_path_factory.mktemp("data") / "data", size=32, workers=1)


@pytest.fixture(scope="module")
def codec(tmp_path_factory):
    """A tiny autoencoder with random weights."""
    folder = tmp_path_factory.mktemp("codec")
    torch.manual_seed(1)
    for name, network in (("encoder", encoder(4, 8)), ("decoder", decoder(4, 8))):
        tensors.save(network.state_dict(), folder / name)
        (folder / name / "model.safetensors").rename(folder / f"{name}.safetensors")
    return folder


def changes(name, codec):
    return [*TINY, *DESIGNS[name], *([f"codec={codec}"] if name == "latents" else [])]


@pytest.mark.parametrize("name", DESIGNS)
def test_each_design_is_trained_and_resumed(name, data, codec, tmp_path):
    more = [*changes(name, codec), "start=noise", "encoder_rate=1", "encoder_from=0", "loop.steps=24"]
    recipes.train("tokenizer", name, data, tmp_path / "run", more, device="cpu", progress=False)
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["psnr"] > log[0]["psnr"]
    model = load_tokenizer(tmp_path / "run")
    real = Shards(data, "train").images(range(2))
    codes = model.encode(torch.from_numpy(real).permute(0, 3, 1, 2) / 127.5 - 1)
    assert codes.shape[1:] == model.config.codes_of(model.config.grid, model.config.grid)
    assert paint(model, codes.numpy()).shape == real.shape
    assert (tmp_path / "run" / "model" / "codec" / "decoder.safetensors").exists() == (name == "latents")
    resumed = recipes.train(
        "tokenizer", name, data, tmp_path / "run", ["loop.steps=32"], resume=True, device="cpu", progress=False
    )
    assert resumed.step == 32


def test_latents_are_made_once_of_each_picture(data, codec):
    task = tokenizer_designs.Task(settings(tokenizer_designs.latents(), *changes("latents", codec)), data)
    pixels, latents, words = task.batch(3, 8)
    assert words is None
    torch.testing.assert_close(latents, task.model.codec.encode(pixels), atol=2e-3, rtol=2e-3)
    task.model.codec.encode = None
    assert torch.equal(task.batch(3, 8)[1], latents)


def test_another_codec_does_not_resume_a_run(data, codec, tmp_path):
    recipes.train(
        "tokenizer", "latents", data, tmp_path / "run", changes("latents", codec), device="cpu", progress=False
    )
    torch.manual_seed(2)
    other = tmp_path / "other"
    for name, network in (("encoder", encoder(4, 8)), ("decoder", decoder(4, 8))):
        tensors.save(network.state_dict(), other / name)
        (other / name / "model.safetensors").rename(other / f"{name}.safetensors")
    more = [f"codec={other}", "loop.steps=12"]
    with pytest.raises(RecipeError, match="codec"):
        recipes.train("tokenizer", "latents", data, tmp_path / "run", more, resume=True, device="cpu", progress=False)


def test_a_codec_that_does_not_fit_is_named(data, codec):
    sizes = [*changes("latents", codec), "model.patch=4"]
    with pytest.raises(RecipeError, match="doesn't fit: latents of 8 pixels need a patch"):
        tokenizer_designs.Task(settings(tokenizer_designs.latents(), *sizes), data)


def test_a_diffusion_decoder_begins_beside_latents(data, codec, tmp_path):
    run = tmp_path / "tokenizer"
    recipes.train(
        "tokenizer", "latents", data, run, [*changes("latents", codec), "loop.steps=2"], device="cpu", progress=False
    )
    ending = [f"tokenizer={run}", "width=32", "layers=2", "size=32", "loop.steps=2", "perceptual_weight=0"]
    made = recipes.train("decoder", "debug", data, tmp_path / "decoder", ending, device="cpu", progress=False)
    assert made.step == 2


def test_captions_become_vectors_that_tell_what_differs(data):
    vectors = CaptionVectors(Shards(data, "train"), 64)
    samples = [vectors.shards.sample(index) for index in range(len(vectors.shards))]
    said = [next(iter(sample.captions.values()))[0] if sample.captions else "" for sample in samples]
    made = vectors(range(len(said)))
    silent = torch.tensor([not text for text in said])
    assert silent.any()
    assert not made[silent].any()
    torch.testing.assert_close(made[~silent].norm(dim=1), torch.ones(int((~silent).sum())))
    cats, dogs = (made[[word in text for text in said]] for word in ("cat", "dog"))
    assert (cats @ dogs.T).max() < 0 < (cats @ cats.T).min()  # what all captions share says nothing
    assert torch.equal(made, CaptionVectors(vectors.shards, 64)(range(len(said))))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["codec=x"], "latents are made once of each picture"),
        (["words=8"], "need a wider semantic_width"),
        (["contrast=1"], "needs the width of its space"),
        (["contrast=1", "words=8", "model.semantic_width=4"], "need a wider semantic_width"),
    ],
)
def test_odd_settings_are_refused(change, message):
    with pytest.raises(RecipeError, match=message):
        settings(tokenizer_designs.convolutions(), *change)


def test_a_tokenizer_of_words_predicts_them(data, tmp_path):
    more = [*TINY, *DESIGNS["sequence"][:3], "loop.steps=60", "semantic_weight=1", "refit_every=4"]
    task = tokenizer_designs.Task(settings(tokenizer_designs.sequence(), *more), data)
    task.judge.vision = None
    optimizer = torch.optim.Adam(task.model.parameters(), 3e-3)
    said = []
    for step in range(60):
        loss, parts = task.loss("model", task.batch(step % 3, 8), step, torch.Generator())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        task.after_step(step)
        said.append(float(parts["words"]))
    assert np.mean(said[-10:]) < 0.7 * np.mean(said[:10])
    assert isinstance(task.model, ImageTokenizer)
