"""Spaces and heads of continuous models in combinations that are no recipes of their own."""

import json

from lantu.models import registry
from lantu.recipes.rivals import continuous
from lantu.training.config import override


def test_a_diffusion_head_of_pixels_is_exported_too(captioned_data, tmp_path):
    recipe = override(continuous.RECIPES["diffusion-head-debug"](), ["space=pixels"])
    continuous.Task(recipe, captioned_data).export(tmp_path / "model")
    assert json.loads((tmp_path / "model/model_index.json").read_text())["training"]["recipe"] == "diffusion-head"
    folder = registry.open_folder(tmp_path / "model").check()
    assert (folder.paints, folder.diffuses) == (True, True)
