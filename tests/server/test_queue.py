"""Who is next."""

import pytest

from lantu.server.jobs import Ticket
from lantu.server.pace import Pace
from lantu.server.queue import Full, Queue


def tickets(client, count):
    return [Ticket(client=client, prompt=f"{client}{place}") for place in range(count)]


def test_clients_take_turns_whoever_sent_how_many():
    queue = Queue(20)
    queue.put(tickets("a", 4))
    queue.put(tickets("b", 1))
    queue.put(tickets("c", 2))
    foretold = [ticket.prompt for ticket in queue]
    assert foretold == ["a0", "b0", "c0", "a1", "c1", "a2", "a3"]
    assert [queue.pop().prompt for _ in range(len(queue))] == foretold
    assert queue.first() is None


def test_who_was_served_goes_to_the_end_of_the_round():
    queue = Queue(20)
    queue.put(tickets("a", 3))
    assert queue.pop().prompt == "a0"
    queue.put(tickets("b", 1))
    assert [ticket.prompt for ticket in queue] == ["a1", "b0", "a2"]


def test_all_of_a_request_find_room_or_none():
    queue = Queue(8)
    with pytest.raises(Full):
        queue.check("a", 5)  # more than half
    queue.put(tickets("a", 4))
    with pytest.raises(Full):
        queue.check("a", 1)
    queue.check("b", 4)
    queue.put(tickets("b", 4))
    with pytest.raises(Full):
        queue.check("c", 1)


def test_those_who_leave_make_room():
    queue = Queue(2)
    (ticket,) = tickets("a", 1)
    queue.put([ticket])
    assert queue.remove(ticket)
    assert not queue.remove(ticket)
    assert (len(queue), list(queue)) == (0, [])


def test_the_pace_follows_what_is_measured():
    pace = Pace()
    pace.drafted(10, 1.0)
    pace.painted(4, 2.0)
    assert pace.seconds([Ticket(cells=4)]) == 2.0
    for _ in range(100):
        pace.painted(4, 4.0)
    assert pace.seconds([Ticket(cells=4)]) == pytest.approx(4.0, rel=0.01)
