"""An upscaler is trained behind a decoder that stays as it is."""

import numpy as np
import pytest
import torch
from overrides import settings

from lantu import recipes
from lantu.data.build import build_folder
from lantu.errors import ModelError, RecipeError
from lantu.models.lantu.upscaler.network import Upscaler
from lantu.pipeline import Model
from lantu.recipes import upscaler
from lantu.recipes.assemble import assemble


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Squares of 64 pixels, each of a colour of its own."""
    from PIL import Image

    folder, out = tmp_path_factory.mktemp("large"), tmp_path_factory.mktemp("data") / "large"
    rng = np.random.default_rng(0)
    for number in range(24):
        Image.new("RGB", (64, 64), tuple(rng.integers(0, 255, 3).tolist())).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("a square\n")
    build_folder(folder, out, size=64)
    return out


def changes(tiny_model, *more):
    return [f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}", "loop.precision=fp32", *more]


def test_it_learns_what_the_decoder_gets_wrong(tiny_model, data, tmp_path):
    # The tiny decoder paints noise: the nearest to all true pictures is grey.
    wanted = changes(tiny_model, "loop.steps=150", "loop.lr=3e-3")
    recipes.train("upscaler", "debug", data, tmp_path / "run", wanted, progress=False)
    assert list((tmp_path / "run" / "samples").glob("*.png"))
    task = upscaler.Task(settings(upscaler.debug(), *wanted), data)
    batch = task._rendered(task.batch(7, 8), torch.Generator().manual_seed(0))
    assert batch.rendered.shape == (8, 3, 32, 32)
    assert batch.true.shape == (8, 3, 64, 64)
    before = task._distance(batch)[0]
    task.model = Upscaler.load(tmp_path / "run" / "model")
    assert task._distance(batch)[0] < 0.8 * before
    folder = assemble(tiny_model, tiny_model, tiny_model, tmp_path / "made", upscaler=tmp_path / "run")
    assert folder.index["upscaler"] == ["lantu.models.lantu.upscaler.network", "Upscaler"]
    assert folder.index["budget"]["upscaler"]["steps"] == 150
    assert any(name.startswith("upscaler/") for name in folder.index["checksums"])
    assert Model.load(folder.path, "cpu").draw("a cat", seed=1).image.size == (64, 64)


def test_a_run_that_is_resumed_goes_on_as_if_unbroken(tiny_model, data, tmp_path):
    wanted = changes(tiny_model, "loop.steps=6", "loop.checkpoint_every_s=0")
    recipes.train("upscaler", "debug", data, tmp_path / "whole", wanted, progress=False)
    recipes.train("upscaler", "debug", data, tmp_path / "broken", [*wanted, "loop.minutes=0"], progress=False)
    resumed = recipes.train(
        "upscaler", "debug", data, tmp_path / "broken", ["loop.minutes=null"], resume=True, progress=False
    )
    assert resumed.reason == "finished"
    whole, broken = (Upscaler.load(tmp_path / run / "model").state_dict() for run in ("whole", "broken"))
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


def test_it_goes_on_from_an_upscaler_with_its_sizes(tiny_model, data, tmp_path):
    wanted = changes(tiny_model, "loop.steps=1", "width=32")
    recipes.train("upscaler", "debug", data, tmp_path / "run", wanted, progress=False)
    more = changes(tiny_model, f"upscaler={tmp_path}/run")
    task = upscaler.Task(settings(upscaler.debug(), *more), data)
    assert task.model.config.width == 32
    with pytest.raises(ModelError, match="holds a decoder, not an upscaler"):
        upscaler.Task(settings(upscaler.debug(), *changes(tiny_model, f"upscaler={tiny_model}/decoder")), data)


def test_what_it_needs(tiny_model, data, scene_data):
    with pytest.raises(RecipeError, match="is trained for a decoder"):
        upscaler.Task(settings(upscaler.debug(), f"tokenizer={tiny_model}/tokenizer"), data)
    with pytest.raises(RecipeError, match="have 32 pixels a side, and are to become 64") as refused:
        upscaler.Task(settings(upscaler.debug(), *changes(tiny_model)), scene_data)
    assert refused.value.hint == "build them so large: --size 64"
    with pytest.raises(RecipeError, match="paints 8 pixels a side, the upscaler sees 3"):
        upscaler.Task(settings(upscaler.debug(), *changes(tiny_model, "cell=3")), data)
