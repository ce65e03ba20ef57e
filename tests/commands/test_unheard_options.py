"""Options that would change nothing are refused, and a photo is as large as its drawing before its edges are found."""

import numpy as np
import pytest
from PIL import Image

from lantu.models.lantu import controls


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--control-kind", "photo"], "--control-kind is for a picture to follow: leave it out, or add --control FILE"),
        (["--control-kind", "edges"], "--control-kind is for a picture to follow"),
        (["--control-scale", 3], "--control-scale is for a picture to follow"),
        (["--fit"], "--fit has no picture to scale and crop"),
        (["--per-shard", 10], "--per-shard is for a file of prompts"),
        (["--together", 16], "--together is for a file of prompts"),
    ],
)
def test_an_option_without_the_one_that_it_is_for(lantu, tmp_path, words, said):
    code, out, err = lantu("draw", "a cat", *words, "-o", "a.png")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize("words", [["--fit"], ["--control-kind", "photo"], ["--control-scale", 1]])
def test_a_file_of_prompts_takes_no_option_of_a_control(lantu, tmp_path, words):
    (tmp_path / "prompts.txt").write_text("a cat\n")
    code, out, err = lantu("draw", "--prompts", "prompts.txt", "-o", "out", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"{words[0]} is for one prompt" in err
    assert not (tmp_path / "out").exists()


@pytest.fixture
def sizes_px(monkeypatch):
    """Sizes of the pictures whose edges are found."""
    seen, edges = [], controls.edges

    def watched(picture, *more):
        seen.append(picture.shape[1::-1])
        return edges(picture, *more)

    monkeypatch.setattr(controls, "edges", watched)
    return seen


def draw(lantu, model, *more):
    return lantu("draw", "a cat", "--control", "photo.png", "--control-kind", "photo", "--model", model, *more)


def test_edges_are_found_in_a_photo_of_the_drawings_size(lantu, small_model, sizes_px):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(256, size=(60, 90, 3), dtype=np.uint8)).save("photo.png")
    code, out, err = draw(lantu, small_model)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "the control has 90x60 pixels, the drawing 32x32" in err
    assert "--fit" in err
    assert sizes_px == []
    assert draw(lantu, small_model, "--fit", "-o", "a.png")[0] == 0
    assert draw(lantu, small_model, "--fit", "--size", "48x32", "-o", "b.png")[0] == 0
    assert sizes_px == [(32, 32), (48, 32)]
    with Image.open("b.png") as image:
        assert image.size == (48, 32)
    assert "--size" not in draw(lantu, small_model, "--fit", "--like", "b.png", "-o", "c.png")[2]
    assert sizes_px[2:] == [(48, 32)]


def test_a_size_that_nobody_draws_is_refused_before_the_photo_is_scaled_to_it(lantu, small_model, sizes_px):
    Image.new("RGB", (32, 32)).save("photo.png")
    code, out, err = draw(lantu, small_model, "--fit", "--size", "99999x99999")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "no picture can have 99999x99999 pixels" in err
