"""The whole story, from drawings to a picture, as a user types it: scripts/story.sh in its debug size."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def story(tmp_path_factory):
    """A folder in which the story has been told, with coloured squares for drawings."""
    sys.path.insert(0, str(ROOT / "tests" / "data"))
    from fake_gallery import make_gallery

    from lantu.data.gallery import save_gallery

    folder = tmp_path_factory.mktemp("story")
    gallery = make_gallery()
    cells = [(concept, style) for concept in gallery.concepts for style in gallery.styles]
    drawings = (gallery.sprite(*cell).repeat(8, 0).repeat(8, 1) for cell in cells)
    save_gallery(folder / "cache" / "galleries" / "everyday", gallery.concepts, gallery.styles, cells, drawings)
    environment = os.environ | {
        "LANTU_CACHE": str(folder / "cache"),
        "LANTU": f"{sys.executable} -m lantu",
        "OMP_NUM_THREADS": "2",
    }
    told = subprocess.run(
        ["bash", str(ROOT / "scripts" / "story.sh"), "debug", str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert told.returncode == 0, told.stdout[-2000:] + told.stderr[-4000:]
    return folder


def log(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_it_ends_with_a_picture_that_tells_its_prompt(story):
    from lantu.images.metadata import read_picture

    with Image.open(story / "picture.png") as picture:
        assert picture.size == (32, 32)
    assert read_picture(story / "picture.png").prompt == "左边一只猫，右边一只狗"


@pytest.mark.parametrize("part", ["tokenizer", "language", "decoder"])
def test_every_part_learns(story, part):
    losses = [line["loss"] for line in log(story / part)]
    assert losses[-1] < losses[0]


def test_the_language_model_is_a_stock_directory(story):
    """AutoModelForCausalLM and AutoTokenizer read it, and agree with what lantu trained and drafts with."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from lantu.engine.backends.native import Language
    from lantu.tokens.bpe import TextCodec

    folder = story / "model" / "language"
    stock = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = AutoTokenizer.from_pretrained(folder)("a cat", add_special_tokens=False)["input_ids"]
    assert ids == TextCodec(folder).encode("a cat")
    with torch.inference_mode():
        expected = stock(torch.tensor([ids])).logits[0, -1].numpy()
    ours = Language.load(folder, precise=True)
    row = ours.open(len(ids))
    ours.read([row], [ids])
    np.testing.assert_allclose(ours.logits([row], (range(len(expected)),))[0], expected, atol=1e-3, rtol=1e-3)


def test_the_model_names_its_data(story):
    from lantu.models import hub

    model = hub.find(story / "model")
    assert model.index["data"]["world"] == "everyday"
    assert model.grid == (4, 4)


@pytest.mark.slow
def test_told_again_it_changes_nothing(story):
    """Every step is done already: the same script returns at once with the same picture."""
    before = (story / "picture.png").read_bytes()
    environment = os.environ | {"LANTU_CACHE": str(story / "cache"), "LANTU": f"{sys.executable} -m lantu"}
    subprocess.run(
        ["bash", str(ROOT / "scripts" / "story.sh"), "debug", str(story)],
        env=environment,
        check=True,
        capture_output=True,
    )
    assert (story / "picture.png").read_bytes() == before
