"""Vectors as levels, and the sampler of a diffusion head against a distribution that is known."""

import math

import numpy as np
import pytest

from lantu.engine.backends.protocol import Draw
from lantu.engine.drafting import draft
from lantu.engine.engine import Engine
from lantu.engine.request import Embeddings, Request
from lantu.rivals.continuous.backend import VectorBackend
from lantu.rivals.continuous.levels import Levels
from lantu.rivals.continuous.sampling import denoise
from lantu.tasks.run import known

MEAN, SPREAD = 1.5, 0.4


def test_levels_come_back_and_what_lies_beyond_is_clipped():
    levels = Levels(2.0, 256)
    assert np.array_equal(levels.of(levels.vectors(np.arange(256))), np.arange(256))
    vectors = np.random.default_rng(0).uniform(-2, 2, (5, 7)).astype(np.float32)
    assert abs(levels.vectors(levels.of(vectors)) - vectors).max() <= 2.0 / 255 + 1e-6
    assert levels.of(np.array([-9.0, 9.0])).tolist() == [0, 255]
    assert Levels(8.0, 65536).vectors(np.array([0, 65535])).tolist() == [-8.0, 8.0]


def velocity(x, time):
    """The best prediction for vectors of a normal distribution of MEAN and SPREAD."""
    alpha, sigma = math.cos(math.pi / 2 * time), math.sin(math.pi / 2 * time)
    variance = (alpha * SPREAD) ** 2 + sigma**2
    clean = MEAN + alpha * SPREAD**2 / variance * (x - alpha * MEAN)
    noise = sigma / variance * (x - alpha * MEAN)
    return alpha * noise - sigma * clean


@pytest.mark.parametrize(("temperature", "spread"), [(1.0, SPREAD), (0.0, 0.0)])
def test_a_head_that_knows_the_distribution_samples_it(temperature, spread):
    noise = np.random.default_rng(0).normal(size=(60, 20_000, 1))
    found = denoise(velocity, noise, np.full((20_000, 1), temperature))
    assert found.mean() == pytest.approx(MEAN, abs=0.02)
    assert found.std() == pytest.approx(spread, abs=0.03)


def test_less_temperature_is_less_variety():
    noise = np.random.default_rng(0).normal(size=(60, 20_000, 1))
    spreads = [denoise(velocity, noise, np.full((20_000, 1), each)).std() for each in (0.5, 0.8, 1.0)]
    assert spreads == sorted(spreads)
    assert spreads[0] < 0.8 * spreads[2]


class Rows:
    """A language model whose hidden state is the sum of what a row has read."""

    exact, vocabulary_size = True, 8

    class Row:
        def __init__(self, prefix):
            self.total = prefix.total.copy() if prefix else np.zeros(2, np.float32)
            self.hidden = self.total[None]

    def open(self, capacity, prefix=None):
        return self.Row(prefix)

    def close(self, row):
        pass

    rewind = close

    def vectors(self, ids):
        return np.array([[id_, 1] for id_ in ids], np.float32)

    def read(self, rows, prompts, positions=None):
        for row, prompt in zip(rows, prompts, strict=True):
            vectors = prompt.vectors_ND if isinstance(prompt, Embeddings) else self.vectors(prompt)
            row.total = row.total + vectors.sum(0)
            row.hidden = row.total[None]


class Adds:
    """A head whose next vector is the hidden state, guided, with noise."""

    def embed(self, vectors_RE):
        return vectors_RE * np.float32(0.5)

    def sample(self, hidden_RD, unconditional_RD, guidance_R1, temperature_R1, noise_SRE):
        if unconditional_RD is not None:
            hidden_RD = unconditional_RD + guidance_R1 * (hidden_RD - unconditional_RD)
        return hidden_RD + temperature_R1 * noise_SRE[0]


def backend():
    return VectorBackend(Rows(), Adds(), Levels(64.0, 65536), 1, 2)


def test_the_engine_drafts_vectors_each_after_what_was_read():
    cold = Request([3, 4], (range(2),), 3, temperature=0.0)
    (ids,) = draft(Engine(backend()), [cold])
    first = np.array([7.0, 2.0])
    wanted = [first, 1.5 * first, 2.25 * first]
    np.testing.assert_allclose(Levels(64.0, 65536).vectors(np.array(ids)), wanted, atol=0.01)
    guided = Request([3, 4], (range(2),), 1, temperature=0.0, unconditional=[1], guidance=2.0)
    (ids,) = draft(Engine(backend()), [guided])
    np.testing.assert_allclose(Levels(64.0, 65536).vectors(np.array(ids[0])), [13, 3], atol=0.01)
    assert known([*ids, -1]) == 1


def test_noise_is_of_the_seed_and_the_position_alone():
    requests = [Request([3, 4], (range(2),), 4, seed=seed, unconditional=[1], guidance=2.0) for seed in (1, 2, 3)]
    requests.append(Request([3], (range(2),), 2, seed=1))
    together = draft(Engine(backend()), requests)
    assert together == [draft(Engine(backend()), [request])[0] for request in requests]
    assert len({ids[0] for ids in together}) == 4
    row = backend().open(1)
    assert (
        len(backend().choose([Draw(row, None, (), 1.0, 1.0, 0, 1.0, 0.5), Draw(row, row, (), 2.0, 1.0, 0, 1.0, 0.5)]))
        == 2
    )


@pytest.mark.parametrize("head", ["regression", "diffusion"])
def test_damaged_weights_are_found_on_torch_too(head):
    torch = pytest.importorskip("torch")
    from lantu.errors import ModelError
    from lantu.rivals.continuous.config import VectorConfig
    from lantu.rivals.continuous.network import Vectors

    network = Vectors(VectorConfig(head=head, channels=4, width=16, inner=16, layers=1, steps=2))
    network.head.out.bias.data[1] = torch.nan
    ones_R1 = np.ones((2, 1), np.float32)
    with pytest.raises(ModelError, match="not finite"):
        network.sample(torch.zeros(2, 16), None, ones_R1, ones_R1, np.ones((2, 2, 4), np.float32))
