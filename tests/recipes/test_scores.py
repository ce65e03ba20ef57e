"""A model is put through the suites."""

from types import SimpleNamespace

import pytest

from lantu.data.edits import KINDS
from lantu.errors import DataError
from lantu.pipeline import Model
from lantu.recipes.scores import composer_of, evaluate


def test_an_unknown_suite_is_named(tiny_model):
    with pytest.raises(DataError, match="reconstruction"):
        evaluate(Model.load(tiny_model), suites=["beauty"])


def test_a_model_that_does_not_know_its_data_asks_for_it(tiny_model):
    with pytest.raises(DataError, match="--data"):
        evaluate(Model.load(tiny_model), suites=["single"])


@pytest.mark.network
@pytest.mark.slow
def test_all_suites_of_a_tiny_model(tiny_model, tmp_path, monkeypatch):
    from lantu.data.build import build_emoji

    data = build_emoji(tmp_path / "data", styles=["twemoji"], train=8, val=4, heldout=4, size=32)
    scores = evaluate(Model.load(tiny_model), data, limit=4, out=tmp_path / "scores")
    drawing = {"reconstruction", "single", "pairs", "counts", "style", "language", "caption", "own_caption"}
    assert set(scores) == drawing | {"questions", "filling", "editing", "context"}  # it has learnt what these take
    assert all(0 <= suite["score"] <= 1 and suite["n"] >= 4 for suite in scores.values())
    sheets = {"sheet.png", "filling.png", *(f"edit-{kind}.png" for kind in KINDS)}
    assert {path.name for path in (tmp_path / "scores").iterdir()} == {"scores.json", "scores.txt", *sheets}


def test_scenes_are_as_large_as_what_the_model_draws(scene_data):
    assert composer_of(None, scene_data).size == 32
    larger = composer_of(SimpleNamespace(size=(64, 64)), scene_data)
    assert (larger.size, larger.snap) == (64, 8)
    assert larger.sample("val", 0)[1].shape == (64, 64, 3)
