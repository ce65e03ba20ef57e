"""Drafts keep to what is allowed, to their seed, and to what the slow way would draw, in any company."""

from dataclasses import replace

import numpy as np
import pytest
from doubles import CONFIG, Counter, weights
from hypothesis import given
from hypothesis import strategies as st

from lantu.engine.backends.native import Language
from lantu.engine.drafting import draft
from lantu.engine.engine import Engine
from lantu.engine.request import Request

CODES = (range(40, 60),)


@pytest.fixture(scope="module")
def language():
    return Language(CONFIG, weights())


def requests() -> list[Request]:
    """Of several lengths, seeds, ranges and settings, guided and not."""
    guided = Request([1, 2, 3, 4, 5], CODES, limit=9, seed=1, unconditional=[1, 5], guidance=2.0)
    return [
        guided,
        Request([1, 9], CODES, limit=4, seed=2, top_k=5),
        replace(guided, seed=3, guidance=1.0),
        replace(guided, prefix=[1, 7], seed=4, temperature=0.0),
        Request([1, 2, 3], (range(30), range(35, 36)), limit=12, stop=35, seed=5, top_p=0.9),
        Request([6], lambda ids: CODES if len(ids) < 3 else (), limit=99, seed=6),
    ]


def test_a_draft_has_only_allowed_ids_and_its_length(language):
    drafts = draft(Engine(language), requests())
    assert [len(ids) for ids in drafts[:4]] == [9, 4, 9, 9]
    assert all(40 <= id_ < 60 for ids in drafts[:4] for id_ in ids)
    assert len(drafts[5]) == 3
    assert all(id_ < 30 or id_ == 35 for id_ in drafts[4])
    assert 35 not in drafts[4][:-1]


def test_a_seed_draws_the_same_alone_and_in_any_company(language):
    alone = [draft(Engine(language), [request])[0] for request in requests()]
    assert draft(Engine(language), requests()) == alone
    assert draft(Engine(language), requests()[::-1]) == alone[::-1]
    assert draft(Engine(language, max_rows=3), requests() * 3) == alone * 3


def test_a_backend_that_rounds_in_company_drafts_one_at_a_time():
    backend = Counter(exact=False)
    draft(Engine(backend), [replace(requests()[0], seed=seed) for seed in range(3)])
    assert max(rows for rows, _ in backend.passes) == 2
    backend.passes.clear()
    draft(Engine(backend, max_jobs=3), [replace(requests()[0], seed=seed) for seed in range(3)])
    assert max(rows for rows, _ in backend.passes) == 6


def test_the_seed_decides(language):
    request = requests()[0]
    drafts = draft(Engine(language), [replace(request, seed=seed) for seed in (1, 2, 1)])
    assert drafts[0] == drafts[2] != drafts[1]


def test_a_stop_ends_a_draft_and_is_returned():
    request = Request([35], (range(35, 36),), limit=12, stop=35, temperature=0.0)
    assert draft(Engine(Counter()), [request]) == [[35]]


def test_prefixes_are_read_once_and_a_pair_is_two_rows_of_one_pass():
    backend = Counter()
    request = Request([1, 2], CODES, limit=3, unconditional=[1], guidance=3.0)
    engine = Engine(backend)
    draft(engine, [replace(request, seed=seed) for seed in range(4)])
    assert backend.passes == [(2, 3), (8, 8), (8, 8)]
    backend.passes.clear()
    draft(engine, [request])  # the prefixes are still there: nothing is read before the first id
    assert backend.passes == [(2, 2), (2, 2)]


def test_unused_prefixes_go_the_oldest_first():
    backend = Counter()
    engine = Engine(backend, cached_prefixes=2)
    for number in range(5):
        draft(engine, [Request([number], CODES, limit=2)])
    assert set(engine.prefixes) == {(3,), (4,)}
    assert len(backend.open_rows) == 2


def test_waiting_jobs_run_when_there_is_room_for_all_of_a_pair():
    engine = Engine(Counter(), max_rows=3)
    guided = Request([1], CODES, limit=4, unconditional=[2], guidance=2.0)
    jobs = [engine.submit(guided), engine.submit(guided), engine.submit(Request([3], CODES, limit=1))]
    engine.step()
    assert [job.state for job in jobs] == ["running", "waiting", "waiting"]  # first come, first served
    while engine.step():
        assert engine.rows <= 3
    assert [len(job.ids) for job in jobs] == [4, 4, 1]
    with pytest.raises(ValueError, match="sequences"):
        Engine(Counter(), max_rows=1).submit(guided)


def test_a_cancelled_job_frees_its_pair_at_once_and_the_others_go_on():
    backend = Counter()
    engine = Engine(backend, cached_prefixes=0)
    guided = Request([1], CODES, limit=50, unconditional=[2], guidance=2.0)
    gone, stays, waits = engine.submit(guided), engine.submit(Request([3], CODES, limit=5)), None
    engine.step()
    waits = engine.submit(guided)
    engine.cancel(waits)
    engine.cancel(gone)
    assert engine.rows == 1
    while engine.step():
        pass
    assert (gone.state, stays.state, waits.state) == ("cancelled", "done", "cancelled")
    assert len(gone.ids) == 1
    assert len(stays.ids) == 5
    assert not backend.open_rows


def test_a_callback_that_fails_leaves_nothing_behind():
    backend = Counter()
    engine = Engine(backend, cached_prefixes=0)

    def fail(place, ids):
        if len(ids) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draft(engine, requests(), fail)
    assert not engine.busy
    assert not backend.open_rows


class Faulty(Counter):
    """Fails at one call of one method."""

    def __init__(self, method: str, at: int):
        super().__init__()
        self.method, self.left = method, at

    def called(self, method: str) -> None:
        if method == self.method:
            self.left -= 1
            if self.left == 0:
                raise MemoryError

    def open(self, *how):
        self.called("open")
        return super().open(*how)

    def read(self, *how):
        self.called("read")
        super().read(*how)

    def choose(self, draws):
        self.called("choose")
        return super().choose(draws)


def run_out(engine: Engine) -> None:
    while engine.step():
        pass


@pytest.mark.parametrize("method", ["open", "read", "choose"])
@pytest.mark.parametrize("at", [1, 2, 3, 6])
def test_a_pass_that_fails_spoils_none_that_follow(method, at):
    engine = Engine(Faulty(method, at))
    jobs = [engine.submit(request) for request in requests()]
    with pytest.raises(MemoryError):
        run_out(engine)
    assert all(job.state in ("cancelled", "done", "waiting") for job in jobs)
    assert len(engine.backend.open_rows) == len(engine.prefixes)
    assert draft(engine, requests()) == draft(Engine(Counter()), requests())


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 5), st.booleans(), st.integers(0, 8)), max_size=40))
def test_whatever_comes_and_goes_nothing_leaks(plans):
    backend = Counter()
    engine = Engine(backend, max_rows=5, cached_prefixes=0)
    jobs = []
    for limit, prompt, guided, cancelled in plans:
        request = Request([prompt, 1], CODES, limit=limit, unconditional=[9] if guided else None, guidance=2.0)
        jobs.append(engine.submit(request))
        engine.step()
        if cancelled < len(jobs):
            engine.cancel(jobs[cancelled])
    while engine.step():
        pass
    assert all(job.ended for job in jobs)
    assert all(len(job.ids) == job.request.limit for job in jobs if job.state == "done")
    assert (engine.rows, len(engine.prefixes), len(backend.open_rows)) == (0, 0, 0)


def test_two_thousand_mixed_requests_leave_nothing(language):
    random = np.random.default_rng(0)
    engine = Engine(language, max_rows=16, cached_prefixes=4)
    asked, jobs = requests(), []
    for number in range(2000):
        jobs.append(engine.submit(replace(asked[number % 6], seed=number, limit=int(random.integers(1, 6)))))
        if random.random() < 0.2:
            engine.cancel(jobs[random.integers(len(jobs))])
        if len(jobs) % 7 == 0:
            engine.step()
    while engine.step():
        pass
    assert all(job.ended and not job.rows for job in jobs)
    assert engine.rows == 0
    assert len(engine.prefixes) <= 4


@pytest.mark.parametrize("guidance", [0.5, 3.0])
def test_the_likeliest_draft_is_what_reading_anew_at_each_step_gives(guidance):
    language = Language(CONFIG, weights(), precise=True)
    prefix, unconditional = [1, 2, 3, 4, 5], [1, 5]
    request = Request(prefix, CODES, limit=8, unconditional=unconditional, guidance=guidance, temperature=0.0)
    (fast,) = draft(Engine(language), [request])

    def logits(ids: list[int]) -> np.ndarray:
        row = language.open(len(ids))
        language.read([row], [ids])
        return language.logits([row], CODES)[0]

    slow: list[int] = []
    while len(slow) < 8:
        with_prompt, without = logits(prefix + slow), logits(unconditional + slow)
        slow.append(40 + int((without + guidance * (with_prompt - without)).argmax()))
    assert fast == slow


def test_steps_are_told(language):
    told: list[tuple[int, int]] = []
    draft(Engine(language), requests()[:2], on_step=lambda place, ids: told.append((place, len(ids))))
    assert sorted(told) == [(0, n) for n in range(1, 10)] + [(1, n) for n in range(1, 5)]
    assert [n for place, n in told if place == 0] == list(range(1, 10))


def test_nothing_asked_is_nothing_drawn():
    assert draft(Engine(Counter()), []) == []
    assert draft(Engine(Counter()), [Request([1], CODES, limit=0)]) == [[]]
    with pytest.raises(ValueError, match="prompt"):
        Request([], CODES, limit=3)


@pytest.mark.parametrize("num_draft_tokens", [1, 3, 20])
def test_guesses_save_passes_and_change_nothing(language, num_draft_tokens):
    """The draft of a pass an id, for every setting, alone and in company."""
    plain = [replace(request, limit=30) for request in requests()[:5]]
    ahead_of = [replace(request, num_draft_tokens=num_draft_tokens) for request in plain]
    expected = draft(Engine(language), plain)
    assert draft(Engine(language), ahead_of) == expected
    assert [draft(Engine(language), [request])[0] for request in ahead_of] == expected
    assert draft(Engine(language, max_rows=3), ahead_of) == expected


def test_right_guesses_are_taken_at_once():
    backend = Counter()
    request = Request([0], (range(61),), limit=30, temperature=0.0, num_draft_tokens=7)  # all ids and guesses are 0
    job = (engine := Engine(backend)).submit(request)
    while engine.step():
        pass
    assert job.ids == [0] * 30
    assert job.passes == 1 + 4  # the first id, 3 passes of 8, and the 5 that are left
    assert [ids for _, ids in backend.passes] == [1, 8, 8, 8, 5]


def test_a_callback_sees_every_id_and_may_end_the_draft_amid_guesses():
    engine = Engine(Counter())
    request = Request([0], (range(61),), limit=30, temperature=0.0, num_draft_tokens=7)
    told: list[int] = []

    def tell(ids):
        told.append(len(ids))
        if len(ids) == 5:
            engine.cancel(job)

    job = engine.submit(request, tell)
    while engine.step():
        pass
    assert told == [1, 2, 3, 4, 5]
    assert (job.state, len(job.ids), len(engine.backend.open_rows)) == ("cancelled", 5, 1)


def test_least_bounds_the_passes(language):
    request = replace(requests()[0], limit=29, num_draft_tokens=7, min_accepted=4)
    job = (engine := Engine(language)).submit(request)
    while engine.step():
        pass
    assert len(job.ids) == 29
    assert job.passes <= 1 + 7
    assert all(40 <= id_ < 60 for id_ in job.ids)


def test_unchecked_guesses_are_the_same_in_any_company(language):
    asked = [replace(each, num_draft_tokens=7, min_accepted=3) for each in requests()[:4]]
    alone = [draft(Engine(language), [request])[0] for request in asked]
    assert draft(Engine(language), asked * 8) == alone * 8


def test_impossible_guesses_are_refused():
    for wrong in ({"num_draft_tokens": -1}, {"min_accepted": 0}, {"num_draft_tokens": 1, "allowed": lambda ids: CODES}):
        with pytest.raises(ValueError, match=r"num_draft_tokens|draft tokens"):
            Request(**{"prefix": [1], "allowed": CODES, "limit": 3, **wrong})


def test_a_bias_of_ids_that_change_is_refused():
    with pytest.raises(ValueError, match="the same allowed ids at every step"):
        Request([1], lambda ids: CODES, limit=3, bias=lambda ids: np.zeros(20, np.float32))


def test_drafts_have_the_distribution_of_the_model(language):
    """One id a pass or several: the frequencies of the third id are those of the model, by chi-squared."""
    from itertools import product

    ids = range(40, 44)
    request = Request([1, 2, 3], (ids,), limit=3, num_draft_tokens=2)
    expected = np.zeros(4)

    def shares(drawn):
        row = language.open(3 + len(drawn))
        language.read([row], [[1, 2, 3, *drawn]])
        logits = language.logits([row], (ids,))[0].astype(np.float64)
        return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()

    first = shares([])
    for a, b in product(range(4), range(4)):
        expected += first[a] * shares([40 + a])[b] * shares([40 + a, 40 + b])
    drafts = draft(Engine(language), [replace(request, seed=seed) for seed in range(4000)])
    counts = np.bincount([third - 40 for _, _, third in drafts], minlength=4)
    assert ((counts - 4000 * expected) ** 2 / (4000 * expected)).sum() < 16.3  # 3 degrees of freedom, p = 0.001


def test_ends_of_rows_are_read_but_not_drafted(language):
    """The same codes as where a grammar makes the model draft the ends; with draft tokens, and in any batch."""
    codes, end, width = (range(10, 60),), 5, 3

    def spelled(ids):
        return (range(end, end + 1),) if len(ids) % (width + 1) == width else codes

    guided = Request([1, 7], codes, 11, unconditional=[1, 2], guidance=3.0, temperature=0.0)
    (likeliest,) = draft(Engine(language), [replace(guided, allowed=spelled)])
    wanted = [id_ for id_ in likeliest if id_ != end]
    assert len(wanted) == 9
    rows = replace(guided, limit=9, stride=width, row_end=(end,))
    for ahead in (0, 2):
        assert draft(Engine(language), [replace(rows, num_draft_tokens=ahead)]) == [wanted]
    sampled = [replace(rows, temperature=1.0, seed=seed) for seed in (1, 2)]
    assert draft(Engine(language), sampled) == [draft(Engine(language), [each])[0] for each in sampled]
    with pytest.raises(ValueError, match="stride"):
        replace(guided, row_end=(end,))
