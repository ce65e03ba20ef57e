"""The benchmark times what it says, and reports it in the documented form."""

import json

import numpy as np
import pytest
import torch

from lantu.bench import bench, drafting, machine, report
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
    assert set(figures) == {"machine", "roofline", "drafting", "decoder", "end_to_end", "not_timed"}
    assert figures["not_timed"] == []
    assert {(row["name"], row["pictures"]) for row in figures["drafting"]} == {
        (name, count) for name in ("lantu", "lantu on torch") for count in (1, 2)
    }
    assert all(0 < row["min_s"] <= row["median_s"] <= row["max_s"] for row in figures["drafting"])
    assert [(row["name"], row["batch"]) for row in figures["decoder"]] == [("lantu", 1), ("lantu", 2)]
    assert all(row["median_ms"] > 0 for row in figures["decoder"])
    assert figures["end_to_end"]["warm_ms"] < figures["end_to_end"]["cold_ms"]
    floor = figures["roofline"]
    assert floor["drafting_s"]["1"] == max(floor["reading_s"]["1"], floor["multiplying_s"]["1"]) > 0
    assert floor["matrix_gflop_s"] == max(floor["matrix_rates_gflop_s"].values())
    assert {row["precision"] for row in figures["drafting"]} == {machine.our_precision(), machine.precision()}
    json.dumps(figures)


def test_table_and_chart(figures, tmp_path):
    text = report.markdown(figures)
    assert f"| lantu on torch, {machine.precision()} |" in text
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


def test_what_got_no_turn_is_said_and_the_rest_goes_on():
    """A clock that the work itself advances: seconds of each piece, and a cap."""
    now, seen = [0.0], []
    lasts = {"quick": 1.0, "slow": 10.0, "late": 1.0}

    def piece(name):
        seen.append(name)
        now[0] += lasts[name]

    work = {name: lambda name=name: piece(name) for name in lasts}
    told = []
    took = measure(work, 3, lambda done, total, name: told.append((done, total, name)), 15, lambda: now[0])
    assert seen == ["quick", "slow", "late", "quick", "late"]  # 12 s to warm up; slow would end at 23 s, so it waits
    assert set(took) == {"quick", "late"}
    assert took["quick"].rounds == 1
    assert told == [(0, 12, "quick"), (1, 12, "slow"), (2, 12, "late"), (3, 12, "quick"), (5, 12, "late")]


def test_a_cap_on_time_names_the_rows_without_a_turn(tiny_model, tmp_path):
    said = []
    figures = bench(tiny_model, "tiny", (1,), 1, ["lantu"], say=said.append, minutes=0)
    assert figures["drafting"] == [] == figures["decoder"]
    assert ["drafting", "lantu", 1] in figures["not_timed"]
    assert any("drafting, lantu, 1 at once, got no turn in 0 minutes" in line for line in said)
    assert report.markdown(figures)
    report.chart(figures, tmp_path / "empty.png")


@pytest.mark.parametrize(("flags", "wanted"), [({"avx2": True}, "f32"), ({"avx512_bf16": True}, "bf16")])
def test_peers_compute_in_the_precision_that_the_processor_has_instructions_for(flags, wanted, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags, raising=False)
    assert machine.precision() == wanted
    with made_up("tiny") as task:
        assert str(drafting.load_transformers(task).dtype) == {"f32": "torch.float32", "bf16": "torch.bfloat16"}[wanted]


def test_unknown_names_are_refused(tiny_model):
    with pytest.raises(LantuError, match="no engine called magic"):
        bench(tiny_model, "tiny", peers=["magic"])
    with pytest.raises(LantuError, match="no size"):
        bench(tiny_model, "enormous")
