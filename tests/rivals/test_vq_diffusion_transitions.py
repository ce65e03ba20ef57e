"""Mask-and-replace transitions in closed form against products of matrices, Bayes' rule and sums over all codes."""

import numpy as np
import pytest
import torch

from lantu.rivals.vq_diffusion.loss import divergence
from lantu.rivals.vq_diffusion.transitions import Schedule, corrupt, posterior

K, T = 3, 5
SCHEDULE = Schedule(T, K, 0.7)


def matrix(transition):
    """(K+1, K+1): column j is where code j goes; the last is the mask."""
    found = np.full((K + 1, K + 1), transition.replace) + transition.stay * np.eye(K + 1)
    found[K] = transition.mask
    found[:, K] = np.eye(K + 1)[K]
    return found


STEPS = [matrix(SCHEDULE.between(t - 1, t)) for t in range(1, T + 1)]


def product(s, t):
    found = np.eye(K + 1)
    for step in STEPS[s:t]:
        found = step @ found
    return found


def brute(x_t, k, s, t):
    """q(x_s | x_t, x_0 = k) by Bayes' rule on the matrices."""
    joint = product(s, t)[x_t] * product(0, s)[:, k]
    return joint / joint.sum()


@pytest.mark.parametrize("step", STEPS)
def test_every_step_is_a_distribution(step):
    np.testing.assert_allclose(step.sum(0), 1)
    assert step.min() >= 0


@pytest.mark.parametrize("s", range(T + 1))
@pytest.mark.parametrize("t", range(T + 1))
def test_products_of_matrices_are_known_in_closed_form(s, t):
    if s <= t and (s < T or t == T):
        np.testing.assert_allclose(product(0, t), matrix(SCHEDULE.until(t)), atol=1e-12)
        if s < t:
            np.testing.assert_allclose(product(s, t), matrix(SCHEDULE.between(s, t)), atol=1e-12)


@pytest.mark.parametrize(("s", "t"), [(0, 1), (0, 5), (1, 2), (1, 4), (3, 5), (4, 5)])
def test_posteriors_equal_bayes_rule_on_the_matrices(s, t):
    x_t = np.arange(K + 1).repeat(K)
    clean = np.tile(np.arange(K), K + 1)
    found = posterior(np.eye(K)[clean], x_t, SCHEDULE.until(s), SCHEDULE.between(s, t), SCHEDULE.until(t))
    np.testing.assert_allclose(found, [brute(x, k, s, t) for x, k in zip(x_t, clean, strict=True)], atol=1e-12)
    chances = np.random.default_rng(0).dirichlet(np.ones(K), K + 1)
    mixed = posterior(chances, np.arange(K + 1), SCHEDULE.until(s), SCHEDULE.between(s, t), SCHEDULE.until(t))
    sums = [sum(chances[x, k] * brute(x, k, s, t) for k in range(K)) for x in range(K + 1)]
    np.testing.assert_allclose(mixed, sums, atol=1e-12)


def test_the_loss_is_the_divergence_of_the_posteriors():
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(T, K * (K + 1), K)).astype(np.float32))
    clean = torch.arange(K).repeat(T, K + 1)
    noisy = torch.arange(K + 1).repeat_interleave(K).repeat(T, 1)
    found = divergence(logits, clean, noisy, torch.arange(1, T + 1), SCHEDULE)
    chances = logits.softmax(-1).numpy()
    for t in range(1, T + 1):
        for place, (x, k) in enumerate(zip(noisy[0].tolist(), clean[0].tolist(), strict=True)):
            wanted = brute(x, k, t - 1, t)
            predicted = sum(chances[t - 1, place, each] * brute(x, each, t - 1, t) for each in range(K))
            likely = wanted > 1e-12
            kl = (wanted[likely] * np.log(wanted[likely] / predicted[likely])).sum()
            assert found[t - 1, place].item() == pytest.approx(kl, abs=1e-5)
    # The bound of a picture: the divergences summed over times are those of the paths, which no model beats.
    sure = divergence(1e3 * torch.eye(K)[clean], clean, noisy, torch.arange(1, T + 1), SCHEDULE)
    assert sure.abs().max() < 1e-5


def test_codes_are_noised_as_the_matrices_say():
    rng, transition = np.random.default_rng(0), SCHEDULE.until(3)
    noisy = corrupt(np.ones(200_000, np.int64), transition, K, rng)
    shares = np.bincount(noisy, minlength=K + 1) / len(noisy)
    np.testing.assert_allclose(shares, matrix(transition)[:, 1], atol=0.005)


def test_a_schedule_without_replacing_is_refused():
    with pytest.raises(ValueError, match="masks 1"):
        Schedule(10, 8, 1.0)
