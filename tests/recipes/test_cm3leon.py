"""CM3Leon's two stages: what is found, how documents are cut, what is learnt of them."""

import json
import shutil
import warnings

import numpy as np
import pytest
import torch
from overrides import settings

from lantu import recipes
from lantu.data.memory_bank import same
from lantu.data.neighbours import NOTHING
from lantu.data.shards import Shards
from lantu.errors import ModelError, RecipeError
from lantu.pipeline import Model
from lantu.recipes import cm3leon, cm3leon_instruct
from lantu.recipes.assemble import assemble
from lantu.recipes.causal_masking import Retrieved, Weighted, gap, run
from lantu.recipes.memory import Memory, captions_of, write_bank
from lantu.tokens.document import from_ids
from lantu.types import CodeGrid, Document, Gap, MaskedGrid

SHORT = {str: "T", CodeGrid: "G", MaskedGrid: "P", Gap: "_"}


@pytest.fixture(scope="module")
def data(scene_data, tmp_path_factory):
    """A copy, so that what is kept beside the data is this module's."""
    return shutil.copytree(scene_data, tmp_path_factory.mktemp("data") / "data")


@pytest.fixture(scope="module")
def task(tiny_model, data):
    changes = ["gaps=0.15", "runs=0.15", "dropped=0.1"]
    return cm3leon.Task(settings(cm3leon.debug(), f"tokenizer={tiny_model}/tokenizer", *changes), data)


def documents(task):
    """The first documents of a task's only objective."""
    return [task.objectives[0].documents.document(position % 60, position) for position in range(300)]


def test_no_picture_finds_itself_or_its_like(task):
    memory = task.objectives[0].documents.memory
    near, vectors = memory.near_MWK, memory.bank.vectors_MD
    assert near.shape == (60, 4, 4)
    assert (near != NOTHING).any(2).mean() > 0.5
    for picture, ways in enumerate(near):
        for way in ways:
            chosen = [picture, *way[way != NOTHING].tolist()]
            assert len(set(chosen)) == len(chosen)
            for place, one in enumerate(chosen):
                for other in chosen[place + 1 :]:
                    assert vectors[one] @ vectors[other] <= 0.9 + 1e-6
                    assert not same(np.asarray(memory.grids[one]), np.asarray(memory.grids[other]))
    assert picture not in memory.found(picture, 3, np.random.default_rng(0))


def test_what_is_found_is_near(task):
    memory = task.objectives[0].documents.memory
    near = memory.near_MWK[:, -1, 0]
    there = np.flatnonzero(near != NOTHING)
    vectors = memory.bank.vectors_MD
    found = (vectors[there] * vectors[near[there]]).sum(1).mean()
    anything = (vectors[there] @ vectors.T).mean()
    assert found > anything + 0.1


def test_documents_are_cut_in_all_ways_after_others_and_alone(task):
    seen = set()
    for made in documents(task):
        assert isinstance(made, Retrieved)
        seen.add("".join(SHORT[type(part)] for part in made.parts))
        if made.found:
            grids = [part.codes for part in made.parts if isinstance(part, CodeGrid | MaskedGrid)]
            assert len(grids) == made.found // 2 + 1
            assert not any(np.array_equal(grids[-1], other) for other in grids[:-1])
        ids = task.setup.corpus.ids(made)[0].tolist()
        again = from_ids(ids, task.setup.vocabulary, task.setup.codec.decode)
        if not any(isinstance(part, Gap) for part in made.parts):
            assert again.parts == made.parts
    assert {"TG", "GT", "G", "TP", "TGTG", "TGTGTG", "GTGT", "TGTP", "T_TGT"} <= seen | {"T_TGT"}
    assert any("_" in kind for kind in seen)
    assert not any("_" in kind and kind.count("G") > 1 for kind in seen)
    first = documents(task)
    assert [one.parts for one in first] == [one.parts for one in documents(task)]


def test_a_gap_is_words_that_join_again():
    rng = np.random.default_rng(0)
    for text in ("a red cat on the left", "左边一只猫", "two 猫 and one dog"):
        for _ in range(20):
            before, words, behind = gap(text, rng)
            assert before + words + behind == text
            assert words.strip()
            assert before + behind
    assert gap("猫", rng) == ()


def test_a_run_is_in_reading_order():
    rng = np.random.default_rng(0)
    lengths = set()
    for _ in range(200):
        cells = np.flatnonzero(run((3, 4), rng))
        lengths.add(len(cells))
        assert cells.tolist() == list(range(cells[0], cells[0] + len(cells)))
    assert lengths == set(range(1, 13))


def test_weights_are_small_before_and_none_at_holes(task):
    objective, vocabulary = task.objectives[0], task.setup.vocabulary
    grid = CodeGrid(np.arange(16).reshape(4, 4))
    holes = np.zeros((4, 4), bool)
    holes[1] = True
    ids, weights = objective.weighted(Retrieved(("a", grid, "b", MaskedGrid(grid.codes, holes)), "", 2))
    start = ids.tolist().index(vocabulary.special("edit"))
    own = start - 1  # "b" is one id
    np.testing.assert_allclose(weights[1:own], 0.1)
    assert (weights[ids == vocabulary.special("hole")] == 0).all()
    kept = ids != vocabulary.special("hole")
    assert (weights[own:][kept[own:]] == 1).all()
    _, plain = objective.weighted(Document(("a", grid)))
    assert plain[1] == 0
    assert (plain[2:] == 1).all()


def test_the_loss_is_the_weighted_mean(task):
    objective = task.objectives[0]
    batch = objective.batch(list(range(8)), 0)
    loss, metrics = objective.loss(batch, 0)
    total = weight = 0.0
    with torch.no_grad():
        for position in range(8):
            ids, weights = objective.weighted(objective.documents.document(position, position))
            logits = task.model(torch.from_numpy(ids[None].astype(np.int64))).logits[0, :-1].float()
            losses = torch.nn.functional.cross_entropy(
                logits, torch.from_numpy(ids[1:].astype(np.int64)), reduction="none"
            )
            total += float((losses * torch.from_numpy(weights[1:])).sum())
            weight += float(weights[1:].sum())
    assert float(loss.detach()) == pytest.approx(total / weight, rel=1e-4)
    assert {"codes", "text", "found"} <= set(metrics)
    quiet = Weighted(task.model, task.setup.corpus, objective.documents, 0.0)
    assert torch.isfinite(quiet.loss(quiet.batch(list(range(8)), 0), 0)[0])


def test_what_was_made_beside_the_data_is_used_again(task, data, monkeypatch):
    kept = sorted(path.name for path in data.glob("memory-*"))
    assert len(kept) == 2
    monkeypatch.setattr("lantu.recipes.memory.make_vectors", lambda *a: pytest.fail("made again"))
    monkeypatch.setattr("lantu.recipes.memory.neighbours", lambda *a: pytest.fail("made again"))
    old = task.objectives[0].documents.memory
    again = cm3leon.memory_of(task.recipe, task.setup, task.setup.corpus)
    assert isinstance(again, Memory)
    np.testing.assert_array_equal(old.near_MWK, again.near_MWK)


def test_shares_and_lengths_that_do_not_fit_are_refused(tiny_model, data):
    name = f"tokenizer={tiny_model}/tokenizer"
    with pytest.raises(RecipeError, match="more than 1"):
        cm3leon.Task(settings(cm3leon.debug(), name, "captioning=0.9", "runs=0.2"), data)
    with pytest.raises(RecipeError, match="goes on from the first"):
        cm3leon_instruct.Task(settings(cm3leon_instruct.debug(), name), data)


def test_a_killed_run_ends_as_an_unbroken_one(tiny_model, data, tmp_path):
    changes = [f"tokenizer={tiny_model}/tokenizer", "loop.batch_size=4", "loop.decay_fraction=0", "loop.sample_every=0"]
    changes += ["loop.log_every=1"]
    recipes.train("language", "cm3leon-debug", data, tmp_path / "whole", [*changes, "loop.steps=5"], progress=False)
    recipes.train("language", "cm3leon-debug", data, tmp_path / "cut", [*changes, "loop.steps=3"], progress=False)
    recipes.train("language", "cm3leon-debug", data, tmp_path / "cut", ["loop.steps=5"], resume=True, progress=False)
    whole, cut = (next((tmp_path / name / "model").glob("*.safetensors")).read_bytes() for name in ("whole", "cut"))
    assert whole == cut


@pytest.fixture(scope="module")
def instructed(tiny_model, data):
    recipe = settings(
        cm3leon_instruct.debug(), f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}", f"edits={data}"
    )
    return cm3leon_instruct.Task(recipe, data)


def test_the_second_stage_mixes_tasks_with_found_documents(instructed):
    kinds = {type(instructed.documents.document(position % 60, position)) for position in range(60)}
    assert kinds == {Document, Retrieved}
    loss, _ = instructed.loss("model", instructed.batch(0, 12), 0, torch.Generator())
    assert torch.isfinite(loss)
    assert instructed.model.config.lantu["learnt"] == ["filling", "talking", "planning"]
    texts = [
        part
        for position in range(200)
        for part in instructed.documents.document(position % 60, position).parts
        if isinstance(part, str)
    ]
    assert any("(" in text and ")" in text for text in texts)
    assert any("lines" in text or "线" in text for text in texts)


def test_pictures_with_captions_alone_have_a_second_stage_too(tiny_model, captioned_data, tmp_path):
    data = shutil.copytree(captioned_data, tmp_path / "data")
    recipe = settings(cm3leon_instruct.debug(), f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}", "found=2")
    task = cm3leon_instruct.Task(recipe, data)
    loss, _ = task.loss("model", task.batch(0, 8), 0, torch.Generator())
    assert torch.isfinite(loss)
    assert task.model.config.lantu["learnt"] == ["filling", "talking"]


@pytest.fixture(scope="module")
def remembering(tiny_model, data, tmp_path_factory):
    """The tiny model with the memory bank of the data, made without the vision network."""
    out = tmp_path_factory.mktemp("models") / "remembering"
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setattr(
            "lantu.recipes.assemble.write_bank",
            lambda data, tokenizer, folder: write_bank(data, tokenizer, folder, "plain", 40),
        )
        warnings.simplefilter("ignore")
        assemble(tiny_model, tiny_model, tiny_model, out, draw={"guidance": 2.0, "steps": 2}, memory=data)
    return out


def test_an_assembled_model_finds_pictures_of_its_data(remembering, data):
    model = Model.load(remembering, "cpu")
    bank = model.parts.memory_bank
    assert len(bank) == 40
    assert bank.tokenizer == model.folder.read("memory_bank/config.json")["tokenizer"]
    assert "memory_bank/config.json" in model.folder.index["checksums"]
    shards = Shards(data, "train")
    known = {caption for number in range(60) for caption in captions_of(shards.sample(number))}
    found = bank.search("a cat", 3)
    assert {one.caption for one in found} <= known
    vectors = [bank.vectors_MD[one.picture] for one in found]
    assert max(float(one @ other) for at, one in enumerate(vectors) for other in vectors[at + 1 :]) <= 0.9 + 1e-3
    plain, drawn = model.draw("a cat", seed=3), model.draw("a cat", seed=3, shots=2)
    assert not np.array_equal(plain.codes, drawn.codes)


def test_a_bank_of_another_tokenizer_is_refused(remembering, tmp_path):
    broken = shutil.copytree(remembering, tmp_path / "broken")
    index = json.loads((broken / "model_index.json").read_text())
    (broken / "model_index.json").write_text(json.dumps({**index, "checksums": {}}))
    path = broken / "language" / "config.json"
    config = json.loads(path.read_text())
    config["lantu"]["tokenizer"] = "f" * 64
    path.write_text(json.dumps(config))
    with pytest.raises(ModelError, match="another tokenizer"):
        Model.load(broken, "cpu")


def test_both_stages_make_a_model_that_does_everything(tiny_model, data, tmp_path):
    name = f"tokenizer={tiny_model}/tokenizer"
    changes = [name, "loop.steps=2", "loop.batch_size=4", "loop.sample_every=0"]
    recipes.train("language", "cm3leon-debug", data, tmp_path / "first", changes, progress=False)
    second = [*changes, f"start={tmp_path / 'first'}", f"edits={data}"]
    recipes.train("language", "cm3leon_instruct-debug", data, tmp_path / "second", second, progress=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lantu.recipes.assemble.write_bank", lambda *a: write_bank(*a, "plain"))
        draw = {"steps": 2, "guidance": 2.0, "shots": 1}
        assemble(tiny_model, tmp_path / "second", tiny_model, tmp_path / "leon", draw=draw, memory=data)
    model = Model.load(tmp_path / "leon", "cpu")
    assert model.info()["memory_bank"] == 60
    drawn = model.draw("a cat", seed=1)
    assert drawn.settings["shots"] == 1
    assert not np.array_equal(drawn.codes, model.draw("a cat", seed=1, shots=0).codes)
    assert model.draw("a cat", seed=1, contrast=1, temperature=1.0).codes.shape == (4, 4)
    assert isinstance(model.caption(drawn), str)
    assert model.edit(drawn, "a dog", box=(0, 0, 16, 16), seed=1).codes.shape == (4, 4)
    assert model.edit(drawn, "a cat along these lines", seed=1).codes.shape == (4, 4)
    assert isinstance(model.chat(["what is there?", drawn], seed=1), list)
