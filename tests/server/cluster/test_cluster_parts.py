"""The parts of serving on a cluster, each alone: packing, routing, metrics, counts of replicas."""

import asyncio
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from ray import cloudpickle

from lantu.engine.logits_processors import ControlLogitsProcessor
from lantu.engine.request import Request
from lantu.errors import AbilityError, LantuError, PromptError
from lantu.pipeline import Model
from lantu.server.cluster.metrics import ClusterMetrics, numbers_of
from lantu.server.cluster.packing import pack, unpack
from lantu.server.cluster.router import AdmissionRouter
from lantu.server.cluster.settings import count_options, read_count
from lantu.server.metrics import Metrics
from lantu.tasks.effects import Compute, Draft


def test_an_effect_leaves_the_model_behind(tiny_model):
    here, there = Model.load(tiny_model, "cpu"), Model.load(tiny_model, "cpu")
    image, other = here.draw("a cat", seed=1).image, there.draw("a cat", seed=1)
    effect = Compute(lambda: (here.tokenize(image), here.parts, here.parts.layout))
    packed = pack(effect, here)
    assert len(packed) < 20_000
    codes, parts, layout = unpack(packed, there).work()
    assert np.array_equal(codes, there.tokenize(other.image))
    assert parts is there.parts
    assert layout is there.parts.layout


def test_the_functions_of_a_request_are_packed(tiny_model):
    model = Model.load(tiny_model, "cpu")
    bias = ControlLogitsProcessor(lambda codes, row: np.full((2, 3), row + 1.0), (2, 2), lambda ids: ids)
    draft = Draft([Request([1], lambda ids: (range(2 + len(ids)),), 4), Request([1], (range(3),), 4, bias=bias)])
    first, second = unpack(pack(draft, model), model).requests
    assert first.after([5]) == (range(3),)
    assert np.array_equal(second.bias([0, 1]), np.full(3, 2.0))


@pytest.mark.parametrize("problem", [PromptError("too long", "shorten it"), AbilityError("no", "another", "talking")])
def test_errors_are_packed_whole(tiny_model, problem):
    model = Model.load(tiny_model, "cpu")
    back = unpack(pack(problem, model), model)
    assert (type(back), str(back), vars(back)) == (type(problem), str(problem), vars(problem))


class Replica(SimpleNamespace):
    """A replica as the router sees it."""


def route(router, replicas, weight):
    """The order in which a call is offered to replicas."""
    context = SimpleNamespace(should_backoff=False)
    call = SimpleNamespace(kwargs={"weight": weight}, routing_context=context)
    ranks = asyncio.run(router.choose_replicas(replicas, call))
    assert context.should_backoff
    return [replica.replica_id for (replica,) in ranks]


def test_a_call_goes_where_the_most_room_is_and_nowhere_where_is_none():
    router = AdmissionRouter.__new__(AdmissionRouter)
    router.initialize_state(capacity=8)
    replicas = [Replica(replica_id=name, routing_stats={}) for name in "abc"]

    def admit(name, weight, call):
        metadata = SimpleNamespace(internal_request_id=call)
        router.on_request_routed(SimpleNamespace(kwargs={"weight": weight}, metadata=metadata), name, None)

    admit("a", 6, "1")
    admit("b", 2, "2")
    assert route(router, replicas, 2) == ["c", "b", "a"]
    assert route(router, replicas, 4) == ["c", "b"]
    assert route(router, replicas, 20) == ["c"]  # alone, a call may take more than there is
    replicas[2].routing_stats = {"weight": 7}  # calls of another server
    assert route(router, replicas, 2) == ["b", "a"]
    admit("b", 6, "3")
    assert route(router, replicas, 3) == []
    router.on_request_completed("b", "3")
    assert route(router, replicas, 3) == ["b"]


def test_sums_keep_what_lost_replicas_had_counted():
    own, page = Metrics(), None
    cluster, replicas = ClusterMetrics(own), {name: Metrics() for name in "ab"}
    for name, count in (("a", 5), ("b", 7)):
        replicas[name].codes.inc(count)
        replicas[name].rows.set(2)
        replicas[name].render_s.observe(0.3)

    def read(names):
        page = cluster.page([numbers_of(replicas[name], name, "Drafting") for name in names]).decode()
        return {
            name: float(value) for name, value in (line.rsplit(" ", 1) for line in page.splitlines() if line[0] != "#")
        }

    page = read("ab")
    assert (page["lantu_codes_total"], page["lantu_rows_in_use"]) == (12, 4)
    assert page['lantu_replica_codes_total{replica="b",stage="Drafting"}'] == 7
    assert page['lantu_render_seconds_bucket{le="0.5"}'] == 2
    page = read("b")
    assert (page["lantu_codes_total"], page["lantu_rows_in_use"]) == (12, 2)
    assert 'lantu_replica_codes_total{replica="a",stage="Drafting"}' not in page
    replicas["b"].codes.inc(1)
    assert read("b")["lantu_codes_total"] == 13
    replicas["a"].codes.inc(2)
    assert read("ab")["lantu_codes_total"] == 15  # it was only busy: nothing counts twice
    assert read("b")["lantu_codes_total"] == 15


def test_counts_of_replicas():
    assert read_count("3", "--drafters") == (3, 3)
    assert read_count("1-4", "--drafters") == (1, 4)
    assert count_options((3, 3), 8) == {"num_replicas": 3}
    assert count_options((1, 4), 8)["autoscaling_config"]["max_replicas"] == 4
    for wrong in ("0", "4-1", "x", "1-", "-1", ""):
        with pytest.raises(LantuError, match="--drafters"):
            read_count(wrong, "--drafters")


def test_packed_values_are_no_plain_pickles(tiny_model):
    """A model's name means nothing to another reader."""
    model = Model.load(tiny_model, "cpu")
    with pytest.raises(Exception, match="persistent"):
        cloudpickle.loads(pack(model, model))


def test_only_ray_imports_ray():
    code = "import sys, lantu, lantu.cli, lantu.commands.serving, lantu.server.app, lantu.server.run; "
    code += "print(*{'ray', 'lantu.server.cluster'} & set(sys.modules))"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == ""
