"""The tables and texts of the report's page."""

import base64
import io
import json
import re
import shlex
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from lantu.data.build import build_folder
from lantu.evaluation.likeness import PlainEye
from lantu.models.lantu.folder import LantuFolder
from lantu.pipeline import Model
from lantu.recipes.make import card, drawings, report
from lantu.recipes.make.look import Look
from lantu.recipes.make.stages import Ledger
from lantu.recipes.pictures import Album, TruePicture


def suite(score, **details):
    return {"score": score, "round_trip": 0.5, "ceiling": 1.0, "interval": [0.1, 0.4], "n": 8} | {
        "details": {"score": {"score": score, **details}}
    }


def test_scores_are_told_in_words_and_short_numbers():
    scores = {"codes": suite(0.2, nats=4.4321), "drawing": suite(0.25, fd_network=1012.4)}
    page = report.scores(scores)
    assert "drawings that are most like true pictures of their caption" in page
    assert "fd_network 1,012" in page
    assert "nats 4.43" in page
    row = page.split("<tr>")[2]
    assert row.count("<td") == 7
    assert "50.0%" not in row  # the round trip of codes means nothing
    assert "50.0%" in page.split("<tr>")[3]
    assert "8 pictures say little" in page
    assert report.scores({}) == "<p>None.</p>"


@pytest.mark.parametrize(("fall", "said"), [(0.43, "up to 0.4 dB worse"), (-0.2, "as well as before")])
def test_what_a_move_costs_is_told(fall, said):
    assert said in report.shift({"reconstruction": suite(0.9, moved_db=fall)}, 16)
    assert "moved=16" in report.shift({"reconstruction": suite(0.9, moved_db=1.9)}, 16)
    assert "moved=16" not in report.shift({"reconstruction": suite(0.9, moved_db=fall)}, 16)
    assert "1 to 15 pixels" in report.shift({"reconstruction": suite(0.9, moved_db=fall)}, 16)
    assert report.shift({"reconstruction": suite(0.9)}, 16) == report.shift({}, 16) == ""


def test_a_caption_is_told_in_the_other_language_too():
    captions = (("en", ("an <apple>", "a fruit")), ("zh", ("一个苹果",)))
    picture = TruePicture("val/0", np.zeros((8, 8, 3), np.uint8), captions, "一个苹果", "zh")
    drawn = drawings.Drawn(picture.prompt, drawings.said(picture), picture.image, [picture.image] * drawings.SEEDS)
    row = drawings.figures(drawn, drawings.labelled(0, drawn, 1, picture.image))
    assert row.startswith("<p>“一个苹果” (an &lt;apple&gt;)</p>")
    assert row.count("<figure>") == drawings.SEEDS + 2
    assert "nearest in training, to seed 1" in row


def test_the_training_picture_that_is_nearest_to_any_drawing_is_shown():
    rng = np.random.default_rng(0)
    known = [TruePicture(f"train/{n}", rng.integers(0, 255, (32, 32, 3), np.uint8), (), "", "en") for n in range(4)]
    eye = PlainEye()
    near = drawings.Neighbours(known, eye.pooled(eye.describe(drawings.squares(np.stack([k.image for k in known])))))
    other = np.full((32, 32, 3), 255, np.uint8)
    which, nearest = near.to(eye, [other, known[2].image, other])
    assert (which, nearest.tolist()) == (1, known[2].image.tolist())


@pytest.mark.parametrize(
    ("captions", "prompts", "said"),
    [
        ({}, [drawings.NOTHING], "it learnt no captions"),
        ({"fr": ("un chat",)}, ["un chat"], "captions of pictures that it never saw"),
    ],
)
def test_a_model_without_captions_to_be_scored_draws_all_the_same(tiny_model, tmp_path, captions, prompts, said):
    source = tmp_path / "in"
    source.mkdir()
    for number in range(10):
        Image.fromarray(np.full((32, 32, 3), 20 * number, np.uint8)).save(source / f"{number}.png")
        if captions:
            (source / f"{number}.json").write_text(json.dumps({"captions": captions}))
    model = Model.load(tiny_model, "cpu")
    album = Album(build_folder(source, tmp_path / "data", 32, workers=1), model.size)
    drawn = drawings.draw(model, album)
    assert [one.caption for one in drawn] == prompts
    page = drawings.write(drawn, album, tmp_path, time.monotonic())
    assert said in page
    shown = [f"drawn-0-{seed}.png" for seed in range(drawings.SEEDS)] + ["nearest-0.png"]
    assert re.findall(r"src=(\S+?)>", page) == shown
    with Image.open(tmp_path / drawings.SHEET) as sheet:
        assert sheet.size == (model.size[0] * len(shown), model.size[1] * len(prompts))
    alone = report.with_pictures(page, tmp_path)
    assert "png" not in alone
    held = [Image.open(io.BytesIO(base64.b64decode(one))) for one in re.findall('base64,([^"]+)', alone)]
    assert [picture.size for picture in held] == [model.size] * len(shown)


def test_a_caption_is_not_taken_for_a_picture(tmp_path):
    page = f"<p>{report.escape('<img src=cat.png> a cat, src=dog.png')}</p>"
    assert report.with_pictures(page, tmp_path) == page


def test_what_each_stage_took_is_a_table(tmp_path):
    ledger = Ledger(tmp_path, {}, seconds={"data": 61.0, "model": 5.0}, cpu={"data": 50.0})
    assert report.spent(ledger).count("<tr>") == 3
    assert "<td>import<td>1 min 01 s<td>50 s" in report.spent(ledger)
    assert "<td>settings<td>5 s<td>" in report.spent(ledger)


def test_the_card_says_what_was_made_of_what(tiny_model, tmp_path):
    model = Model.load(shutil.copytree(tiny_model, tmp_path / "mine"), "cpu")
    look = Look(train=30, val=8, size=32, captioned=30, languages={"en": 30}, plain=0.8)
    ledger = Ledger(tmp_path, {"start": "/models/lantu-emoji"}, done={"scores": {"drawing": suite(0.25)}})
    (model.folder.path / card.NAME).unlink(missing_ok=True)
    card.write(model, look, ledger, "it's a cat")
    text = (tmp_path / "mine" / card.NAME).read_text()
    assert "Made of 38 pictures" in text
    assert "It began with lantu-emoji. It draws from captions in en." in text
    assert "| drawing | 25.0% | 50.0% | 100.0% | 10.0% to 40.0% | 8 |" in text
    assert shlex.split(re.search("    lantu (.*)", text)[1]) == ["draw", "it's a cat", "--model", model.folder.name]
    assert "| language |" in text
    assert "{" not in text
    (tmp_path / "mine" / card.NAME).write_text("# by hand\n")
    card.write(model, look, ledger, "a cat")
    assert (tmp_path / "mine" / card.NAME).read_text() == "# by hand\n"
    LantuFolder(tmp_path / "mine").check()
