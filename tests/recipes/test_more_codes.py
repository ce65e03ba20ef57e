"""A model goes on with a larger codebook: its old codes stay what they were, new ones stand for new pictures."""

import numpy as np
import pytest
import torch
from overrides import settings

import lantu
from lantu import recipes
from lantu.cli import main
from lantu.errors import RecipeError
from lantu.models.lantu.decoder.network import PixelDecoder
from lantu.models.lantu.language.model import load
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.recipes import decoder, distribution_matching, language, tokenizer
from lantu.recipes.assemble import assemble
from lantu.recipes.more_codes import origins

OLD, NEW = 32, 80


@pytest.fixture(scope="module")
def data(captioned_data):
    return captioned_data


@pytest.fixture(scope="module")
def sizes(tiny_model):
    """The options that give a tokenizer the sizes of the tiny model's, but for more codes."""
    config = ImageTokenizer.load(tiny_model / "tokenizer").config.model_dump(exclude={"codebook_size", "levels"})
    return [
        f"start={tiny_model}",
        f"model.codebook_size={NEW}",
        *(f"model.{name}={config[name]}" for name in config if config[name] != ""),
    ]


@pytest.fixture(scope="module")
def larger(tiny_model, data, sizes, tmp_path_factory):
    run = tmp_path_factory.mktemp("larger") / "tokenizer"
    steps = ["loop.steps=4", "loop.sample_every=0", "loop.warmup_steps=1"]
    recipes.train("tokenizer", "debug", data, run, [*sizes, *steps], progress=False)
    return run


def test_the_command_starts_from_a_model(tiny_model, data, sizes, tmp_path):
    given = [f"--set={each}" for each in (*sizes[1:], "loop.steps=1", "loop.sample_every=0", "loop.warmup_steps=0")]
    run = ["train", "tokenizer", "--recipe", "debug", "--data", str(data), "--out", str(tmp_path / "run")]
    assert main([*run, "--start", str(tiny_model), *given]) == 0
    old, new = ImageTokenizer.load(tiny_model / "tokenizer"), ImageTokenizer.load(tmp_path / "run" / "model")
    assert torch.equal(new.quantizer.vectors()[:OLD], old.quantizer.vectors())


def test_old_codes_stay_and_new_ones_come_nearer(tiny_model, data, larger):
    old, new = ImageTokenizer.load(tiny_model / "tokenizer"), ImageTokenizer.load(larger / "model")
    assert (old.codebook_size, new.codebook_size) == (OLD, NEW)
    assert torch.equal(new.quantizer.vectors()[:OLD], old.quantizer.vectors())
    assert new.codes_digest(OLD) == old.codes_digest() != new.codes_digest()
    pixels = torch.randn(16, 3, 32, 32)
    errors = [(each.quantizer(each.encoder(pixels))[0] - each.encoder(pixels)).square().mean() for each in (old, new)]
    codes = new.encode(pixels)
    assert errors[1] < errors[0]
    assert torch.equal(codes[codes < OLD], old.encode(pixels)[codes < OLD])


def test_a_language_model_begins_new_codes_as_the_nearest_old_ones(tiny_model, data, larger):
    task = language.Task(settings(language.debug(), f"tokenizer={larger}", f"start={tiny_model}"), data)
    known = load(tiny_model / "language").get_input_embeddings().weight
    first = len(known) - OLD
    table = task.model.get_input_embeddings().weight
    assert torch.equal(table[: len(known)], known)
    nearest = origins(ImageTokenizer.load(larger / "model"), OLD)
    assert nearest[:OLD].tolist() == list(range(OLD))
    assert int(nearest.max()) < OLD
    assert torch.equal(table[first + OLD :], known[first + nearest[OLD:]])
    assert task.model.config.lantu["codebook_size"] == NEW
    assert task.model.config.vocab_size == len(table)


def test_a_decoder_paints_old_codes_as_before(tiny_model, data, larger):
    task = decoder.Task(settings(decoder.debug(), f"tokenizer={larger}", f"start={tiny_model}"), data)
    begun = PixelDecoder.load(tiny_model / "decoder")
    codes, noise, time = torch.randint(-1, OLD, (2, 4, 4)), torch.randn(2, 3, 32, 32), torch.rand(2)
    with torch.no_grad():
        assert torch.equal(task.model(noise, time, codes), begun(noise, time, codes))


def test_the_whole_model_learns_and_draws(tiny_model, data, larger, tmp_path):
    given, steps = [f"tokenizer={larger}", f"start={tiny_model}"], ["loop.steps=2", "loop.sample_every=0"]
    for part in ("language", "decoder"):
        recipes.train(part, "debug", data, tmp_path / part, [*given, *steps], progress=False)
    made = assemble(larger, tmp_path / "language", tmp_path / "decoder", tmp_path / "made")
    model = lantu.load(made.path)
    assert np.asarray(model.draw("a cat", seed=1).image).shape == (32, 32, 3)
    table = load(tmp_path / "language" / "model").get_input_embeddings().weight
    assert len(table) - len(load(tiny_model / "language").get_input_embeddings().weight) == NEW - OLD
    # And again from there.
    again = [f"tokenizer={larger}", f"start={made.path}"]
    recipes.train("language", "debug", data, tmp_path / "on", [*again, *steps], progress=False)
    # Not back: codes would be lost.
    back = settings(language.debug(), f"tokenizer={tiny_model}/tokenizer", f"start={made.path}")
    with pytest.raises(RecipeError, match="80 codes, the image tokenizer 32"):
        language.Task(back, data)


def test_what_is_not_the_same_codebook_with_more_codes_is_refused(tiny_model, data, sizes, larger, tmp_path):
    steps = ["loop.steps=2", "loop.sample_every=0", "loop.warmup_steps=1"]
    other = [change for change in sizes if not change.startswith("start=")]
    recipes.train("tokenizer", "debug", data, tmp_path / "other", [*other, *steps], progress=False)
    for part in ("language", "decoder"):
        given = [f"tokenizer={tmp_path}/other", f"start={tiny_model}", *steps]
        with pytest.raises(RecipeError, match="learnt the codes of another tokenizer"):
            recipes.train(part, "debug", data, tmp_path / part, given, progress=False)
    fewer = [f"model.codebook_size={OLD - 8}" if "codebook_size" in change else change for change in sizes]
    wider = [*sizes, "model.code_width=6"]
    for changes, name in ((fewer, "codebook_size"), (wider, "codebook_size, code_width")):
        with pytest.raises(RecipeError, match=f"has another {name}"):
            tokenizer.Task(settings(tokenizer.debug(), *changes), data)


def test_a_teacher_must_know_all_codes(tiny_model, data, larger):
    given = [f"tokenizer={larger}", f"start={tiny_model}"]
    with pytest.raises(RecipeError, match="32 codes of 8 pixels, not 80"):
        distribution_matching.Task(settings(distribution_matching.debug(), *given), data)
    from lantu.recipes import guidance_distillation

    with pytest.raises(RecipeError, match="it doesn't know all codes"):
        guidance_distillation.Task(settings(guidance_distillation.debug(), *given), data)
