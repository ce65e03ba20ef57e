"""Suites of abilities: a model that answers right is scored so, a random one is not."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path += [str(Path(__file__).parents[1] / "data"), str(Path(__file__).parents[1] / "evaluation")]
from fake_gallery import THINGS, concept
from toy_scenes import ToyNetwork, sprite

from lantu.data.backgrounds import ALL
from lantu.data.gallery import Gallery
from lantu.data.questions import ask
from lantu.data.scenes import Composer
from lantu.errors import LantuError
from lantu.evaluation.retrieval import Retrieval
from lantu.evaluation.scorer import Scorer
from lantu.pipeline import Model
from lantu.recipes import abilities
from lantu.recipes.abilities import context, editing, exam, filling, questions
from lantu.recipes.scores import evaluate
from lantu.tokens.document import LANGUAGES

HUES = ((220, 40, 40), (40, 60, 200), (20, 160, 60), (230, 160, 0), (150, 40, 180))
SHAPES = ("disc", "square", "ring", "cross", "wedge")


def shapes() -> Gallery:
    """Things that can be told apart: every shape in every hue, a style dark or light."""
    keys = list(THINGS)
    cells = [(key, style) for key in keys for style in ("noto", "twemoji")]
    sprites = np.stack([sprite(SHAPES[keys.index(key) % 5], "red") for key, _ in cells])
    for picture, (key, style) in zip(sprites, cells, strict=True):
        picture[..., :3] = np.array(HUES[keys.index(key) // 5]) * (1 if style == "noto" else 0.8)
    return Gallery(
        {key: concept(key) for key in keys}, ("noto", "twemoji"), {cell: n for n, cell in enumerate(cells)}, sprites
    )


@pytest.fixture(scope="module")
def scorer():
    gallery = shapes()
    labels = [(concept, style) for concept in gallery.concepts for style in gallery.styles_of(concept)]
    return Scorer(Retrieval.from_sprites(ToyNetwork(), labels, gallery.sprite))


@pytest.fixture(scope="module")
def tried(tiny_model, scorer):
    composer = Composer(shapes(), 32, 8, 0)
    return exam.Exam(Model.load(tiny_model, "cpu"), composer, scorer, 0, None, {})


def test_a_random_model_is_put_through_all_suites(tried, tmp_path):
    seen = exam.Exam(tried.model, tried.composer, tried.scorer, 0, tmp_path, {})
    for name, way in abilities.WAYS.items():
        suite = way(seen, 2)
        assert 0 <= suite.score < 1, name
        assert suite.details["score"]["score"] == suite.score
    assert {path.name for path in tmp_path.glob("*.png")} >= {"filling.png", "edit-swap.png"}
    assert filling.suite(tried, 3).details["score"]["others the same"] == 1


def test_right_answers_to_questions_are_right(tried, monkeypatch):
    rng, answers, index = np.random.default_rng(0), [], 0
    wanted = {(kind, language): 2 for kind in questions.KINDS for language in LANGUAGES}
    while any(wanted.values()):
        sample, _ = tried.composer.sample("val", exam.NEW + index)
        index += 1
        for kind, language in [key for key, left in wanted.items() if left]:
            if made := ask(kind, sample, tried.concepts, language, rng):
                wanted[kind, language] -= 1
                answers.append(made.answer)
    monkeypatch.setattr(exam.Exam, "draft", lambda self, requests: list(range(len(requests))))
    monkeypatch.setattr(exam.Exam, "said", lambda self, number: answers[number])
    assert questions.suite(tried, 2).score == 1


def test_pictures_as_asked_for_are_right_and_those_before_are_not(tried, monkeypatch):
    tried = replace(tried, composer=Composer(shapes(), 64, 8, 0))
    made = editing.instructions(tried, 2)
    nothing = np.full((64, 64, 3), 255, np.uint8)
    truth = {"after": [after for some in made.values() for _, _, after in some], "before": []}
    truth["before"] = [before for some in made.values() for before, _, _ in some]
    monkeypatch.setattr(editing, "changed", lambda exam, codes, afters: codes)
    monkeypatch.setattr(editing, "answered", lambda exam, codes, afters: [1.0] * len(codes))
    scores = {}
    for which, images in truth.items():
        # Of each kind the answers are painted, then the round trips.
        queue = iter([image for kind in range(6) for image in images[2 * kind : 2 * kind + 2] * 2])
        monkeypatch.setattr(exam.Exam, "afresh", lambda self, prompts: [nothing] * len(prompts))
        monkeypatch.setattr(exam.Exam, "codes", lambda self, images: [np.zeros((4, 4), np.int64)] * len(images))
        monkeypatch.setattr(exam.Exam, "paint", lambda self, grids, queue=queue: [next(queue) for _ in grids])
        scores[which] = editing.suite(tried, 2)
    assert scores["after"].score == scores["after"].ceiling == 1
    assert scores["before"].score < 0.5
    assert scores["after"].details["score"]["afresh"] == 0


def test_examples_come_before_what_is_asked(tried):
    prefixes, scenes, words = context.naming(tried, 2, 3, drawn=False)
    assert len(prefixes) == len(scenes) == len(words) == 3
    none, _, _ = context.naming(tried, 0, 1, drawn=True)
    assert len(none[0]) < len(prefixes[0])
    assert prefixes[0].count(tried.vocabulary.special("boi")) == 2  # what is asked about comes after


def test_a_background_is_told_by_its_rim():
    from lantu.data.backgrounds import BACKGROUNDS, paint

    names = list(BACKGROUNDS)
    picture = paint(names[3], 32)
    assert exam.on_background(names[3], picture)
    assert not exam.on_background("white", picture)


def test_what_a_model_has_not_learnt_is_not_asked(tiny_model, tmp_path):
    assert abilities.learnt(["filling"]) == ["filling"]
    assert set(abilities.learnt(["filling", "talking"])) == set(abilities.WAYS)
    import json
    import shutil

    folder = tmp_path / "mute"
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "language/config.json").read_text())
    config["lantu"]["learnt"] = []
    (folder / "language/config.json").write_text(json.dumps(config))
    with pytest.raises(LantuError, match="has not learnt talking"):
        evaluate(Model.load(folder, "cpu"), suites=["editing"])


def test_scenes_with_things_anywhere_are_asked_of_in_words_that_are_true_and_where_the_judge_can_see(tried):
    composer = Composer(shapes(), 64, 8, 0, placement="anywhere")
    asked = exam.Exam(tried.model, composer, tried.scorer, 0, None, {})
    made = [one for some in editing.instructions(asked, 6).values() for one in some]
    assert all(not ALL[after.background].drawn for _, after, _ in made)
    for _, after, _ in made:
        if len(after.objects) == 2:
            (ax, ay), (bx, by) = (((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in (one.box for one in after.objects))
            left_to_right = "on the left" in asked.caption(after)
            assert left_to_right == (abs(ax - bx) >= abs(ay - by))
            assert (ax < bx) if left_to_right else (ay < by)
