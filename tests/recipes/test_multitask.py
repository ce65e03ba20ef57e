"""The recipe that mixes all kinds of documents."""

import itertools

import numpy as np
import pytest
import torch
from overrides import settings

from lantu import recipes
from lantu.data.backgrounds import BACKGROUNDS
from lantu.data.packing import cuts
from lantu.errors import RecipeError
from lantu.recipes import multitask
from lantu.recipes.document_sources import hole
from lantu.recipes.trained_parts import trained_parts
from lantu.tokens.document import from_ids, to_ids
from lantu.types import CodeGrid, ContextText, Document, MaskedGrid, Role


@pytest.fixture(scope="module")
def data(scene_data):
    return scene_data


SHORT = {str: "T", ContextText: "t", CodeGrid: "G", MaskedGrid: "P", Role: "."}


@pytest.fixture(scope="module")
def task(tiny_model, data):
    recipe = settings(
        multitask.debug(), f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}", f"edits={data}", "context=0.3"
    )
    return multitask.Task(recipe, data)


def test_all_kinds_come_up_and_can_be_read_back(task):
    seen = set()
    for position in range(400):
        made = task.documents.document(position % 60, position)
        seen.add("".join(SHORT[type(part)] for part in made.parts))
        ids = to_ids(made, task.setup.vocabulary, task.setup.corpus.encode)[0].tolist()
        assert len(from_ids(ids, task.setup.vocabulary, task.setup.codec.decode).parts) <= len(made.parts)
    plain = {"TG", "GT", "TP"}
    talk = {".T..T", ".TG.T", ".TG..T.T", ".TG.T.T..T.T", ".TG..T", ".T.TG.G", "..TG.G", ".T.G", ".T.GT"}
    exercises = {".T..T.T", ".T..TtT.T", ".T..TtTtT", "T.T", "T.T.T"}
    examples = {"GGG.T", "TGT.TG", "GTG.T.T"}
    assert plain | talk | exercises | examples <= seen
    assert task.documents.document(3, 77).parts == task.documents.document(3, 77).parts


def test_changes_that_examples_can_tell_are_kept_apart(task):
    assert set(task.pairs.changes) <= {"swap", *BACKGROUNDS}
    for change, pairs in task.pairs.changes.items():
        for pair in pairs:
            after = task.pairs.scenes(pair)[1]
            assert change == (after.kind if after.kind == "swap" else after.background)


def test_only_what_the_model_is_to_say_is_learnt():
    grid, patch = CodeGrid([[1]]), MaskedGrid([[1, 2]], [[False, True]])
    user, lantu, plan = Role("user"), Role("assistant"), Role("plan")
    for parts, wanted in [
        (("a cat", grid), [1]),
        ((grid, "a cat"), [0, 1]),
        ((grid,), [0]),
        (("a cat", patch), [1]),
        ((user, "what?", grid, lantu, "a cat", user, "where?", lantu, "there"), [3, 4, 7, 8]),
        ((user, "what?", grid, lantu, plan, "a cat", lantu, "a cat"), [3, 4, 5, 6, 7]),
        (
            (user, "a dog?", lantu, plan, ContextText("cat"), ", ", ContextText("dog"), " yes", lantu, "yes"),
            [2, 3, 5, 7, 8, 9],
        ),
        ((user, "a dog!", plan, "a dog", grid, lantu, grid), [5, 6]),
        (("a", grid, "b", grid), [1, 3]),
        ((grid, grid, grid, plan, "swap"), [3, 4]),
        (("a zorp", grid, "a zorp", plan, "zorp cat; cat", grid), [3, 4, 5]),
        ((grid, "a zorp", grid, plan, "cat; cat zorp", lantu, "a zorp"), [3, 4, 5, 6]),
    ]:
        assert trained_parts(Document(parts)) == wanted


def test_exercises_are_all_that_is_not_drawing(tiny_model, data):
    recipe = multitask.exercises()
    assert multitask.MultitaskRecipe(**recipe.model_dump()) == recipe
    task = multitask.Task(
        settings(recipe, f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}", f"edits={data}"), data
    )
    for position in range(60):
        assert not any(
            isinstance(part, CodeGrid | MaskedGrid) for part in task.documents.document(position, position).parts
        )


def test_rows_are_of_about_one_length_and_the_loss_is_that_of_all(task):
    batch = task.batch(0, 16)
    lessons, replies = batch
    assert lessons is not None
    lengths = [rows["ids"].shape[1] for rows in replies]
    assert lengths == sorted(lengths)
    loss, parts = task.loss("model", batch, 0, torch.Generator())
    assert torch.isfinite(loss)
    assert {"codes", "text", "guided"} <= set(parts)


def test_groups_are_padded_as_little_as_can_be():
    assert cuts([5, 5, 5, 9], 2) == [0, 3, 4]
    assert cuts([5, 9], 4) == [0, 1, 2]
    lengths = sorted(np.random.default_rng(0).integers(60, 700, 12).tolist())

    def padded(edges):
        return sum((stop - start) * lengths[stop - 1] for start, stop in itertools.pairwise(edges))

    every = [[0, *inner, 12] for inner in itertools.combinations(range(1, 12), 3)]
    assert padded(cuts(lengths, 4)) == min(map(padded, every))


@pytest.mark.parametrize(
    ("box", "wanted"),
    [((0, 0.25, 0.5, 0.75), (4, 4)), ((1 / 3, 1 / 3, 2 / 3, 2 / 3), (4, 4)), ((0, 0, 1, 1), (8, 8))],
)
def test_holes_are_the_cells_that_a_box_touches(box, wanted):
    holes = hole(box, (8, 8), np.random.default_rng(0))
    assert (holes.any(1).sum(), holes.any(0).sum()) == wanted
    assert hole(None, (8, 8), np.random.default_rng(0)).any()


def test_shares_beyond_all_and_pictures_of_unknown_content_are_refused(tiny_model, data):
    base = [f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}"]
    with pytest.raises(RecipeError, match="more than 1"):
        multitask.Task(settings(multitask.debug(), *base, "questions=0.9", "filling=0.9"), data)


def test_it_learns(tiny_model, data, tmp_path):
    changes = [f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}", f"edits={data}", "loop.sample_every=0"]
    changes += ["loop.precision=fp32", "loop.steps=40", "loop.log_every=10"]
    recipes.train("language", "multitask-debug", data, tmp_path / "run", changes, progress=False)
    from lantu.training.logs import read_log

    losses = [line["loss"] for line in read_log(tmp_path / "run")]
    assert losses[-1] < 0.9 * losses[0]


def test_without_distillation_no_guidance_is_claimed(tiny_model, data):
    """As after a larger codebook: the model that training starts from can't teach what it doesn't know."""
    changes = [f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}", f"edits={data}", "taught=0"]
    made = multitask.Task(settings(multitask.debug(), *changes), data)
    assert len(made.objectives) == 1
    assert "guidance" not in made.model.config.lantu
    assert made.model.config.lantu["learnt"] == ["filling", "talking", "planning"]
