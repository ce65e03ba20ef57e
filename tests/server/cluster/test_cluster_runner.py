"""The server on a cluster: the same surface and the same pictures, whatever replicas are lost on the way."""

import asyncio
import base64
import contextlib
import io
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import conformance
import openai
import pytest
from local_cluster import LocalApplications, make
from PIL import Image
from ray_cluster import wait_for
from running import running_app

from lantu.pipeline import Model
from lantu.server.cluster import runner as runners
from lantu.server.cluster.reports import InOrder, at_once

GENERATIONS, DRAW = "/v1/images/generations", "/v1/lantu/draw"


def pixels(text):
    return Image.open(io.BytesIO(base64.b64decode(text))).tobytes()


@contextlib.contextmanager
def losing(stage, lose):
    """Lose calls of a stage meanwhile."""
    stage.lose, stage.calls = lose, []
    yield stage.calls
    stage.lose = lambda call: None


@pytest.mark.parametrize("check", ["models", "generations", "refusals", "streamed", "edits", "chat"])
def test_it_conforms(server, check):
    about = server.client.get("/v1/lantu/info").json()
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    getattr(conformance, check)(client, about)


def test_concurrent_requests_give_the_same_pictures_as_offline(server, offline):
    def draw(seed):
        body = {"prompt": f"a dog {seed % 3}", "seed": seed, "guidance": 1 + seed % 3}
        if seed % 2:
            return body, server.events(DRAW, json=body)[-1]["picture"]["b64_json"]
        return body, server.post(GENERATIONS, json=body).json()["data"][0]["b64_json"]

    with ThreadPoolExecutor(8) as clients:
        drawn = list(clients.map(draw, range(16)))
    for body, picture in drawn:
        expected = offline.draw(body["prompt"], seed=body["seed"], guidance=body["guidance"])
        assert pixels(picture) == expected.image.tobytes()


def test_a_lost_draft_and_a_lost_rendering_are_computed_again(server, applications, offline):
    body = {"prompt": "a cat", "seed": 11}
    first = lambda call: 0 if call == 0 else None  # noqa: E731
    drafting, rendering = applications.deployed.drafting, applications.deployed.rendering
    with losing(drafting, first) as drafts, losing(rendering, first) as renderings:
        answer = server.post(GENERATIONS, json=body)
    assert answer.status_code == 200
    assert pixels(answer.json()["data"][0]["b64_json"]) == offline.draw("a cat", seed=11).image.tobytes()
    assert (len(drafts), len(renderings)) == (2, 2)
    page = server.client.get("/metrics").text
    assert 'lantu_retries_total{stage="Drafting"} ' in page


@pytest.mark.parametrize(("after", "calls"), [(0, 3), (1, 3), (2, 2), (3, 2)])
def test_a_stream_goes_on_without_a_repeated_or_swapped_report(server, applications, after, calls):
    """A draft that is lost after some of its reports: all others come, once each, in order, with the same previews."""
    body = {"prompt": "a cat on the left", "seed": 3}
    whole = server.events(DRAW, json=body)
    with losing(applications.deployed.drafting, lambda call: after if call < 2 else None) as drafts:
        broken = server.events(DRAW, json=body)
    assert len(drafts) == calls
    kept = [[{**each, "picture": None} for each in events if each["type"] == "codes"] for events in (whole, broken)]
    assert kept[0] == kept[1]
    assert [each["done"] for each in kept[1]] == [4, 8, 12]
    assert whole[-1]["picture"]["b64_json"] == broken[-1]["picture"]["b64_json"]


def test_lost_previews_are_rendered_again_and_stay_in_order(server, applications):
    body = {"prompt": "a cat", "seed": 5, "stream": True, "partial_images": 3}
    whole = server.events(GENERATIONS, json=body)
    with losing(applications.deployed.rendering, lambda call: 0 if call % 2 == 0 else None):
        broken = server.events(GENERATIONS, json=body)
    assert [each["b64_json"] for each in whole] == [each["b64_json"] for each in broken]
    assert [each.get("partial_image_index") for each in broken] == [0, 1, 2, None]


def test_an_effect_whose_replicas_are_all_lost_fails_alone(server, applications, monkeypatch):
    monkeypatch.setattr(runners, "RETRY_PAUSES_S", (0.0, 0.0))
    with losing(applications.deployed.rendering, lambda call: 0) as renderings:
        answer = server.post(GENERATIONS, json={"prompt": "a cat"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "replicas_lost")
    assert answer.headers["x-should-retry"] == "true"
    assert len(renderings) == 3
    assert server.post(GENERATIONS, json={"prompt": "a cat"}).is_success


def test_bad_input_that_only_a_replica_finds_is_no_lost_replica(server, applications):
    with losing(applications.deployed.drafting, lambda call: None) as drafts:
        answer = server.post(GENERATIONS, json={"prompt": "a cat", "passes": 3})
    assert answer.status_code == 400
    assert len(drafts) <= 1


def test_a_client_that_leaves_cancels_its_jobs(server, applications):
    stage, many = applications.deployed.drafting, {"prompt": "a cat", "size": "256x256", "n": 10, "stream": True}
    before = server.service.metrics.cancelled._value.get()
    with server.client.stream("POST", GENERATIONS, json=many) as answer:
        assert answer.status_code == 200
    server.idle()
    wait_for(lambda: not stage.replica.weight and stage.replica.worker.idle)
    assert server.service.metrics.cancelled._value.get() - before >= 9


def test_a_request_past_its_deadline_is_cancelled_waiting_or_running(applications):
    with running_app(*make(applications, timeout_s=0.3, max_running=1)) as running:
        body = {"prompt": "a cat", "size": "256x256", "n": 4}
        late = running.post(GENERATIONS, json=body)
        assert (late.status_code, late.json()["error"]["code"]) == (503, "timeout")
        running.idle()
        assert not running.worker.timers
        assert running.post(GENERATIONS, json={"prompt": "a cat"}).is_success


def test_the_queue_is_bounded_and_has_places(applications):
    gate = applications.deployed.drafting.gate
    with running_app(*make(applications, max_running=1, max_waiting=4)) as running, ThreadPoolExecutor(2) as clients:
        gate.clear()
        try:
            first = clients.submit(running.events, DRAW, json={"prompt": "a cat", "seed": 1})
            wait_for(lambda: running.worker.tasks)
            second = clients.submit(running.events, DRAW, json={"prompt": "a cat", "seed": 1})
            wait_for(lambda: running.worker.queue)
            refused = running.post(GENERATIONS, json={"prompt": "a cat", "n": 3})
        finally:
            gate.set()
        events = [each.result() for each in (first, second)]
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full")
    assert (events[1][0]["type"], events[1][0]["place"]) == ("queued", 0)
    assert [each[-1]["type"] for each in events] == ["completed", "completed"]


def test_a_new_model_takes_new_requests_and_old_ones_end_with_the_old(tiny_model, tmp_path, offline):
    other = shutil.copytree(tiny_model, tmp_path / "other")
    index = json.loads((other / "model_index.json").read_text())
    (other / "model_index.json").write_text(
        json.dumps(index | {"name": "other", "draw": {"guidance": 1.0, "steps": 1}})
    )
    applications = LocalApplications(tiny_model)
    old = applications.deployed
    with running_app(*make(applications)) as running:
        front = running.worker.front
        with ThreadPoolExecutor(1) as clients:
            body = {"prompt": "a cat", "seed": 4}
            old.drafting.gate.clear()
            try:
                early = clients.submit(running.post, GENERATIONS, json=body)
                wait_for(lambda: running.worker.tasks)
                new = applications.put(other)
                wait_for(lambda: running.client.get("/ready").json()["model"] == "other")
                late = running.post(GENERATIONS, json=body)
                wait_for(lambda: front in new.drafting.replica.fronts)
                assert front in old.drafting.replica.fronts
            finally:
                old.drafting.gate.set()
            early = early.result()
        wait_for(lambda: front not in old.drafting.replica.fronts)  # it says that it needs the old one no more
    assert pixels(early.json()["data"][0]["b64_json"]) == offline.draw("a cat", seed=4).image.tobytes()
    expected = Model.load(other, "cpu").draw("a cat", seed=4).image.tobytes()
    assert pixels(late.json()["data"][0]["b64_json"]) == expected
    assert expected != pixels(early.json()["data"][0]["b64_json"])


def test_draining_refuses_new_requests_and_ends_old_ones(applications):
    with running_app(*make(applications)) as running:
        running.worker.drain()
        refused = running.post(GENERATIONS, json={"prompt": "a cat"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
        assert running.client.get("/ready").status_code == 503


def test_a_model_that_cannot_be_deployed_is_a_problem(caplog):
    class Broken:
        def open(self, stopped):
            raise RuntimeError("no room")

    app, _ = make(Broken())
    worker = app.state.service.worker
    worker.start()
    worker.join(10)
    assert str(worker.problem) == "no room"
    assert not worker.ready.is_set()


def test_metrics_are_summed_and_listed_by_replica(server):
    server.post(GENERATIONS, json={"prompt": "a cat"})
    values = dict(line.rsplit(" ", 1) for line in server.client.get("/metrics").text.splitlines() if line[0] != "#")
    drafted = values['lantu_replica_codes_total{replica="drafting",stage="Drafting"}']
    assert float(values["lantu_codes_total"]) == float(drafted) > 0
    assert float(values["lantu_renders_total"]) > 0
    assert 'lantu_requests_total{route="/v1/images/generations",status="200"}' in values


def test_events_keep_their_order_although_some_take_longer():
    async def slow(event, seconds):
        await asyncio.sleep(seconds)
        return event

    async def main():
        sent = []
        reports = InOrder(sent.append)
        reports.send(slow("first", 0.05))
        reports.send(at_once("second"))
        reports.send(slow("third", 0.01))
        await reports.sent()
        return sent

    assert asyncio.run(main()) == ["first", "second", "third"]
