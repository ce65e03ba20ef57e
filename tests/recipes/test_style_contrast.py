"""Pictures are contrasted by the names of styles."""

import numpy as np
import pytest
import torch
from overrides import settings

from lantu.data.styles import STYLES, naming
from lantu.errors import RecipeError
from lantu.recipes import multitask
from lantu.recipes.next_token import code_logits
from lantu.recipes.style_contrast import StyleContrast


@pytest.fixture(scope="module")
def task(tiny_model, scene_data):
    changes = [f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}", "taught=0", "styled=0.5", "contrast=1"]
    return multitask.Task(settings(multitask.debug(), *changes), scene_data)


@pytest.fixture
def contrast(task):
    return task.objectives[-1]


@pytest.mark.parametrize(
    ("style", "language", "text", "found"),
    [
        ("fluent-flat", "en", "a flatbread in flat style", "flat"),
        ("fluent-flat", "en", "a flatbread", None),
        ("noto-v1", "en", "a cat, drawn in the old Noto style", "old Noto"),
        ("noto", "en", "a cat, drawn in the Noto style", "Noto"),
        ("fluent-3d", "zh", "一只猫，立体风格", "立体"),
        ("fluent-3d", "en", "a 3D-style cat", "3D"),
        ("fluent-3d", "fr", "un chat 3D style", None),
    ],
)
def test_names_of_styles_are_found_in_captions(style, language, text, found):
    match = naming(style, language).search(text)
    assert (match and match[0]) == found


def test_variants_differ_in_the_style_alone(contrast):
    checked = 0
    for index in contrast.named[:30]:
        variants = contrast.variants(index, np.random.default_rng(index))
        assert len(variants) == len(contrast.styles) == len({text.lower() for text in variants})
        own = contrast.corpus.samples[index].objects[0].style
        for language in ("en", "zh"):
            if match := naming(own, language).search(variants[0]):
                rest = variants[0].replace(match[0], "")
                others = [style for style in contrast.styles if style != own]
                for style, text in zip(others, variants[1:], strict=True):
                    assert any(text.replace(word, "") == rest for word in STYLES[style].words[language])
                checked += 1
    assert checked >= 20


def test_a_batch_is_a_function_of_its_place_and_groups_one_picture(contrast):
    one, same = (contrast.batch([3, 4, 5], 7) for _ in range(2))
    assert torch.equal(one.rows.ids, same.rows.ids)
    assert len(one.codes) == 3 * len(contrast.styles)
    grouped = one.codes.view(3, len(contrast.styles), -1)
    assert bool((grouped == grouped[:, :1]).all())
    assert not torch.equal(contrast.batch([3, 4, 5], 8).rows.ids, one.rows.ids)


def test_the_loss_is_the_posterior_of_the_own_style(contrast):
    batch = contrast.batch([0, 1], 0)
    with torch.no_grad():
        loss, metrics = contrast.loss(batch, 0)
        count, ids = batch.codes.shape[1], contrast.corpus.vocabulary.code_range
        log = code_logits(contrast.model, batch.rows, count, ids, normalised=True)
    likelihood = log.gather(-1, batch.codes[..., None]).sum((1, 2)).view(2, -1)
    assert loss == pytest.approx(-likelihood.log_softmax(-1)[:, 0].mean().item(), rel=1e-4)
    assert 0 <= metrics["heard"] <= 1


def test_styles_come_to_be_heard(task, contrast):
    model, optimizer = task.model, torch.optim.AdamW(task.model.parameters(), lr=3e-3)
    batch, first = contrast.batch(list(range(8)), 0), None
    for _ in range(12):
        loss, metrics = contrast.loss(batch, 0)
        first = first if first is not None else loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.5 * first
    assert metrics["heard"] > 0.9
    assert model.config.lantu["learnt"]


def test_shares_and_losses_of_both_objectives(task):
    assert task.shares == [0.5, 0.5]
    _, metrics = task.loss("model", task.batch(0, 4), 0, torch.Generator())
    assert {"codes", "styles", "heard"} <= set(metrics)


def test_data_without_styles_is_refused(tiny_model, captioned_data, task):
    corpus = multitask.LanguageSetup(task.recipe, captioned_data).corpus
    with pytest.raises(RecipeError, match="styled=0"):
        StyleContrast(task.model, corpus, (), 1.0)
