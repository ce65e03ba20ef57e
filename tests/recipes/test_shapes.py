"""Pictures of several shapes, from the files to drawings: every part trains on batches of one shape each."""

import json

import numpy as np
import pytest
import torch
from overrides import settings
from PIL import Image

from lantu import load, recipes
from lantu.data.build import build_folder
from lantu.data.shards import Shards
from lantu.errors import ImageError, RecipeError
from lantu.models.validation import parse_shape
from lantu.recipes import language, masked, tokenizer
from lantu.recipes.assemble import assemble
from lantu.recipes.codes import codes_of, load_tokenizer
from lantu.weights import tensors

SHAPES = {(32, 32): 6, (40, 24): 12, (24, 40): 3}  # height and width → pictures


@pytest.fixture(scope="module")
def shaped(tmp_path_factory):
    """A data folder of pictures of three shapes."""
    source, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for (height, width), count in SHAPES.items():
        for number in range(count):
            pixels = rng.integers(0, 256, (4, 4, 3), np.uint8)
            picture = Image.fromarray(pixels).resize((2 * width, 2 * height))
            picture.save(source / f"{width}-{number}.png")
            (source / f"{width}-{number}.txt").write_text(f"thing {number}\n")
    return build_folder(source, tmp_path_factory.mktemp("data") / "data", size=32, val=0.2, workers=1)


def train(part, data, out, *changes, resume=False):
    changes = ["loop.precision=fp32", *changes]
    return recipes.train(part, "debug", data, out, changes, device="cpu", resume=resume, progress=False)


@pytest.fixture(scope="module")
def trained(shaped, tmp_path_factory):
    """A model directory, made of parts that were trained on them, and the folder of the runs."""
    work = tmp_path_factory.mktemp("runs")
    train("tokenizer", shaped, work / "tokenizer", "loop.steps=6")
    for part in ("language", "decoder"):
        changes = (f"tokenizer={work / 'tokenizer'}", "loop.steps=6", "loop.validate_every=3")
        train(part, shaped, work / part, *changes)
    assemble(*(work / part for part in ("tokenizer", "language", "decoder")), work / "model", data=shaped)
    return work


def test_batches_have_one_shape_and_each_picture_comes_once_an_epoch(shaped):
    task = tokenizer.Task(settings(tokenizer.debug()), shaped)
    shapes = {tuple(task.batch(step, 4).shape) for step in range(12)}
    assert shapes == {(4, 3, *shape) for shape in SHAPES}
    assert torch.equal(task.batch(5, 4), task.batch(5, 4))
    assert {tuple(batch.shape[2:]) for number in range(4) if (batch := task.validation(number, 2)) is not None}


def test_the_grids_of_codes_fit_their_pictures(shaped, trained):
    made, shards = load_tokenizer(trained / "tokenizer"), Shards(shaped, "train")
    grids = codes_of(shaped, made, "train")
    assert [grids[index].shape for index in range(len(shards))] == [
        (height // 8, width // 8) for height, width in shards.shapes.tolist()
    ]
    index = int(np.flatnonzero((shards.shapes == (40, 24)).all(1))[0])
    pixels = torch.tensor(shards.images([index])).permute(0, 3, 1, 2).float() / 127.5 - 1
    assert np.array_equal(made.encode(pixels)[0].numpy(), grids[index])


def test_a_killed_run_goes_on_as_if_nothing_had_happened(shaped, trained, tmp_path):
    for part in ("tokenizer", "decoder"):
        named = () if part == "tokenizer" else (f"tokenizer={trained / 'tokenizer'}",)
        once, twice = tmp_path / f"{part}-once", tmp_path / f"{part}-twice"
        train(part, shaped, once, *named, "loop.steps=4")
        assert train(part, shaped, twice, *named, "loop.steps=4", "loop.minutes=0.00001").step < 4
        train(part, shaped, twice, "loop.minutes=9", resume=True)
        before, after = (tensors.load(run / "model") for run in (once, twice))
        assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_model_draws_reads_and_names_each_shape(trained):
    model = load(trained / "model")
    assert model.size == (24, 40)  # the shape that most pictures have
    assert set(model.sizes) == {(24, 40), (32, 32), (40, 24)}
    layout = model.parts.layout
    assert parse_shape("3:4")(layout) == (24, 40)
    assert parse_shape("16:9")(layout) == (40, 24)
    assert parse_shape("1:1")(layout) == (32, 32)
    with pytest.raises(ImageError, match="give a size in pixels"):
        parse_shape("1:9")(layout)
    assert not any(layout.check_size(size) for size in model.sizes)
    assert "24x40, 32x32" in layout.check_size((24, 24)) or "come apart" in layout.check_size((24, 24))
    for size in model.sizes:
        assert model.draw("thing 1", seed=1, size=size, steps=1).image.size == size
    assert model.tokenize(Image.new("RGB", (48, 16))).shape == (2, 6)
    assert model.tokenize(Image.new("RGB", (300, 400)), fit=True).shape == (5, 3)
    assert isinstance(model.caption(Image.new("RGB", (40, 24))), str)
    with pytest.raises(ImageError, match="the model reads"):
        model.caption(Image.new("RGB", (40, 32)))


def test_the_language_model_learns_every_grid(shaped, trained):
    config = json.loads((trained / "model" / "language" / "config.json").read_text())["lantu"]
    assert config["grid"] == [5, 3]
    assert config["grids"] == [5, 3, 4, 4, 3, 5]
    recipe = settings(language.debug(), f"tokenizer={trained / 'tokenizer'}")
    task = language.Task(recipe, shaped)
    lengths = {task.setup.corpus.grids[index].shape for index in range(len(task.setup.corpus.samples))}
    assert lengths == {(5, 3), (4, 4), (3, 5)}


def test_recipes_of_one_shape_say_so(shaped, trained):
    recipe = settings(masked.debug(), f"tokenizer={trained / 'tokenizer'}")
    with pytest.raises(RecipeError, match=r"3 shapes.*--aspect crop"):
        masked.Task(recipe, shaped)
