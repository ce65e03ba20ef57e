"""A Tar directory by the command line and the library; it is off until the user accepts that its licence is unclear."""

import json

import numpy as np
from PIL import Image

from lantu.pipeline import Model

PROMPT = "a red cat"


def test_it_is_off_until_its_terms_are_accepted(lantu, tar, monkeypatch):
    monkeypatch.delenv("LANTU_ACCEPT", raising=False)
    code, out, err = lantu("draw", PROMPT, "--model", tar)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "names no licence" in err
    assert "lantu models accept tar" in err
    code, out, err = lantu("models", "accept", "tar")
    assert code == 0
    codes = np.random.default_rng(0).integers(0, 64, (9, 9)).tolist()
    with open("t.json", "w") as file:
        json.dump({"pictures": [{"codes": codes, "seed": 3}]}, file)
    arguments = ("--model", tar, "--steps", 2)
    code, out, err = lantu("detokenize", "t.json", *arguments, "-o", "a.png")
    assert code == 0, err
    with Image.open("a.png") as picture:
        assert picture.size == (32, 32)


def test_the_library_draws(tar, monkeypatch):
    monkeypatch.setenv("LANTU_ACCEPT", "tar")
    model = Model.load(tar, "cpu")
    assert model.size == (32, 32)
    picture = model.draw(PROMPT, seed=3, steps=2)
    assert picture.codes.shape == (27, 27)
    again = model.render(picture.codes, seed=3, steps=2)
    assert again.image.tobytes() == picture.image.tobytes()
    (step,) = model.stream(PROMPT, seed=3, steps=2)
    assert step.picture.codes.tolist() == picture.codes.tolist()
