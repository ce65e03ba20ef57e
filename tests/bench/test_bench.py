"""The benchmark times what it says, and reports it in the documented form."""

import functools
import json

import numpy as np
import pytest
import torch

from lantu import kernels
from lantu.bench import bench, drafting, machine, report
from lantu.bench.exported import Step
from lantu.bench.machine import missing
from lantu.bench.roofline import Peaks, Work, roofline
from lantu.bench.rounds import measure
from lantu.bench.task import made_up
from lantu.bench.turns import Row, Turns
from lantu.engine.backends.pytorch import Language
from lantu.errors import LantuError
from lantu.kernels import peak


@pytest.fixture(scope="module")
def figures(tiny_model):
    return bench(tiny_model, "tiny", (1, 2), rounds=2, peers=["lantu", "lantu on torch"])


def test_the_figures_have_the_promised_form(figures):
    assert set(figures) == {"machine", "roofline", "drafting", "decoder", "end_to_end", "not_timed", "no_time"}
    assert figures["not_timed"] == [] == figures["no_time"]
    assert {(row["name"], row["pictures"]) for row in figures["drafting"]} == {
        (name, count) for name in ("lantu", "lantu on torch") for count in (1, 2)
    }
    assert all(0 < row["min_s"] <= row["median_s"] <= row["max_s"] for row in figures["drafting"])
    assert [(row["name"], row["batch"]) for row in figures["decoder"]] == [("lantu", 1), ("lantu", 2)]
    assert all(row["median_ms"] > 0 for row in figures["decoder"])
    assert figures["end_to_end"]["warm_ms"] < figures["end_to_end"]["cold_ms"]
    assert all(row["ratio"] == 1 if row["name"] == "lantu" else row["ratio"] > 0 for row in figures["drafting"])
    floor = figures["roofline"]
    assert floor["drafting_s"]["1"] == max(floor["reading_s"]["1"], floor["multiplying_s"]["1"]) > 0
    assert floor["matrix_gflop_s"] == max(floor["matrix_rates_gflop_s"].values())
    assert {row["precision"] for row in figures["drafting"]} == {machine.our_precision(), machine.precision()}
    json.dumps(figures)


def test_table_and_chart(figures, tmp_path):
    text = report.markdown(figures)
    assert f"| lantu on torch, {machine.precision()} |" in text
    ratio = next(row["ratio"] for row in figures["drafting"] if row["name"] == "lantu on torch")
    assert f" | {ratio:.2f} |" in text
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
@pytest.mark.parametrize("name", [name for name, peer in drafting.PEERS.items() if not missing(peer.needs)])
@pytest.mark.filterwarnings("ignore")
def test_every_engine_drafts_whole_pictures_of_codes(name):
    with made_up("tiny") as task:
        draft = drafting.PEERS[name].load(task)
        for pictures, codes in ((1, task.limit), (2, 3), (1, task.limit)):
            ids = np.array([[int(id_) for id_ in one] for one in draft(pictures, codes)])
            assert ids.shape == (pictures, codes)
            assert ((ids >= task.first) & (ids < task.first + task.count)).all()
            assert len(np.unique(ids)) > 1


def test_rounds_take_turns_and_the_first_does_not_count():
    calls = []
    took = measure({name: lambda name=name: calls.append(name) for name in "ab"}, rounds=3)
    assert calls == ["a", "b"] * 4
    assert took["a"].rounds == 3
    assert np.isfinite(took["b"].median)


class Play:
    """Rows whose work takes what a script says, by a clock that the work itself advances."""

    def __init__(self):
        self.now, self.seen = 0.0, []

    def row(self, key, lasts, loads=0.0, compiles=0.0, tells=True, **guess):
        def spend(seconds, what):
            self.now += seconds
            self.seen.append((what, *key[1:]))

        loaded = functools.cache(lambda: spend(loads, "load"))
        attempt = lambda: spend(compiles, "try") or (lasts if tells else None)  # noqa: E731
        return {key: Row(loaded, attempt, lambda: spend(lasts, "time"), **guess)}

    def turns(self, rows, rounds, until, progress=None):
        turns = Turns(rows, rounds, until, progress, lambda: self.now)
        turns.run()
        return turns


OURS = ("drafting", "lantu", 1)


def test_a_row_is_timed_as_soon_as_it_is_warm_right_after_lantus():
    play, told = Play(), []
    rows = play.row(("drafting", "slow", 1), 5, 2, 2, reference=OURS, slower=5) | play.row(
        ("drafting", "quick", 1), 2, 1, 1, reference=OURS, slower=2
    )
    rows = play.row(OURS, 1) | rows
    turns = play.turns(rows, 2, 1000, lambda *each: told.append(each))
    assert [each for each in play.seen if each[0] != "try"][:7] == [
        ("load", "lantu", 1),
        ("time", "lantu", 1),
        ("load", "quick", 1),
        ("time", "lantu", 1),
        ("time", "quick", 1),
        ("load", "slow", 1),
        ("time", "lantu", 1),
    ]
    assert {key: len(each.seconds) for key, each in turns.timed.items()} == {
        OURS: 5,
        ("drafting", "quick", 1): 2,
        ("drafting", "slow", 1): 2,
    }
    assert turns.timed["drafting", "slow", 1].ratio == 5
    assert turns.timed[OURS].ratio is None
    assert turns.late() == {}
    assert told[0] == (0, 6, OURS)
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)


def test_nothing_is_begun_that_would_not_end_in_time_and_its_need_is_said():
    play = Play()
    rows = (
        play.row(OURS, 1)
        | play.row(("drafting", "lantu", 8), 4)
        | play.row(("drafting", "heavy", 1), 9, 60, 0, reference=OURS, warming=60, slower=9)
        | play.row(("drafting", "fair", 1), 3, 2, 2, reference=OURS, warming=4, slower=3)
        | play.row(("drafting", "fair", 8), 50, 0, 1, reference=("drafting", "lantu", 8), warming=4, slower=3)
    )
    turns = play.turns(rows, 3, 45)
    assert play.now <= 45
    assert ("load", "heavy", 1) not in play.seen
    assert ("try", "fair", 8) in play.seen  # a guess let it begin, the attempt told better
    assert set(turns.timed) == {OURS, ("drafting", "lantu", 8), ("drafting", "fair", 1)}
    late = turns.late()
    assert list(late) == [("drafting", "fair", 8), ("drafting", "heavy", 1)]
    assert late["drafting", "fair", 8] == pytest.approx(1.15 * (50 + 4))
    assert late["drafting", "heavy", 1] == pytest.approx(1.5 * (60 + 9) + 1)
    assert {len(each.seconds) for key, each in turns.timed.items() if key[1] == "fair"} == {3}


def test_an_attempt_that_cannot_tell_leaves_the_guess():
    play = Play()
    rows = play.row(OURS, 1) | play.row(("drafting", "slow", 1), 5, tells=False, reference=OURS, slower=30)
    turns = play.turns(rows, 1, 20)
    assert set(turns.timed) == {OURS}
    assert turns.late()["drafting", "slow", 1] == pytest.approx(1.5 * 30 + 1)


def test_a_cap_on_time_names_the_rows_without_a_turn(tiny_model, tmp_path):
    said = []
    figures = bench(tiny_model, "tiny", (1,), 1, ["lantu"], say=said.append, minutes=0)
    assert figures["drafting"] == [] == figures["decoder"]
    assert ["drafting", "lantu", 1] in figures["not_timed"]
    assert {"part": "decoder", "name": "lantu", "count": 1, "needs_s": 0, "minutes": 1} in figures["no_time"]
    assert any("drafting, lantu, 1 at once: no time" in line and "--minutes 1" in line for line in said)
    assert "no time: --minutes 1" in report.markdown(figures)
    report.chart(figures, tmp_path / "empty.png")


def test_the_roofline_is_of_code_that_only_multiplies_or_only_reads():
    if kernels.reason():
        assert peak.operations_per_s(0.01) == 0 == peak.bytes_per_s(1 << 20, 0.01)
        return
    with kernels.ThreadGroup(1):  # two threads may not meet at all on a busy machine
        rates = machine.matrix_gflop_s()
        assert peak.bytes_per_s(1 << 20, 0.05) > 1e7
    ours = next(rate for name, rate in rates.items() if name.startswith("lantu"))
    assert rates["registers alone"] > ours / 2  # more than it on a machine that does nothing else
    work = Work(weights=500_000_000, cached=0, codes=10)
    quiet, busy = Peaks(10, {"a": 50, "b": 100}), Peaks(5, {"a": 200, "b": 10})
    floor = roofline(work, quiet | busy, (1, 100))
    assert floor["matrix_rates_gflop_s"] == {"a": 200, "b": 100}
    assert floor["reading_s"]["1"] == 10 * 1e9 / 10e9 == floor["drafting_s"]["1"]
    assert floor["multiplying_s"]["100"] == 10 * 2 * 0.5e9 * 2 * 100 / 200e9 == floor["drafting_s"]["100"]


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
