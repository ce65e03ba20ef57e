"""The benchmark times what it says, and reports it in the documented form."""

import json

import numpy as np
import pytest
import torch

from lantu.bench import bench, drafting, report
from lantu.bench.exported import Step
from lantu.bench.machine import missing
from lantu.bench.rounds import measure
from lantu.bench.task import made_up
from lantu.engine.backends.pytorch import Language
from lantu.errors import LantuError


@pytest.fixture(scope="module")
def figures(tiny_model):
    return bench(tiny_model, "tiny", (1, 2), rounds=2, peers=["lantu", "lantu on torch"])


def test_the_figures_have_the_promised_form(figures):
    assert set(figures) == {"machine", "roofline", "drafting", "decoder", "end_to_end"}
    assert {(row["name"], row["pictures"]) for row in figures["drafting"]} == {
        (name, count) for name in ("lantu", "lantu on torch") for count in (1, 2)
    }
    assert all(0 < row["min_s"] <= row["median_s"] <= row["max_s"] for row in figures["drafting"])
    assert [(row["name"], row["batch"]) for row in figures["decoder"]] == [("lantu", 1), ("lantu", 2)]
    assert all(row["median_ms"] > 0 for row in figures["decoder"])
    assert figures["end_to_end"]["warm_ms"] < figures["end_to_end"]["cold_ms"]
    assert figures["roofline"]["drafting_s"]["1"] > 0
    json.dumps(figures)


def test_table_and_chart(figures, tmp_path):
    text = report.markdown(figures)
    assert "| lantu on torch |" in text
    assert "roofline" in text
    report.chart(figures, tmp_path / "chart.png")
    assert (tmp_path / "chart.png").stat().st_size > 1000


def test_the_exported_step_computes_what_the_language_model_does():
    with made_up("tiny") as task, torch.inference_mode():
        language = Language.load(task.folder)
        sizes, ranges = language.sizes, (range(task.first, task.first + task.count),)
        row = language.open(5)
        language.read([row], [[3, 4, 5, 6, 7]])
        step = Step(language, ranges)
        memory = torch.zeros(sizes.layers, 2, 1, sizes.key_value_heads, 6, sizes.head_width)
        for used, ids in ((0, [3, 4, 5]), (3, [6]), (4, [7])):
            mask = torch.full((len(ids), 6 + len(ids)), -torch.inf)
            mask[:, :used] = 0
            mask[:, 6:] = torch.full((len(ids), len(ids)), -torch.inf).triu(1)
            logits, fresh = step(torch.tensor([ids]), torch.arange(used, used + len(ids)), memory, mask)
            memory[:, :, :, :, used : used + len(ids)] = fresh
        torch.testing.assert_close(logits, language.logits([row], ranges), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, (_, needs) in drafting.PEERS.items() if not missing(needs)])
@pytest.mark.filterwarnings("ignore")
def test_every_engine_drafts_whole_pictures_of_codes(name):
    with made_up("tiny") as task:
        draft = drafting.PEERS[name][0](task)
        for pictures in (1, 2, 1):
            ids = np.array([[int(id_) for id_ in one] for one in draft(pictures)])
            assert ids.shape == (pictures, task.limit)
            assert ((ids >= task.first) & (ids < task.first + task.count)).all()
            assert len(np.unique(ids)) > 1


def test_rounds_take_turns_and_the_first_does_not_count():
    calls = []
    took = measure({name: lambda name=name: calls.append(name) for name in "ab"}, rounds=3)
    assert calls == ["a", "b"] * 4
    assert took["a"].rounds == 3
    assert np.isfinite(took["b"].median)


def test_unknown_names_are_refused(tiny_model):
    with pytest.raises(LantuError, match="no engine called magic"):
        bench(tiny_model, "tiny", peers=["magic"])
    with pytest.raises(LantuError, match="no size"):
        bench(tiny_model, "enormous")
