"""Equal budgets: one count for lantu's own parts and rivals', and the steps that a budget buys."""

import json

import pytest

from lantu.errors import LantuError, ModelError, RecipeError
from lantu.recipes import module_of, train
from lantu.recipes.rivals import budgets
from lantu.training.config import override


def test_one_count_for_all(captioned_data, tiny_model, tmp_path):
    language = budgets.cost("language", "debug", captioned_data, [f"tokenizer={tiny_model}/tokenizer", "asked=0"])
    pixels = budgets.cost("rival", "pixel-ar-debug", captioned_data)
    twice = budgets.cost("rival", "pixel-ar-debug", captioned_data, ["layers=4"])
    assert pixels.flops_per_sample > 2 * language.flops_per_sample  # 64 ids a picture in the place of 16
    assert 1.5 < twice.flops_per_sample / pixels.flops_per_sample < 2.2
    budget = 1000 * pixels.flops_per_sample
    assert abs(pixels.steps_for(budget) * pixels.samples_per_step - 1000) <= pixels.samples_per_step
    steps = language.steps_for(budget)
    cost = steps * language.samples_per_step * language.flops_per_sample
    budgets.check_equal({"pixel-ar": budget, "lantu": cost}, 0.05)
    with pytest.raises(LantuError, match="operations, the mean is"):
        budgets.check_equal({"lantu": cost, "pixel-ar": 2 * budget})


def test_what_a_run_has_spent(captioned_data, tmp_path):
    settings = ["loop.steps=2", "loop.sample_every=0", "loop.validate_every=0"]
    train("rival", "pixel-ar-debug", captioned_data, tmp_path / "run", settings, progress=False, device="cpu")
    each = budgets.cost("rival", "pixel-ar-debug", captioned_data)
    assert budgets.spent(tmp_path / "run") == pytest.approx(2 * each.samples_per_step * each.flops_per_sample)
    with pytest.raises(ModelError):
        budgets.spent(tmp_path)
    path = tmp_path / "run" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "identity": {}}))  # as lantu 0.1 wrote it
    with pytest.raises(ModelError, match="no run with a checkpoint and a recipe"):
        budgets.spent(tmp_path / "run")


@pytest.mark.parametrize(
    ("recipe", "change"),
    [
        ("autoencoder", "widths=[]"),
        ("autoencoder", "widths=[16, 0]"),
        ("text-encoder-diffusion", "text_heads=5"),
        ("text-encoder-diffusion", "text_layers=0"),
        ("continuous-regression", "heads=7"),
        ("continuous-regression", "width=0"),
        ("diffusion-head", "head_layers=-1"),
    ],
)
def test_sizes_that_make_no_network_are_refused(recipe, change):
    with pytest.raises(RecipeError, match=change.split("=")[0]):
        override(module_of("rival", recipe).RECIPES[recipe](), [change])
