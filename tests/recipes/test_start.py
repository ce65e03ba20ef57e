"""Training goes on from a model that is there, instead of from nothing."""

import json

import numpy as np
import pytest
import torch
from overrides import settings
from PIL import Image

from lantu import recipes
from lantu.engine.backends.native import Language
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import ModelError, RecipeError
from lantu.models.lantu.language import model
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.recipes import decoder, language
from lantu.recipes.assemble import assemble
from lantu.recipes.drafts import Drafts
from lantu.tokens.bpe import TextCodec
from lantu.tokens.vocabulary import Vocabulary
from lantu.weights.text_codec import read_codec


@pytest.fixture(scope="module")
def data(captioned_data):
    return captioned_data


def test_a_language_model_goes_on_with_its_own_words_and_sizes(tiny_model, data, tmp_path):
    recipe = settings(language.debug(), f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}", "layers=9")
    task = language.Task(recipe, data)
    from lantu.models.lantu.language.model import load

    begun = load(tiny_model / "language").state_dict()
    assert all(torch.equal(value, begun[name]) for name, value in task.model.state_dict().items())
    assert task.setup.codec.encode("a cat on the left") == TextCodec(tiny_model / "language").encode(
        "a cat on the left"
    )
    task.sample(5, tmp_path)
    with Image.open(tmp_path / "000005.png") as sheet:
        assert np.asarray(sheet).shape[0] >= 64  # real pictures, and drafts below them
    assert "a " in (tmp_path / "000005.txt").read_text()


def test_added_layers_change_nothing_at_first_and_then_learn(tiny_model, data, tmp_path):
    changes = [f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}", "added=3", "settled=0"]
    task = language.Task(settings(language.debug(), *changes), data)
    from lantu.models.lantu.language.model import load

    begun = load(tiny_model / "language")
    ids = torch.arange(40)[None]
    assert task.model.config.num_hidden_layers == begun.config.num_hidden_layers + 3
    assert torch.equal(task.model(ids).logits, begun(ids).logits)
    recipes.train("language", "debug", data, tmp_path / "run", [*changes, "loop.steps=12"], progress=False)
    deep = load(tmp_path / "run" / "model")
    assert deep.config.num_hidden_layers == begun.config.num_hidden_layers + 3
    again = language.Task(settings(language.debug(), *changes[:1], f"start={tmp_path}/run", "settled=0"), data)
    shares = [again.lr_share(f"model.layers.{place}.mlp.down_proj.weight") for place in range(5)]
    assert (shares, again.lr_share("model.embed_tokens.weight")) == ([0, 1, 1, 0, 1], 0)
    # The new ones have begun to say something, and the old ones stayed what they were.
    assert all(layer.mlp.down_proj.weight.abs().max() > 0 for layer in deep.model.layers)
    for old, place in enumerate((0, 3)):  # 0 0 0 1 1
        was, is_ = (model.model.layers[at].mlp.down_proj.weight for model, at in ((begun, old), (deep, place)))
        assert torch.equal(was, is_)


def test_a_model_goes_part_of_the_way_back_to_its_origin(tiny_model, data, tmp_path):
    from lantu.models.lantu.language.model import load

    changes = [f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}"]
    run = ["added=1", "loop.steps=12", "loop.sample_every=0"]
    recipes.train("language", "debug", data, tmp_path / "run", [*changes, *run], progress=False)
    begun, trained = load(tiny_model / "language"), load(tmp_path / "run" / "model")
    again = [*changes[:1], f"start={tmp_path}/run", f"origin={tiny_model}", "reverted=0.25"]
    back = language.Task(settings(language.debug(), *again), data).model
    weights = [
        [model.model.layers[place].mlp.up_proj.weight for place in range(model.config.num_hidden_layers)]
        for model in (begun, trained, back)
    ]
    for old, place in enumerate((0, 2)):  # 0 0 1
        assert not torch.equal(weights[1][place], weights[0][old])
        torch.testing.assert_close(weights[2][place], 0.75 * weights[1][place] + 0.25 * weights[0][old])
    assert torch.equal(weights[2][1], weights[1][1])  # which is new since
    wrong = [*changes, f"origin={tmp_path}/run"]
    with pytest.raises(ModelError, match="the model has 2 old layers, its origin 3"):
        language.Task(settings(language.debug(), *wrong), data)


def test_drafts_draw_rebuild_and_read(tiny_model):
    """All that evaluation may ask of a language model that has no diffusion decoder yet."""
    from lantu.weights.language_config import read_grid, read_vocabulary

    folder = tiny_model / "language"
    parts = (Language.load(folder), TextCodec(folder), read_vocabulary(folder))
    drafts = Drafts(*parts, ImageTokenizer.load(tiny_model / "tokenizer"), read_grid(folder), SamplingParams())
    drawn = drafts.draw(["a cat", "a dog"], [1, 2])
    assert drawn.shape == drafts.reconstruct(drawn).shape == (2, 32, 32, 3)
    assert [type(text) for text in drafts.caption(drawn, "zh")] == [str, str]


def test_a_language_model_of_other_codes_is_refused(tiny_model, data, tmp_path):
    codec = read_codec(tiny_model / "language")
    model.export(model.make(Vocabulary(codec.size, 64), 32, 1, 2, 48, grid=(4, 4)), tmp_path / "other", codec)
    recipe = settings(language.debug(), f"tokenizer={tiny_model}/tokenizer", f"start={tmp_path}/other")
    with pytest.raises(RecipeError, match="64 codes, the image tokenizer 32"):
        language.Task(recipe, data)


def test_a_decoder_goes_on_and_learns(tiny_model, data, tmp_path):
    changes = [f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}", "loop.steps=16", "loop.log_every=8"]
    recipe = settings(decoder.debug(), *changes)
    task = decoder.Task(recipe, data)
    begun = decoder.PixelDecoder.load(tiny_model / "decoder").state_dict()
    assert all(torch.equal(value, begun[name]) for name, value in task.model.state_dict().items())
    recipes.train("decoder", "debug", data, tmp_path / "run", [*changes, "loop.precision=fp32"], progress=False)
    moved = decoder.PixelDecoder.load(tmp_path / "run" / "model").state_dict()
    assert any(not torch.equal(value, begun[name]) for name, value in moved.items())


def test_a_decoder_of_another_size_is_refused(tiny_model, data):
    recipe = settings(decoder.debug(), f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}", "size=64")
    with pytest.raises(RecipeError, match="32 codes of 8 pixels, not 32 of 16"):
        decoder.Task(recipe, data)


@pytest.mark.parametrize(
    ("part", "given", "said"),
    [
        ("language", ["start", "width=64"], "width: the model in"),
        ("language", ["start", "layers=1", "heads=2"], "layers, heads: the model in"),
        ("decoder", ["start", "layers=1"], "layers: the model in"),
        ("language", ["added=1"], "added: nothing to start from"),
    ],
)
def test_settings_that_would_say_nothing_are_refused(tiny_model, data, tmp_path, part, given, said):
    given = [f"start={tiny_model}/{part}" if each == "start" else each for each in given]
    with pytest.raises(RecipeError, match=said):
        recipes.train(part, "debug", data, tmp_path / "run", [f"tokenizer={tiny_model}/tokenizer", *given])
    assert not (tmp_path / "run").exists()


def test_the_command_takes_a_model_by_name_or_folder(tiny_model, data, tmp_path, monkeypatch, capsys):
    from lantu.cli import main

    monkeypatch.setenv("LANTU_MODELS", str(tiny_model.parent))
    run = ["train", "language", "--recipe", "debug", "--data", str(data), "--tokenizer", str(tiny_model)]
    steps = ["--set", "loop.steps=2", "--set", "loop.sample_every=0"]
    for number, start in enumerate((tiny_model.name, str(tiny_model), str(tiny_model / "language"))):
        assert main([*run, *steps, "--start", start, "--out", str(tmp_path / str(number))]) == 0
    # What the parts cost adds up over runs.
    again = ["--start", str(tmp_path / "0"), "--out", str(tmp_path / "again")]
    assert main([*run, "--set", "loop.steps=3", "--set", "loop.sample_every=0", *again]) == 0
    made = assemble(tiny_model, tmp_path / "again", tiny_model, tmp_path / "made")
    assert made.index["budget"]["language"].items() >= {"steps": 5, "samples": 5 * 16}.items()
    assert assemble(tiny_model, made.path, tiny_model, tmp_path / "copy").index["budget"] == made.index["budget"]
    assert main([*run, *steps, "--start", "nothing", "--out", str(tmp_path / "none")]) == 2
    assert "no model called nothing" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    tokenizer = ["train", "tokenizer", "--recipe", "debug", "--data", str(data), "--start", "nothing"]
    assert main([*tokenizer, "--out", str(tmp_path / "none")]) == 2
    assert "no model called nothing" in capsys.readouterr().err


def test_former_names_of_recipes_still_train(data, tiny_model, tmp_path, capsys):
    changes = [f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}/language", "loop.steps=1", "loop.batch_size=2"]
    recipes.train("language", "guided-debug", data, tmp_path / "run", changes, progress=False)
    assert "guided-debug is called guidance_distillation-debug now" in capsys.readouterr().err
    written = json.loads((tmp_path / "run" / "config.json").read_text())
    assert written["identity"]["recipe"] == "guidance_distillation-debug"
    written["identity"]["recipe"] = "guided-debug"  # as a run of before
    (tmp_path / "run" / "config.json").write_text(json.dumps(written))
    again = ["loop.steps=2"]
    assert (
        recipes.train("language", "guided-debug", data, tmp_path / "run", again, resume=True, progress=False).step == 2
    )
