"""A described model by the command line and the library."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from guided_generate import generated
from lantu.pipeline import Model
from tiny_plain import CODES, TEXT

PROMPT = "a red cat"


def test_draw_gives_the_codes_of_transformers(lantu, plain):
    wanted = generated(plain, f"{PROMPT} <boi> 4*4", "<unconditional><boi>", range(TEXT, TEXT + CODES), 16, 3.0)
    arguments = ("--model", plain, "--temperature", 0, "--tokens-out", "t.json", "-o", "out.png", "--json")
    code, out, err = lantu("draw", PROMPT, *arguments)
    assert (code, err) == (0, "")
    assert json.loads(out)["tokens"] == 16
    (told,) = json.loads(Path("t.json").read_text())["pictures"]
    assert (np.array(told["codes"]).ravel() + TEXT).tolist() == wanted
    assert lantu("draw", "--like", "out.png", "--model", plain, "-o", "like.png")[0] == 0
    assert Path("like.png").read_bytes() == Path("out.png").read_bytes()
    assert lantu("draw", PROMPT, "--model", plain, "--size", "24x8", "-o", "wide.png")[0] == 0
    with Image.open("wide.png") as wide:
        assert wide.size == (24, 8)
    code, out, err = lantu("draw", PROMPT, "--model", plain, "--size", "28x28")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "choose 16x16" in err
    code, out, err = lantu("draw", PROMPT, "--model", plain, "--backend", "transformers", "--temperature", 0)
    assert code == 0


def test_info_models_and_mistakes(lantu, plain, tmp_path):
    told = json.loads(lantu("info", "--model", plain, "--json")[1])
    assert (told["pixels"], told["language"], told["layout"]) == ("16x16", "LlamaForCausalLM", "lantu_layout.json")
    assert told["parameters"]["language"] > 0 < told["parameters"]["decoder"]
    families = {one["name"]: one for one in json.loads(lantu("models", "--json")[1])["families"]}
    assert families["plain"]["tasks"] == ["draw"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "lantu_layout.json").write_text('{"prompt": 3}')
    code, out, err = lantu("draw", PROMPT, "--model", tmp_path / "mine")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert '"prompt" 3' in err
    for asked in (("caption", "out.png"), ("tokenize", "out.png")):
        Image.new("RGB", (16, 16)).save("out.png")
        code, out, err = lantu(*asked, "--model", plain)
        assert (code, out, err.count("\n")) == (2, "", 1)


def test_several_drawings_are_each_what_they_are_alone(plain):
    model = Model.load(plain, "cpu")
    pictures = model.draw_many(PROMPT, 3, seed=1)
    alone = model.draw(PROMPT, seed=pictures[1].seed)
    assert alone.codes.tolist() == pictures[1].codes.tolist()
    assert alone.image.tobytes() == pictures[1].image.tobytes()
    (step,) = model.stream(PROMPT, seed=pictures[1].seed)
    assert step.picture.image.tobytes() == alone.image.tobytes()
