"""Post-training by rewards: better drafts become likelier, and the model stays near to what it was."""

import numpy as np
import pytest
import torch
from overrides import settings

from lantu.errors import RecipeError
from lantu.recipes import grpo


@pytest.fixture(scope="module")
def data(scene_data):
    return scene_data


class Bright:
    """A judge who likes a bright upper left corner."""

    def judge(self, trials, images):
        share = [float(image[:8, :8].mean() / 255) for image in images]
        return [{"score": float(one > 0.5), "some": one} for one in share]


@pytest.fixture
def task(tiny_model, data, monkeypatch):
    monkeypatch.setattr(grpo, "scorer_of", lambda gallery, network: Bright())
    monkeypatch.setattr(grpo, "load_efficientnet", lambda: None)
    changes = [f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}", "group=6", "temperature=1.0", "guidance=1"]
    return grpo.Task(settings(grpo.emoji(), *changes), data)


def test_advantages_compare_within_a_group():
    told = grpo.advantages(torch.tensor([[0.0, 1.0, 0.0, 1.0], [0.5, 0.5, 0.5, 0.5]]))
    assert (told[0, 1::2] > 0).all()
    torch.testing.assert_close(told.sum(-1), torch.zeros(2))
    assert not told[1].any()


def test_the_kl_divergence_is_zero_only_where_nothing_changed():
    chances = torch.randn(3, 4)
    assert grpo.kl_divergence(chances, chances) == 0
    assert grpo.kl_divergence(chances, chances + torch.randn(3, 4)) > 0


def test_drafts_are_judged_in_groups_and_come_again(task):
    trials = [task.policy.prompts.trial(position) for position in (0, 1)]
    assert trials[0].prompt != trials[1].prompt
    codes, prefixes = task.policy.draft(trials, 3)
    assert codes.shape == (12, 16)
    assert [prefixes[0]] * 6 + [prefixes[6]] * 6 == prefixes
    assert np.array_equal(codes, task.policy.draft(trials, 3)[0])
    assert not np.array_equal(codes, task.policy.draft(trials, 4)[0])
    rewards = task.policy.reward(trials, codes)
    assert rewards.shape == (2, 6)
    assert ((rewards >= 0) & (rewards <= 1)).all()


def test_steps_raise_the_reward(task):
    optimizer = torch.optim.AdamW(task.model.parameters(), lr=1e-2, weight_decay=0)
    rewards = []
    for step in range(40):
        loss, parts = task.loss("model", task.batch(step, 6), step, torch.Generator())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rewards.append(parts["reward"])
    assert np.mean(rewards[-4:]) > np.mean(rewards[:4]) + 0.05
    assert parts["distance"] > 0


def test_it_needs_a_model_that_draws(tiny_model, data):
    with pytest.raises(RecipeError, match="a model that draws"):
        grpo.Task(settings(grpo.emoji(), f"tokenizer={tiny_model}/tokenizer"), data)


def test_drafts_are_guided_only_as_the_model_has_learnt(tiny_model, data):
    with pytest.raises(RecipeError, match=r"has not learnt a guidance of 1\.5: choose among 1"):
        grpo.Task(settings(grpo.emoji(), f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}"), data)


def test_prompts_ask_for_several_of_one_thing_as_often_as_told(task):
    task.policy.prompts.counting = 1.0
    assert task.setup.corpus.multiples
    assert {task.policy.prompts.trial(position).suite for position in range(6)} == {"counts"}
    task.policy.prompts.counting = 0.0
    assert [task.policy.prompts.trial(position).key for position in range(6)] == [
        task.setup.pictures.shards.sample(int(task.setup.corpus.order.indices(position, 1)[0])).key
        for position in range(6)
    ]
