"""The queue, and estimates of waits."""

import numpy as np
import pytest

from lantu.engine.sampling_params import SamplingParams
from lantu.server.worker.jobs import Job
from lantu.server.worker.queue import Full, Queue
from lantu.server.worker.wait_estimator import WaitEstimator
from lantu.tasks.effects import computed, rendered


def jobs(client, count):
    return [Job(computed(lambda name=f"{client}{place}": name), client=client) for place in range(count)]


def name(job):
    return job.effect.work()


def test_clients_take_turns():
    queue = Queue(20)
    queue.put(jobs("a", 4))
    queue.put(jobs("b", 1))
    queue.put(jobs("c", 2))
    expected = [name(job) for job in queue]
    assert expected == ["a0", "b0", "c0", "a1", "c1", "a2", "a3"]
    assert [name(queue.pop()) for _ in range(len(queue))] == expected
    assert queue.first() is None


def test_a_served_client_goes_to_the_end_of_the_round():
    queue = Queue(20)
    queue.put(jobs("a", 3))
    assert name(queue.pop()) == "a0"
    queue.put(jobs("b", 1))
    assert [name(job) for job in queue] == ["a1", "b0", "a2"]


def test_a_request_is_accepted_as_a_whole_or_not_at_all():
    queue = Queue(8)
    with pytest.raises(Full):
        queue.check("a", 5)  # more than half
    queue.put(jobs("a", 4))
    with pytest.raises(Full):
        queue.check("a", 1)
    queue.check("b", 4)
    queue.put(jobs("b", 4))
    with pytest.raises(Full):
        queue.check("c", 1)


def test_removed_jobs_make_room():
    queue = Queue(2)
    (job,) = jobs("a", 1)
    queue.put([job])
    assert queue.remove(job)
    assert not queue.remove(job)
    assert (len(queue), list(queue)) == (0, [])


def test_estimates_follow_the_measurements():
    picture = Job(rendered(np.zeros((2, 2), int), 0, SamplingParams()))
    estimator = WaitEstimator()
    estimator.add_drafted(10, 1.0)
    estimator.add_rendered(4, 2.0)
    assert estimator.seconds([picture]) == 2.0
    for _ in range(100):
        estimator.add_rendered(4, 4.0)
    assert estimator.seconds([picture]) == pytest.approx(4.0, rel=0.01)
