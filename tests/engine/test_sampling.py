"""Draws follow the distribution that the settings describe."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lantu.engine.backends.sampling import guide, sample

PROBABILITIES = torch.tensor([0.1, 0.4, 0.05, 0.3, 0.15])
LOGITS = PROBABILITIES.log()
MANY = 2000


def shares(temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> torch.Tensor:
    """How often each id is drawn, over uniform numbers spread evenly."""
    uniform = (torch.arange(MANY) + 0.5) / MANY
    settings = [temperature] * MANY, [top_k] * MANY, [top_p] * MANY
    drawn = sample(LOGITS.expand(MANY, -1), uniform, *settings)
    return torch.bincount(drawn, minlength=5) / MANY


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, PROBABILITIES),
        ({"temperature": 0.5}, PROBABILITIES**2),
        ({"temperature": 2.0}, PROBABILITIES**0.5),
        ({"temperature": 0.0}, [0, 1, 0, 0, 0]),
        ({"temperature": 1e-38}, [0, 1, 0, 0, 0]),
        ({"temperature": 1e-50}, [0, 1, 0, 0, 0]),
        ({"top_k": 1}, [0, 1, 0, 0, 0]),
        ({"top_k": 3}, [0, 0.4, 0, 0.3, 0.15]),
        ({"top_k": 5}, PROBABILITIES),
        ({"top_k": 9}, PROBABILITIES),
        ({"top_p": 0.01}, [0, 1, 0, 0, 0]),
        ({"top_p": 0.6}, [0, 0.4, 0, 0.3, 0]),
        ({"top_p": 0.75}, [0, 0.4, 0, 0.3, 0.15]),
        ({"top_k": 3, "top_p": 0.8}, [0, 0.4, 0, 0.3, 0]),
    ],
)
def test_the_settings_shape_the_distribution(settings, wanted):
    wanted = torch.as_tensor(wanted, dtype=torch.float32)
    torch.testing.assert_close(shares(**settings), wanted / wanted.sum(), rtol=0, atol=2 / MANY)


settings = st.tuples(st.sampled_from([0.0, 0.5, 1.0, 3.0]), st.integers(0, 9), st.sampled_from([0.1, 0.5, 0.9, 1.0]))
rows = st.lists(st.tuples(settings, st.floats(0, 1, exclude_max=True, width=32)), min_size=1, max_size=6)


@given(rows, st.integers(0, 99))
def test_each_row_is_drawn_as_if_alone(rows, seed):
    logits = torch.randn(len(rows), 7, generator=torch.Generator().manual_seed(seed)) * 3
    uniform = torch.tensor([row[1] for row in rows])
    columns = [list(column) for column in zip(*(row[0] for row in rows), strict=True)]
    together = sample(logits, uniform, *columns)
    for i in range(len(rows)):
        one = slice(i, i + 1)
        alone = sample(logits[one], uniform[one], *(column[one] for column in columns))
        assert alone.item() == together[i].item()


def test_the_ends_of_the_uniform_draw_ids_that_may_be_drawn():
    logits = torch.tensor([[-torch.inf, 0.0, 0.0, -torch.inf]])
    assert sample(logits, torch.tensor([0.0]), [1.0], [0], [1.0]).item() == 1
    below_one = torch.tensor([1.0]).nextafter(torch.tensor([0.0]))
    assert sample(logits, below_one, [1.0], [0], [1.0]).item() == 2


def test_guidance_in_logits_is_guidance_in_log_probabilities():
    conditional, unconditional = torch.randn(2, 3, 9, generator=torch.Generator().manual_seed(0))
    guidance = torch.tensor([0.0, 1.0, 3.5])
    log_c, log_u = conditional.log_softmax(-1), unconditional.log_softmax(-1)
    wanted = (log_u + guidance[:, None] * (log_c - log_u)).softmax(-1)
    torch.testing.assert_close(guide(conditional, unconditional, guidance).softmax(-1), wanted)


def test_contrast_is_what_the_kernels_make_of_it():
    from lantu.engine.backends.sampling import contrast
    from lantu.kernels import Choice, plain

    rows = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 60)).astype(np.float32))
    for k, guidance in ((0, 1.5), (1, 1.0), (4, 2.0), (1000, 1.0)):
        guided = contrast(rows[:1], rows[1:], torch.tensor([guidance]), [k])
        for uniform in (0.01, 0.4, 0.99):
            drawn = sample(guided, torch.tensor([uniform]), [1.0], [0], [1.0]).tolist()
            assert drawn == plain.choose(rows.numpy(), [Choice(0, 1, guidance, uniform=uniform, contrast=k)])


def test_the_largest_uniform_number_takes_the_last_candidate():
    """Also where its product with the sum of probabilities is rounded up to the sum."""
    uniform = torch.tensor([1 - 2**-53], dtype=torch.float64)
    for seed in range(200):
        logits = 3 * torch.randn(1, 60, generator=torch.Generator().manual_seed(seed))
        (drawn,) = sample(logits, uniform, [1.0], [7], [1.0]).tolist()
        assert drawn == max(logits[0].topk(7).indices.tolist())
