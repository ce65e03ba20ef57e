"""A model that draws learns other pictures, by LoRA or all of it, and rehearses what it drew."""

import json

import numpy as np
import pytest
import torch

from lantu import recipes
from lantu.data.codes import load_codes
from lantu.data.shards import Shards
from lantu.errors import DataError, RecipeError
from lantu.pipeline import Model
from lantu.recipes.assemble import assemble
from lantu.recipes.identity import codes_digest
from lantu.recipes.rehearsal import build_drawings, known_prompts, spoken
from lantu.tokens.bpe import TextCodec
from lantu.tokens.words import Lexicon
from lantu.weights import tensors

STEPS = ["loop.steps=12", "loop.validate_every=4", "loop.log_every=4", "loop.sample_every=0"]


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    file = tmp_path_factory.mktemp("prompts") / "prompts.txt"
    file.write_text("a cat on the left\na dog\n一只猫\n")
    return file


@pytest.fixture(scope="module")
def rehearsed(tiny_model, prompts, tmp_path_factory):
    return build_drawings(tiny_model, tmp_path_factory.mktemp("drawn") / "data", 20, prompts, device="cpu")


@pytest.fixture(scope="module")
def guided(tiny_model, tmp_path_factory):
    """The tiny model, as if guidance had been distilled into it."""
    from lantu.models.lantu.language.model import export, load

    folder = tmp_path_factory.mktemp("guided") / "language"
    model = load(tiny_model / "language")
    model.config.lantu["guidance"] = [1.5, 2.0]
    model.config.lantu["tokenizer"] = codes_digest(tiny_model / "tokenizer")
    export(model, folder, TextCodec(tiny_model / "language"), torch.float32)
    words = {"names": {"en": ["zebra"], "zh": []}, "words": {"en": ["stripe"], "zh": []}, "emoji": {}}
    (folder.parent / "words.json").write_text(json.dumps(words))
    return folder


def train(start, tiny_model, data, out, *changes, **options):
    given = [f"tokenizer={tiny_model}/tokenizer", f"start={start}", *STEPS, *changes]
    return recipes.train("language", "finetune-debug", data, out, given, progress=False, **options)


def lines(run):
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_drawings_are_data_with_the_codes_they_were_drawn_by(tiny_model, rehearsed, prompts):
    shards = Shards(rehearsed, "train")
    assert (len(shards), len(Shards(rehearsed, "val"))) == (18, 2)
    assert [shards.sample(n).captions for n in range(3)] == [
        {"en": ("a cat on the left",)},
        {"en": ("a dog",)},
        {"zh": ("一只猫",)},
    ]
    codes = load_codes(rehearsed, codes_digest(tiny_model / "tokenizer")[:12], "train")
    again = Model.load(tiny_model).render(codes[4], seed=0)
    assert np.asarray(again.image).shape == shards.image(4).shape
    stamp = (rehearsed / "train-00000.tar").stat().st_mtime_ns
    assert build_drawings(tiny_model, rehearsed, 20, prompts, device="cpu") == rehearsed
    assert (rehearsed / "train-00000.tar").stat().st_mtime_ns == stamp
    with pytest.raises(DataError, match="other settings"):
        build_drawings(tiny_model, rehearsed, 30, prompts, device="cpu")


def test_prompts_come_from_the_data_or_from_the_words(tiny_model, captioned_data, tmp_path):
    parts = [tiny_model / part for part in ("tokenizer", "language", "decoder")]
    model = assemble(*parts, tmp_path / "mine", data=captioned_data)
    assert set(known_prompts(Model.load(model.path), 10, 0)) == {"a cat", "a dog", "a fox"}
    (index := json.loads((model.path / "model_index.json").read_text()))["data"]["folder"] = "/gone"
    index["data"]["path"] = "/gone"
    (model.path / "model_index.json").write_text(json.dumps(index))
    assert set(known_prompts(Model.load(model.path), 10, 0)) == {"cat", "dog", "fox"}
    (model.path / "words.json").unlink()
    with pytest.raises(DataError, match="--prompts FILE"):
        known_prompts(Model.load(model.path), 10, 0)
    things = {"🐱": ["cat", "猫", "a cat", "cats", "只"], "🐶": ["dog", "狗", "a dog", "dogs", "条"]}
    lexicon = Lexicon({"names": {"en": [], "zh": []}, "words": {"en": [], "zh": []}, "emoji": things})
    said = set(spoken(lexicon, 40, np.random.default_rng(0)))
    assert {"a cat", "一条狗", "a cat on the left and a dog on the right", "左边一条狗，右边一只猫"} <= said


@pytest.mark.parametrize("trained", ["lora", "all"])
def test_it_learns_other_pictures_and_rehearses(guided, tiny_model, captioned_data, rehearsed, tmp_path, trained):
    run = tmp_path / "run"
    train(guided, tiny_model, captioned_data, run, f"trained={trained}", f"rehearsed={rehearsed}")
    log = lines(run)
    assert log[-1]["codes"] < log[0]["codes"]
    assert {"guided", "val_loss", "val_kept"} <= log[0].keys()
    before, after = tensors.load(guided), tensors.load(run / "model")
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name].bfloat16(), after[name])}
    assert any("q_proj" in name for name in moved)
    rows = TextCodec(guided).size
    text = before["model.embed_tokens.weight"][:rows].bfloat16()
    assert torch.equal(after["model.embed_tokens.weight"][:rows], text) == (trained == "lora")
    assert (run / "adapter").exists() == (trained == "lora")
    model = assemble(tiny_model / "tokenizer", run, tiny_model / "decoder", tmp_path / "model", data=captioned_data)
    assert Model.load(model.path).draw("a cat", seed=1, guidance=1.5).codes.shape == (4, 4)
    assert model.entry("language/config.json", "lantu")["guidance"] == [1.5, 2.0]
    words = json.loads((model.path / "words.json").read_text())  # those it knew, and new ones
    assert (words["names"]["en"], words["words"]["en"][0]) == (["zebra"], "stripe")
    assert {"cat", "dog", "fox"} <= set(words["words"]["en"])


def test_a_resumed_run_has_the_losses_of_an_unbroken_one(guided, tiny_model, captioned_data, rehearsed, tmp_path):
    changes = [f"rehearsed={rehearsed}", "loop.log_every=1"]
    train(guided, tiny_model, captioned_data, tmp_path / "whole", *changes)
    train(guided, tiny_model, captioned_data, tmp_path / "two", *changes, "loop.minutes=0")
    given = ["loop.minutes=null"]
    args = ("language", "finetune-debug", captioned_data, tmp_path / "two", given)
    recipes.train(*args, resume=True, progress=False)
    whole, two = ([line["loss"] for line in lines(tmp_path / name)] for name in ("whole", "two"))
    assert whole == two


def test_what_does_not_fit_is_refused(guided, tiny_model, captioned_data, tmp_path):
    with pytest.raises(RecipeError, match="--start MODEL"):
        train("", tiny_model, captioned_data, tmp_path / "run")


def test_a_training_that_cannot_fit_is_refused_before_it_begins(
    guided, tiny_model, captioned_data, tmp_path, monkeypatch
):
    monkeypatch.setenv("LANTU_MEMORY", "0.0001")
    for options in ({}, {"dry_run": True}):
        with pytest.raises(RecipeError, match=r"needs .* of memory and more for its batches, 0\.1 MB are free"):
            train(guided, tiny_model, captioned_data, tmp_path / "run", "trained=all", **options)
    assert not (tmp_path / "run").exists()
    monkeypatch.setenv("LANTU_MEMORY", "1")
    measured = train(guided, tiny_model, captioned_data, tmp_path / "run", dry_run=True)
    assert measured.memory_bytes > 1e8


def test_a_decoder_rehearses_by_its_share(tiny_model, captioned_data, rehearsed):
    from lantu.recipes import decoder

    recipe = decoder.debug().model_copy(
        update={"tokenizer": str(tiny_model), "start": str(tiny_model), "rehearsed": str(rehearsed)}
    )
    task = decoder.Task(recipe, captioned_data)
    batch = task.batch(0, 8)
    drawn = {np.asarray(Shards(rehearsed, "train").image(n)).tobytes() for n in range(18)}
    pixels = ((batch.pixels.permute(0, 2, 3, 1) + 1) * 127.5).round().byte().numpy()
    assert sum(one.tobytes() in drawn for one in pixels) == 2
    assert batch.codes.shape == (8, 4, 4)
