"""The whole story of several codes a cell in seconds: tokenizer, language model, decoder, a model that draws."""

import numpy as np
import pytest
from PIL import Image

import lantu
from lantu import recipes
from lantu.data.build import build_folder
from lantu.data.shards import Shards
from lantu.errors import RecipeError
from lantu.recipes.assemble import assemble
from lantu.recipes.codes import codes_of, load_tokenizer

QUIET = ["loop.sample_every=0", "loop.validate_every=0", "loop.log_every=1", "loop.precision=fp32", "loop.batch_size=8"]


def train(part, recipe, data, out, *changes):
    return recipes.train(part, recipe, data, out, [*QUIET, *changes], device="cpu", progress=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Squares of four colours, each with a caption."""
    pictures = tmp_path_factory.mktemp("pictures")
    for number in range(32):
        colour = ("red", "blue", "green", "white")[number % 4]
        image = Image.new("RGB", (32, 32), "grey")
        image.paste(colour, (number % 7, number % 5, number % 7 + 16, number % 5 + 20))
        image.save(pictures / f"{number}.png")
        (pictures / f"{number}.txt").write_text(f"a {colour} square\n")
    return build_folder(pictures, tmp_path_factory.mktemp("data") / "data", size=32, workers=1)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tokenizer"
    train("tokenizer", "residual-debug", data, folder, "loop.steps=12")
    return folder


def test_the_whole_story(data, run, tmp_path):
    parts = {"tokenizer": run}
    for part, more in (("language", ()), ("decoder", ("loop.sample_every=3",))):
        train(part, "debug", data, tmp_path / part, "loop.steps=3", f"tokenizer={run}", *more)
        parts[part] = tmp_path / part
    assert any((tmp_path / "decoder").rglob("*.png"))  # a sheet of samples
    model = lantu.load(assemble(**parts, out=tmp_path / "model", data=data).path, device="cpu")
    tokenizer, real = load_tokenizer(run), Shards(data, "val").images([0])
    kept = codes_of(data, tokenizer, "val")[:1].astype(np.int64)
    assert np.array_equal(model.tokenize(Image.fromarray(real[0]))[None], kept)
    assert tokenizer.paint(kept).shape == real.shape
    picture = model.draw("a red square", seed=1)
    assert (picture.codes.shape, picture.image.size) == ((4, 8), (32, 32))
    assert np.array_equal(picture.codes // 32, np.broadcast_to(np.arange(8) % 2, (4, 8)))


def test_what_reads_one_code_a_cell_says_so(data, run, tmp_path):
    with pytest.raises(RecipeError, match=r"masked diffusion reads one code a cell, and this .* writes 2 codes a cell"):
        train("language", "masked-debug", data, tmp_path / "masked", f"tokenizer={run}")
    assert not (tmp_path / "masked").exists()
