import pytest
from pydantic import BaseModel, ConfigDict

from lantu.errors import RecipeError
from lantu.training.config import LoopConfig, override
from lantu.training.schedule import decay_start, factor


class Recipe(BaseModel):
    model_config = ConfigDict(extra="forbid")

    loop: LoopConfig = LoopConfig()
    name: str = "x"


def test_settings_go_inwards_and_are_converted():
    changed = override(
        Recipe(), ["loop.steps=10", "loop.lr=3e-4", "loop.compile=true", "loop.betas=[0.8,0.9]", "name=a cat"]
    )
    assert (changed.loop.steps, changed.loop.lr, changed.loop.compile) == (10, 3e-4, True)
    assert (changed.loop.betas, changed.name) == ((0.8, 0.9), "a cat")
    assert Recipe().loop.steps == 10_000


def test_tables_and_nothing_can_be_set():
    changed = override(LoopConfig(), ["lr_scale.critic=0.5", "minutes=3"])
    assert changed.lr_scale == {"critic": 0.5}
    assert override(changed, ["minutes=none"]).minutes is None
    assert override(changed, ["lr_scale.other=2"]).lr_scale == {"critic": 0.5, "other": 2}
    assert override(changed, ["minutes=null"]).minutes is None


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("loop.step=3", "did you mean 'steps'"),
        ("zzz=3", "choose among loop, name"),
        ("loop.steps.deep=3", "it has no parts"),
        ("loop.steps", "write it as key=value"),
        ("loop.steps=many", "loop.steps can't be 'many'"),
        ("loop.steps=0", "loop.steps can't be 0"),
        ("loop.optimizer=sgd", "'adamw' or 'muon'"),
        ("loop.lr=inf", "finite number"),
        ("loop.betas=[0.9,1.0]", "less than 1"),
        ("loop.betas=[-0.1,0.9]", "greater than or equal to 0"),
        ("loop.lr_scale.model=-1", "greater than or equal to 0"),
        ("loop.lr_scale.model=nan", "finite number"),
    ],
)
def test_mistakes_are_named(setting, words):
    with pytest.raises(RecipeError) as problem:
        override(Recipe(), [setting])
    assert words in str(problem.value)
    assert "\n" not in str(problem.value)


def test_the_rate_warms_up_stays_and_falls_to_nothing():
    config = LoopConfig(steps=100, warmup_steps=10, decay_fraction=0.2)
    rates = [factor(step, config) for step in range(100)]
    assert decay_start(config) == 80
    assert rates[:10] == sorted(rates[:10])
    assert rates[9] < 1
    assert set(rates[10:80]) == {1.0}
    falls = [left - right for left, right in zip(rates[79:], [*rates[80:], 0.0], strict=True)]
    assert falls == pytest.approx([1 / 21] * 21)


def test_a_longer_run_shares_the_stable_part():
    short, long = LoopConfig(steps=100), LoopConfig(steps=1000)
    assert all(factor(step, short) == factor(step, long) for step in range(80))


def test_no_decay():
    config = LoopConfig(steps=10, warmup_steps=0, decay_fraction=0)
    assert {factor(step, config) for step in range(10)} == {1.0}
