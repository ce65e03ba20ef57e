"""Guidance that a model learns: what it is taught, and that one row then does what took two."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from overrides import settings

from lantu import recipes
from lantu.engine.backends.native import Language
from lantu.engine.drafting import draft
from lantu.engine.engine import Engine
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import RecipeError
from lantu.models.lantu.language.model import load
from lantu.models.lantu.requests import drawing
from lantu.pipeline import Model
from lantu.recipes import guidance_distillation
from lantu.recipes.next_token import code_logits
from lantu.tokens import document
from lantu.tokens.vocabulary import Vocabulary
from lantu.weights.language_config import read_guidance_scales, read_vocabulary


@pytest.fixture(scope="module")
def data(captioned_data):
    return captioned_data


@pytest.fixture(scope="module")
def task(tiny_model, data):
    return guidance_distillation.Task(
        settings(guidance_distillation.debug(), f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}"), data
    )


def test_lessons_are_the_same_pictures_after_three_prefixes(task):
    lessons, v = task.batch(3, 8)[0], task.setup.vocabulary
    assert len(lessons.scales) == 4
    assert set(lessons.scales.tolist()) <= set(task.recipe.strengths)
    count = np.prod(task.setup.pictures.grid)
    for row, strength in enumerate(lessons.scales.tolist()):
        codes = []
        for rows in (lessons.scaled, lessons.conditional, lessons.unconditional):
            start = int(rows.starts[row])
            codes.append(rows.ids[row, start : start + count - 1].tolist())
            assert all(id_ >= v.first_code for id_ in codes[-1])
            assert v.side_length(int(rows.ids[row, start - 1])) == task.setup.pictures.grid[1]
        assert codes[0] == codes[1] == codes[2]
        asked = lessons.scaled.ids[row, : int(lessons.scaled.starts[row])].tolist()
        mark = v.special(f"guidance_{strength:g}")
        assert asked.count(mark) == 1
        asked.remove(mark)
        assert asked == lessons.conditional.ids[row, : int(lessons.conditional.starts[row])].tolist()
        bare = lessons.unconditional.ids[row, : int(lessons.unconditional.starts[row])].tolist()
        assert bare == document.unconditional_prefix(*task.setup.pictures.grid, v)
    again = task.batch(3, 8)[0]
    assert torch.equal(again.scaled.ids, lessons.scaled.ids)
    assert not torch.equal(task.batch(4, 8)[0].scaled.ids[:, -5:], lessons.scaled.ids[:, -5:])


def test_the_target_is_what_the_engine_draws_from():
    prompted, bare = torch.randn(2, 3, 5), torch.randn(2, 3, 5)
    told = guidance_distillation.guided(prompted, bare, torch.tensor([1.0, 3.0]))
    torch.testing.assert_close(told[0], prompted[0].log_softmax(-1))
    torch.testing.assert_close(told[1], (bare[1] + 3 * (prompted[1] - bare[1])).log_softmax(-1))


def test_a_pupil_that_gives_the_target_has_nothing_to_learn(task):
    """The distance is zero for strength 1 when the strength's id says nothing, and positive for others."""
    lessons = task.batch(0, 8)[0]
    silent = lessons._replace(scaled=lessons.conditional, scales=torch.ones(4))
    codes = range(task.setup.vocabulary.first_code, task.setup.vocabulary.size)
    with torch.no_grad():
        # Of all ids the pupil keeps some for other than codes: that much is left.
        left = -code_logits(
            task.lessons.teacher, lessons.conditional, np.prod(task.setup.pictures.grid), codes, normalised=True
        ).logsumexp(-1)
        torch.testing.assert_close(task.lessons.distance(silent), left.mean(), atol=1e-4, rtol=1e-3)
        assert (
            task.lessons.distance(lessons._replace(scaled=lessons.conditional, scales=torch.full((4,), 3.0)))
            > left.mean()
        )


def test_one_row_learns_what_two_rows_draw(tiny_model, data, tmp_path):
    changes = [f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}", "loop.precision=fp32", "strengths=[3.0]"]
    changes += ["loop.steps=150", "loop.lr=2e-3", "loop.sample_every=0", "taught=0.75"]
    summary = recipes.train("language", "guidance_distillation-debug", data, tmp_path / "run", changes, progress=False)
    folder = tmp_path / "run" / "model"
    assert read_guidance_scales(folder) == (3.0,)
    assert read_guidance_scales(tiny_model / "language") == ()
    assert summary.last["guided"] < 0.1
    # Logits after the strength's id are near those of the guided pair of the model that taught.
    task = guidance_distillation.Task(settings(guidance_distillation.debug(), *changes[:2], "strengths=[3.0]"), data)
    with torch.no_grad():
        lessons = task.batch(999, 16)[0]
        before = float(task.lessons.distance(lessons))
        task.lessons.model = load(folder)
        assert float(task.lessons.distance(lessons)) < 0.3 * before
        # One that has learnt it is followed in one row: it has nothing to learn from itself.
        known = guidance_distillation.Task(
            settings(guidance_distillation.debug(), changes[0], f"start={tmp_path}/run", "strengths=[3.0]"), data
        )
        assert known.lessons.teacher_in_one_row
        assert not task.lessons.teacher_in_one_row
        codes = range(task.setup.vocabulary.first_code, task.setup.vocabulary.size)
        left = -code_logits(
            known.lessons.teacher, lessons.scaled, np.prod(task.setup.pictures.grid), codes, normalised=True
        ).logsumexp(-1)
        torch.testing.assert_close(known.lessons.distance(lessons), left.mean(), atol=1e-4, rtol=1e-3)
    # A model that goes on may have another one's drawing for its lessons.
    changes[1:2] = [f"start={tmp_path}/run", f"teacher={tiny_model}"]
    further = guidance_distillation.Task(settings(guidance_distillation.debug(), *changes), data)
    embedding = "model.embed_tokens.weight"
    assert torch.equal(further.model.state_dict()[embedding], load(folder).state_dict()[embedding])
    assert torch.equal(
        further.lessons.teacher.state_dict()[embedding], load(tiny_model / "language").state_dict()[embedding]
    )


def test_a_model_that_has_learnt_it_is_asked_for_one_row(tiny_model):
    v = Vocabulary(300, 16)
    settings = SamplingParams(guidance=3.0)
    pair = drawing([1, 2], (2, 2), v, 0, settings)
    assert pair.guided
    one = drawing([1, 2], (2, 2), v, 0, settings, guidance_scales=(1.5, 3.0))
    assert not one.guided
    assert list(one.prefix) == document.draw_prefix([1, 2], 2, 2, v, guidance=3.0)
    assert v.special("guidance_3") in one.prefix
    other = drawing([1, 2], (2, 2), v, 0, replace(settings, guidance=2.0), guidance_scales=(1.5, 3.0))
    assert other == drawing([1, 2], (2, 2), v, 0, replace(settings, guidance=2.0))


def test_a_model_directory_says_what_it_has_learnt(tiny_model, tmp_path):
    import json
    import shutil

    shutil.copytree(tiny_model, tmp_path / "taught")
    path = tmp_path / "taught" / "language" / "config.json"
    config = json.loads(path.read_text())
    config["lantu"]["guidance"] = [1.5]
    path.write_text(json.dumps(config))
    model = Model.load(tmp_path / "taught", "cpu")
    assert model.info()["guidance_learnt"] == [1.5]
    assert not model.parts.layout.draw("a cat", model.folder.grid, 1, SamplingParams(guidance=1.5)).guided
    assert model.draw("a cat", seed=1, guidance=1.5).codes.shape == model.folder.grid
    language = Language.load(tmp_path / "taught" / "language")
    v = read_vocabulary(tmp_path / "taught" / "language")
    request = drawing([5, 6], model.folder.grid, v, 1, SamplingParams(guidance=1.5), (1.5,))
    assert len(draft(Engine(language), [request])[0]) == np.prod(model.folder.grid)


def test_it_needs_a_model_and_known_strengths(tiny_model, data):
    with pytest.raises(RecipeError, match="a model that draws"):
        guidance_distillation.Task(settings(guidance_distillation.debug(), f"tokenizer={tiny_model}/tokenizer"), data)
    recipe = settings(
        guidance_distillation.debug(), f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}", "strengths=[9.0]"
    )
    with pytest.raises(RecipeError, match="guidance of 9"):
        guidance_distillation.Task(recipe, data)
