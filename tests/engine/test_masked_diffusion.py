"""Drafting by masked diffusion: the schedule, seeds, guidance, drafts together and alone, and who may be drafted."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from lantu.engine.drafting import MASK_ID, draft
from lantu.engine.masked_diffusion import MaskedDrafter, masked_after
from lantu.engine.request import Request

CODES = range(100, 110)
COUNT = 16


class Fixed:
    """A language model whose logits depend on the prompt and the position alone; it counts its passes."""

    exact, passes, choice_temperature = True, 5, 4.5

    def __init__(self):
        self.calls = []

    def logits(self, prompts, drafts, ranges):
        self.calls.append([list(each) for each in drafts])
        (codes,) = ranges
        return [self.of(prompt, len(each), len(codes)) for prompt, each in zip(prompts, drafts, strict=True)]

    def of(self, prompt, count, size):
        random = np.random.default_rng(sum(prompt))
        return (2 * random.standard_normal((count, size))).astype(np.float32)


def request(**changes) -> Request:
    return replace(Request([1, 2], (CODES,), limit=COUNT, seed=3, unconditional=[1], guidance=2.0), **changes)


def test_the_cosine_schedule_is_that_of_the_paper():
    assert [masked_after(passed, 4, 64) for passed in range(1, 5)] == [59, 45, 24, 0]
    assert masked_after(8, 8, 64) == 0


def test_each_pass_fixes_as_many_ids_as_the_schedule_says_and_never_changes_one():
    seen = []
    drafter = MaskedDrafter(Fixed())
    job = drafter.submit(request(), lambda ids: seen.append(list(ids)))
    assert job.ids == [MASK_ID] * COUNT
    while drafter.step():
        pass
    assert [ids.count(MASK_ID) for ids in seen] == [masked_after(passed, 5, COUNT) for passed in range(1, 6)]
    for before, after in pairwise(seen):
        assert all(old in (MASK_ID, new) for old, new in zip(before, after, strict=True))
    assert (job.ended, job.state, job.passes) == (True, "done", 5)
    assert set(job.ids) <= set(CODES)


def test_a_short_draft_takes_no_more_passes_than_ids():
    drafter = MaskedDrafter(Fixed())
    job = drafter.submit(request(limit=2))
    while drafter.step():
        pass
    assert job.passes == 2
    assert MASK_ID not in job.ids
    assert draft(drafter, [request(limit=0)]) == [[]]


def test_at_temperature_0_the_guided_likeliest_ids_are_drafted_the_surest_first():
    language, first = Fixed(), []
    (ids,) = draft(MaskedDrafter(language), [request(temperature=0.0)], lambda _, ids: first.append(list(ids)))
    with_prompt, without = language.of([1, 2], COUNT, 10), language.of([1], COUNT, 10)
    guided = without + 2 * (with_prompt - without)
    assert ids == (guided.argmax(-1) + CODES.start).tolist()
    sure = np.exp(guided).max(-1) / np.exp(guided).sum(-1)
    kept = [place for place, id_ in enumerate(first[0]) if id_ != MASK_ID]
    assert set(kept) == set(np.argsort(-sure)[: len(kept)].tolist())


def test_the_seed_decides_a_draft_and_guidance_sees_what_is_known():
    language = Fixed()
    first, again = draft(MaskedDrafter(language), [request(), request()])
    other = draft(MaskedDrafter(language), [request(seed=4)])[0]
    assert first == again
    assert first != other
    assert all(calls[0] == calls[1] for calls in language.calls)  # both prompts of a pair read the same draft


def test_ids_follow_the_distribution_of_the_model():
    """Of one pass without guidance: frequencies of an id by chi-squared."""
    language = Fixed()
    language.passes = 1
    asked = [request(seed=seed, unconditional=None, limit=1) for seed in range(3000)]
    found = np.bincount(
        [ids[0] - CODES.start for ids in draft(MaskedDrafter(language, max_drafts=64), asked)], None, 10
    )
    logits = language.of([1, 2], 1, 10)[0]
    expected = 3000 * np.exp(logits) / np.exp(logits).sum()
    assert ((found - expected) ** 2 / expected).sum() < 27.9  # 9 degrees of freedom, p = 0.001


def test_drafts_can_be_cancelled_while_others_go_on():
    drafter = MaskedDrafter(Fixed(), max_rows=4)
    jobs = [drafter.submit(request(seed=seed)) for seed in range(3)]
    drafter.step()
    assert [job.state for job in jobs] == ["running", "running", "waiting"]
    drafter.cancel(jobs[0])
    drafter.cancel(jobs[2])
    while drafter.step():
        pass
    assert [job.state for job in jobs] == ["cancelled", "done", "cancelled"]
    assert jobs[1].ids == draft(MaskedDrafter(Fixed()), [request(seed=1)])[0]
    assert not drafter.busy


@pytest.mark.parametrize(
    "wrong", [{"allowed": lambda ids: (CODES,)}, {"stop": 5}, {"bias": lambda ids: np.zeros(10)}, {"guidance": 3.0}]
)
def test_a_request_that_only_next_token_drafting_can_serve_is_refused(wrong):
    drafter = MaskedDrafter(Fixed(), max_rows=1)
    with pytest.raises(ValueError, match=r"masked diffusion|rows"):
        drafter.submit(request(**wrong))
