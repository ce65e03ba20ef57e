"""An Emu3 directory by the command line and the library: the codes and pixels of transformers."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lantu.errors import AbilityError, LantuError
from lantu.pipeline import Model

PROMPT = "the blue dog on the left"


@pytest.fixture(scope="session")
def wanted(generated):
    """Codes and picture of transformers, greedily, of 5 by 3 codes."""
    _, _, codes, _, picture = generated(PROMPT, 3, 5)
    return codes, np.asarray(picture)


@pytest.fixture(scope="session")
def model(emu3):
    return Model.load(emu3, "cpu")


def test_draw_gives_the_codes_and_the_picture_of_transformers(lantu, emu3, wanted):
    arguments = ("--model", emu3, "--temperature", 0, "--size", "40x24", "--tokens-out", "t.json", "-o", "out.png")
    code, out, err = lantu("draw", PROMPT, *arguments, "--json")
    assert (code, err) == (0, "")
    assert (json.loads(out)["model"], json.loads(out)["tokens"]) == ("tiny-emu3", 15)
    (told,) = json.loads(Path("t.json").read_text())["pictures"]
    assert told["codes"] == wanted[0].tolist()
    np.testing.assert_array_equal(np.asarray(Image.open("out.png")), wanted[1])
    assert lantu("detokenize", "t.json", "--model", emu3, "-o", "again.png")[0] == 0
    np.testing.assert_array_equal(np.asarray(Image.open("again.png")), wanted[1])
    assert lantu("draw", "--like", "out.png", "--model", emu3, "-o", "like.png")[0] == 0
    np.testing.assert_array_equal(np.asarray(Image.open("like.png")), wanted[1])
    code, out, err = lantu("tokenize", "out.png", "--model", emu3)
    assert (code, err) == (0, "")


def test_info_and_models(lantu, emu3):
    told = json.loads(lantu("info", "--model", emu3, "--json")[1])
    assert (told["pixels"], told["grid"], told["codebook"], told["license"]) == ("32x32", "4x4", 64, "Apache-2.0")
    assert told["parameters"]["language"] > 0 < told["parameters"]["decoder"]
    families = {one["name"]: one for one in json.loads(lantu("models", "--json")[1])["families"]}
    assert families["emu3"]["tasks"] == ["draw"]


def test_the_library_counts_codes_and_streams_the_picture(model, wanted):
    seen = []
    picture = model.draw(PROMPT, size=(40, 24), temperature=0, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 15) for done in range(1, 16)]
    np.testing.assert_array_equal(picture.codes, wanted[0])
    np.testing.assert_array_equal(np.asarray(picture.image), wanted[1])
    (step,) = model.stream(PROMPT, size=(40, 24), temperature=0)
    assert step.picture.codes.tolist() == wanted[0].tolist()
    pictures = model.draw_many("a red cat", 2, seed=1)
    assert model.draw("a red cat", seed=pictures[1].seed).image.tobytes() == pictures[1].image.tobytes()
    np.testing.assert_array_equal(np.asarray(model.render(wanted[0]).image), wanted[1])
    assert model.tokenize(picture.image).shape == (3, 5)


@pytest.mark.parametrize(
    ("ask", "error", "match"),
    [
        (lambda model: model.draw("a cat", steps=3), LantuError, "steps"),
        (lambda model: model.draw("a cat", examples=[("a dog", Image.new("RGB", (32, 32)))]), LantuError, "examples"),
        (lambda model: model.draw("a cat " * 150), LantuError, "256 ids"),
        (lambda model: model.caption(Image.new("RGB", (32, 32))), AbilityError, "captioning"),
        (lambda model: model.edit(Image.new("RGB", (32, 32)), "a cat", box=(0, 0, 8, 8)), AbilityError, "filling"),
    ],
)
def test_what_it_cannot_do_is_said_in_one_line(model, ask, error, match):
    with pytest.raises(error, match=match) as found:
        ask(model)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("backend", ["transformers", "vllm"])
def test_other_backends_are_refused(emu3, backend, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    with pytest.raises(LantuError, match="backend"):
        Model.load(emu3, "cpu", backend)
