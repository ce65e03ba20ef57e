import json
import shutil
from dataclasses import replace

import pytest

from lantu.models.lantu.folder import LantuFolder
from lantu.recipes import tuning
from lantu.recipes.states import END, LEAST_LOSS, assemble_better, states_of
from lantu.recipes.tuning import Choice


@pytest.fixture
def run(tiny_model, tmp_path):
    """A run of a language model that ended worse than it had been."""
    folder = tmp_path / "run"
    for state in ("model", "last"):
        shutil.copytree(tiny_model / "language", folder / state)
    (folder / "checkpoints" / "step-00000040").mkdir(parents=True)
    (folder / "checkpoints" / "step-00000040" / "state.json").write_text('{"step": 40, "train_s": 3600}')
    loop = {"batch_size": 8, "accumulate": 1}
    (folder / "config.json").write_text(json.dumps({"loop": loop, "start": str(tiny_model)}))
    return folder


def test_only_a_run_has_two_states(run, tiny_model):
    assert states_of(run) == {LEAST_LOSS: run, END: run / "last"}
    assert states_of(str(run)) == states_of(run)
    for one in (run / "model", run / "last", tiny_model, tiny_model / "language"):
        assert states_of(one) == {LEAST_LOSS: one}
    shutil.rmtree(run / "last")
    assert states_of(run) == {LEAST_LOSS: run}


@pytest.mark.parametrize(("values", "chosen"), [((0.5, 0.6), END), ((0.6, 0.5), LEAST_LOSS), ((0.5, 0.5), LEAST_LOSS)])
def test_the_state_that_draws_better_is_assembled(values, chosen, run, tiny_model, tmp_path):
    out, built, given = tmp_path / "mine", [], []

    def build(state):
        built.append(state)
        model = LantuFolder(shutil.copytree(tiny_model, out, dirs_exist_ok=True))
        (out / "state.txt").write_text(str(state))
        return model

    def tune(model, fixed):
        given.append(dict(fixed))
        value = values[len(given) - 1]
        drafts = [{"guidance": 2.0, "temperature": 0.6, "agreement": value, "spread": 0.0, "value": value, "drawn": 2}]
        decoder = {} if "steps" in fixed else {"sampler": "euler", "steps": 3}
        tried = [{"sampler": "euler", "steps": 3, "distance": 0.1}] if decoder else []
        return Choice({"temperature": 0.1 * len(given), **decoder}, 4, "a judge", "val", 0, drafts, tried)

    model, choice = assemble_better(build, states_of(run), tune, {"guidance": 2.0})
    assert (out / "state.txt").read_text() == str(states_of(run)[chosen])
    assert given == [{"guidance": 2.0}, {"guidance": 2.0, "sampler": "euler", "steps": 3}]
    temperature = 0.1 if chosen == LEAST_LOSS else 0.2
    assert choice.settings == {"temperature": temperature, "sampler": "euler", "steps": 3}
    assert (choice.state, len(choice.states), len(choice.decoders)) == (chosen, 2, 1)
    assert f"its state at the {chosen}" in choice.line()
    index = json.loads((model.path / "model_index.json").read_text())
    assert choice.settings.items() <= index["draw"].items()
    assert index["tuned"]["state"] == chosen


def test_where_nothing_can_be_compared_the_least_loss_stays(run, tiny_model):
    built = []
    build = lambda state: built.append(state) or LantuFolder(tiny_model)  # noqa: E731
    assert assemble_better(build, states_of(run), lambda model, fixed: Choice({}), {})[1] == Choice({})
    assert built == [run]


def test_the_command_tries_both(run, tiny_model, captioned_data, tmp_path, lantu, monkeypatch):
    """The state at the end is chosen here; its cost and the words that it began with are those of its run."""
    tried = []

    def tune(model, data, fixed, seed, progress, note, minutes, valued):
        assert valued
        tried.append((sorted(fixed), minutes))
        draft = {"guidance": 2.0, "temperature": 0.6, "value": len(tried) / 10, "drawn": 2}
        return replace(Choice({"guidance": 2.0}), drafts=[draft])

    monkeypatch.setattr(tuning, "tune", tune)
    parts = ["--tokenizer", tiny_model, "--language", run, "--decoder", tiny_model, "--data", captioned_data]
    code, out, err = lantu("assemble", *parts, "--out", tmp_path / "mine", "--minutes", 2, "--json")
    assert code == 0, err
    assert tried == [([], 1.0), ([], 1.0)]
    found = json.loads(out)
    assert found["tuned"]["state"] == END
    assert json.loads((tmp_path / "mine" / "model_index.json").read_text())["budget"]["language"]["steps"] == 40
