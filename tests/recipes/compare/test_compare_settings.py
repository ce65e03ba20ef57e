"""How systems draw, how sure their shares are, and what a comparison may not mix."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lantu.errors import RecipeError
from lantu.recipes.compare import comparing, measuring, systems, table
from lantu.recipes.compare.planning import Asked
from lantu.recipes.rivals import pixel_ar
from lantu.rivals.continuous.config import VectorDecoderConfig
from lantu.rivals.continuous.decoder import VectorDecoder


def trial(*concepts):
    return SimpleNamespace(expected=[SimpleNamespace(concept=concept) for concept in concepts])


def found(value, distance):
    return {"score": {"all": {"value": value}}, "frechet": {"value": distance}}


@pytest.mark.parametrize("name", systems.SYSTEMS)
def test_a_system_draws_by_the_settings_that_score_best(monkeypatch, tmp_path, name):
    draws, asked_for = systems.SYSTEMS[name].draws, []
    assert len({str(draw) for draw in draws}) == 4
    scores = [found(0.2, 5.0), found(0.5, 9.0), found(0.5, 8.0), {"failed": "it diverged"}]

    def measure(work, trial, asked, count, draw, seed):
        asked_for.append((count, seed))
        return scores[list(draws).index(draw)]

    monkeypatch.setattr(measuring, "measure", measure)
    one = SimpleNamespace(system=name)
    chosen = measuring.settings(tmp_path, one, Asked("", 1e13, (name,)))
    assert chosen["draw"] == draws[2]
    assert [each["frechet"] for each in chosen["each"][:3]] == [score["frechet"] for score in scores[:3]]
    assert asked_for == [(64, measuring.OTHERS)] * 4  # not on the prompts of the figures
    assert measuring.settings(tmp_path, one, Asked("", 1e13, (name,), debug=True))["draw"] == draws[0]


def test_trials_of_the_same_things_are_not_independent():
    alone = measuring.share(np.array([1.0, 0.0] * 50), [trial(number) for number in range(100)])
    assert alone["independent"] == pytest.approx(100)
    # Twenty things, each right or wrong in all of its five trials: as sure as twenty trials.
    alike = measuring.share(np.repeat([1.0, 0.0], 50), [trial(number // 5) for number in range(100)])
    assert alike["independent"] == pytest.approx(20)
    assert alike["n"] == 100
    assert alike["interval"][0] < alone["interval"][0]
    # Where all are wrong nothing is known of the variance: the things are counted.
    nothing = measuring.share(np.zeros(100), [trial(number // 5, "x") for number in range(100)])
    assert nothing["independent"] == 20
    assert nothing["interval"][1] == pytest.approx(0.161, abs=1e-3)


def test_a_drawing_more_by_chance_chooses_no_rate():
    system, scores, losses = systems.SYSTEMS["lantu"], (1, 0, 0), (0.4, 0.3, 0.35)
    sweep = [
        SimpleNamespace(key=str(rate), rate=rate, parts={"language": SimpleNamespace(key=str(rate))})
        for rate in (0.25, 1.0, 4.0)
    ]
    trials_of = [trial(number) for number in range(64)]

    def results(scores):
        shares = [measuring.share(np.arange(64) < score, trials_of) for score in scores]
        pairs = list(zip(sweep, shares, losses, strict=True))
        return {f"sweep-{one.key}": {"score": {"all": share}} for one, share, _ in pairs} | {
            f"train-{one.key}": {"validation": [loss]} for one, _, loss in pairs
        }

    assert table.best_rate(system, sweep, results(scores)) == 1.0
    assert table.best_rate(system, sweep, results((20, 0, 0))) == 0.25  # that is no chance
    assert table.best_rate(system, sweep, {}) == 1.0  # of nothing, the recipe's own


def test_a_system_whose_largest_budget_came_to_nothing_is_not_recognisable():
    trials = [SimpleNamespace(key=key, flops=flops) for key, flops in (("a", 1e13), ("b", 4e13))]
    single = {"value": 0.6, "interval": [0.5, 0.7], "n": 100}
    results = {"score-a": {"score": {"single": single}}, "score-b": {"failed": "it diverged"}}
    points = table.single_things(trials, results)
    assert table.recognisable(points) == {"holds": False, "share": 0.0, "flops": 4e13, "needed": None}


def test_another_smallest_budget_needs_another_folder(monkeypatch, scene_data, tmp_path):
    monkeypatch.setattr(comparing.Comparison, "run", lambda self: {})
    comparing.compare(Asked(str(scene_data), 1e10, ("lantu",), levels=(4, 16)), tmp_path / "out", print)
    comparing.compare(Asked(str(scene_data), 1e10, ("lantu",), levels=(4, 16, 64)), tmp_path / "out", print)
    with pytest.raises(RecipeError, match="another smallest level \\(4\\)"):
        comparing.compare(Asked(str(scene_data), 1e10, ("lantu",), levels=(1, 4, 16)), tmp_path / "out", print)


def test_a_picture_without_a_known_vector_has_a_gradient():
    """Its noisy pixels begin at zero as well: norms of zeros have gradients beyond all numbers."""
    torch.manual_seed(0)
    decoder = VectorDecoder(VectorDecoderConfig(width=64, layers=9, patch=8, vector_width=6))
    vectors = torch.full((2, 4, 4, 6), torch.nan)
    for t in (0.0, 0.9):
        out = decoder(torch.randn(2, 3, 32, 32), torch.full((2,), t), vectors)
        out.square().mean().backward()
    norm = torch.nn.utils.get_total_norm([each.grad for each in decoder.parameters() if each.grad is not None])
    assert norm < 1e6


def test_pixels_learn_to_fill_what_lantu_learns_to_fill(scene_data, captioned_data):
    recipe = pixel_ar.RECIPES["pixel-ar-debug"]().model_copy(update={"filling": 1.0})
    kinds = []
    for data in (scene_data, captioned_data):
        documents = pixel_ar.Task(recipe, data).objectives[0].documents
        kinds.append(type(documents.sources[0][1]).__name__)
    assert kinds == ["Filling", "Boxes"]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_steps_end_with_a_command_that_is_killed(tmp_path):
    """Their parent is a server of processes, which lives as long as they do."""
    script = f"""
import time
from pathlib import Path
from lantu.recipes.compare import work
work.PRELOADED = []
if __name__ == "__main__":
    step = work.Running.start(work.Step("long", time.sleep, (600,)), Path({str(tmp_path)!r}), 1)
    while not step.messages.is_file():
        time.sleep(0.1)
    print(step.process.pid, flush=True)
    time.sleep(600)
"""
    file = tmp_path / "script.py"
    file.write_text(script)
    with subprocess.Popen([sys.executable, str(file)], stdout=subprocess.PIPE, text=True) as command:
        step = int(command.stdout.readline())
        os.kill(command.pid, signal.SIGKILL)
    until = time.monotonic() + 60
    while Path(f"/proc/{step}").exists():
        assert time.monotonic() < until
        time.sleep(0.1)
