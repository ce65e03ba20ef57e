"""What a comparison would train: equal budgets, keys, growth; nothing is trained here."""

import dataclasses
import itertools
import json
import shutil

import pytest

from lantu.errors import LantuError, RecipeError
from lantu.recipes import module_of, names
from lantu.recipes.compare import comparing, planning, rule, systems
from lantu.recipes.compare.columns import COLUMNS, rows
from lantu.recipes.compare.planning import Asked, Planner
from lantu.recipes.rivals.budgets import Cost

COST = Cost(flops_per_sample=2e9, samples_per_step=8, parameters=1_000_000)


def asked(data, **more):
    return Asked(str(data), 1e14, systems.USUAL, **more)


def planner(data, **more):
    one = asked(data, **more)
    return Planner(one, {planning.code_of(part): COST for system in one.trained for part in system.parts})


def test_options_beside_debug_are_kept(lantu, monkeypatch):
    seen = []
    monkeypatch.setattr(comparing, "plan", lambda asked, say: seen.append(asked) or {"systems": {}, "hours": 0.0})
    assert lantu("compare", "--plan", "--debug", "--seeds", "3", "--levels", "1,8")[0] == 0
    assert lantu("compare", "--plan", "--seeds", "1", "--captions", "4")[0] == 0
    debug, whole = seen
    assert (debug.debug, debug.seeds, debug.levels, debug.prompts, debug.rates) == (True, 3, (1, 8), 8, (1.0, 4.0))
    usual = Asked("", whole.budget, systems.USUAL)
    assert whole == dataclasses.replace(usual, seeds=1, captions=4, device="auto")


@pytest.mark.parametrize("option", ["--levels", "--rates", "--weights"])
def test_an_empty_option_is_refused(lantu, option):
    code, _, err = lantu("compare", "--plan", option, "")
    assert code == 2
    assert err.startswith(f"lantu: {option} can't be ''")


def test_every_part_has_its_recipes_and_every_share_is_given_once():
    for system in systems.SYSTEMS.values():
        for part in system.parts:
            assert {part.recipe, part.debug} <= set(names(part.part))
            assert all(any(other == one.name for one in system.parts) for other in part.takes.values())
        assert sum(part.share(systems.SPLIT) for part in system.parts) == pytest.approx(1)
        if system.weight:
            part = system.part(system.weight[0])
            assert hasattr(planning.module_of(part.part, part.recipe).RECIPES[part.recipe](), system.weight[1])
    with pytest.raises(LantuError, match="no system called clip"):
        systems.chosen(["clip"])


def test_all_systems_cost_the_same_at_each_budget(captioned_data):
    one = planner(captioned_data)
    for level in (1, 4, 16):
        spent = [one.trial(system, level).flops for system in systems.chosen()]
        assert all(abs(flops / (level * 1e14) - 1) < 0.01 for flops in spent)


def test_rounding_to_steps_moves_no_budget_by_much_however_dear_a_step_is(captioned_data):
    """Recipes' batches are halved until the smallest budget buys enough of them, at all budgets alike."""
    dear = Cost(flops_per_sample=2e11, samples_per_step=8, parameters=1)
    one = planner(captioned_data)
    one = dataclasses.replace(one, costs=dict.fromkeys(one.costs, dear))
    for level in (1, 4, 16):
        spent = {system.name: one.trial(system, level).flops for system in systems.chosen()}
        assert all(abs(flops / (level * 1e14) - 1) < 0.02 for flops in spent.values())
        assert list(rule.apart("operations", spent, rule.MAX_OPERATIONS_APART)) == []
    trials = one.levels(systems.SYSTEMS["pixel-ar"], 1.0)
    assert all("loop.batch_size=4" in trial.parts["pixel-ar"].overrides for trial in trials)
    assert trials[0].parts["pixel-ar"].steps == 125
    cheap = planner(captioned_data).trial(systems.SYSTEMS["pixel-ar"], 1).parts["pixel-ar"]
    assert not any("batch_size" in each for each in cheap.overrides)


def test_a_tokenizer_is_trained_once_and_rates_change_the_drafter_alone(captioned_data):
    one = planner(captioned_data)
    lantu, other = systems.chosen(["lantu", "vq-diffusion"])
    plain, fast = one.trial(lantu, 1), one.trial(lantu, 1, rate=4.0)
    assert plain.parts["tokenizer"] == one.trial(other, 1).parts["tokenizer"]
    assert plain.parts["decoder"] == fast.parts["decoder"]
    assert plain.parts["language"].key != fast.parts["language"].key
    rates = [dict(each.split("=") for each in trial.parts["language"].overrides)["loop.lr"] for trial in (plain, fast)]
    assert float(rates[1]) == pytest.approx(4 * float(rates[0]))
    other = one.trial(lantu, 1, weight=10.0)
    assert other.parts["decoder"].key != plain.parts["decoder"].key
    assert other.parts["language"] == plain.parts["language"]
    assert one.reweighted(systems.SYSTEMS["pixel-ar"], 1.0) == []  # it has one loss


def test_larger_budgets_go_on_where_nothing_else_has_changed(captioned_data):
    one, lantu = planner(captioned_data), systems.SYSTEMS["lantu"]
    levels = one.levels(lantu, 4.0)
    assert [trial.level for trial in levels] == [1, 4, 16]
    for shorter, longer in itertools.pairwise(levels):
        for name in ("tokenizer", "language"):
            assert longer.parts[name].grows_from == shorter.parts[name].key
            assert longer.parts[name].steps == pytest.approx(4 * shorter.parts[name].steps, abs=4)
        assert longer.parts["decoder"].grows_from == ""  # it starts as the tokenizer's plain decoder
    warm = {
        dict(each.split("=") for each in trial.parts["language"].overrides)["loop.warmup_steps"] for trial in levels
    }
    assert len(warm) == 1
    keys = [trial.key for system in systems.chosen() for trial in one.all(system)]
    assert len(set(keys)) == len(keys)


def test_a_changed_recipe_is_trained_and_scored_again_and_so_is_what_takes_it(captioned_data, monkeypatch):
    one, (lantu, pixels) = planner(captioned_data), systems.chosen(["lantu", "pixel-ar"])
    before, unchanged = one.trial(lantu, 1), one.trial(pixels, 1)
    recipes = module_of("tokenizer", "emoji").RECIPES
    usual = recipes["emoji"]()
    other = usual.model_copy(update={"model": usual.model.model_copy(update={"codebook_size": 1024})})
    monkeypatch.setitem(recipes, "emoji", lambda: other)
    after = planner(captioned_data).trial(lantu, 1)
    assert before.key != after.key
    assert all(before.parts[name].key != after.parts[name].key for name in ("tokenizer", "language", "decoder"))
    assert unchanged == planner(captioned_data).trial(pixels, 1)
    assert planning.code_of(lantu.parts[0]) not in one.costs


def test_what_cannot_be_compared_is_refused(captioned_data):
    for wrong, error, text in (
        ({"split": (0.5, 0.6, 0.2)}, RecipeError, "can't be split"),
        ({"rates": (2.0,)}, RecipeError, "own learning rates"),
        ({"loaded": {"masked": "x"}}, LantuError, "not compared"),
    ):
        with pytest.raises(error, match=text):
            planning.check_asked(asked(captioned_data, **wrong))


def figures(**changed):
    spent = {"1": 1e14, "4": 4e14, "16": 16e14}
    found = {"parameters": 18e6, "training_flops": spent, "data": {"a": 1}, "evaluator": "eye", "score": {"n": 512}}
    return found | {"seeds": 3, "swept": 3} | changed


def test_the_rule_is_checked(captioned_data):
    fair = {"one": figures(), "two": figures(parameters=19e6)}
    assert rule.check(asked(captioned_data), fair) == []
    for name, changed, systems_ in (
        ("parameters", {"parameters": 30e6}, {"one", "two"}),
        ("parameters", {"parameters": 0}, {"two"}),
        ("operations", {"training_flops": {"1": 1e14, "4": 4e14, "16": 20e14}}, {"one", "two"}),
        ("operations", {"training_flops": {}}, {"two"}),
        ("data", {"data": None}, {"two"}),
        ("evaluator", {"evaluator": None}, {"two"}),
        ("prompts", {"score": {"n": 511}}, {"two"}),
        ("seeds", {"seeds": 2}, {"two"}),
        ("rates", {"swept": 1}, {"two"}),
    ):
        broken = rule.check(asked(captioned_data), {"one": figures(), "two": figures(**changed)})
        assert {one.rule for one in broken} == {name}
        assert {each for one in broken for each in one.systems} == systems_
    (broken,) = rule.check(asked(captioned_data, levels=(1, 4)), fair)
    assert (broken.rule, broken.systems) == ("levels", ())


def test_missing_figures_are_dashes():
    table = rows({"one": figures(captioning={"cannot": "it draws"}, score=None)})
    assert table[0] == ("", "one")
    assert [row[0] for row in table[1:]] == list(COLUMNS)
    assert dict(row for row in table[1:])["captioning"] == "can't"
    assert dict(row for row in table[1:])["scene score"] == "–"


def test_estimates_count_shared_trainings_once(captioned_data):
    one = asked(captioned_data)
    counted = {code: dataclasses.asdict(COST) | {"step_s": 3.6} for code in planner(captioned_data).costs}
    found = planning.estimate(one, json.loads(json.dumps(counted)))
    alone = planning.estimate(dataclasses.replace(one, systems=("vq-diffusion",)), counted)
    assert found["systems"]["vq-diffusion"]["hours"] < alone["systems"]["vq-diffusion"]["hours"]
    assert found["hours"] == pytest.approx(sum(each["hours"] for each in found["systems"].values()))


def test_a_plan_needs_no_data(captioned_data, monkeypatch):
    """It builds a small world of its own, which lasts until all is counted and estimated."""
    build = lambda place, **how: shutil.copytree(captioned_data, place)  # noqa: E731
    counted = {code: dataclasses.asdict(COST) | {"step_s": 3.6} for code in planner(captioned_data).costs}
    monkeypatch.setattr(comparing, "build_emoji", build)
    monkeypatch.setattr(comparing, "scenes", lambda *how: None)
    monkeypatch.setattr(planning, "count", lambda one, tell, timed: counted)
    assert comparing.plan(asked(""), print)["hours"] > 0
