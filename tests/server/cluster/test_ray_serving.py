"""``lantu serve --ray`` on a real cluster: two nodes, two drafting and two rendering replicas, each a process."""

import base64
import io
import json
import logging
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import conformance
import openai
import pytest
from PIL import Image
from ray_cluster import kill_one, replicas, two_nodes, wait_for
from running import running_app

from lantu.commands import cluster
from lantu.errors import LantuError
from lantu.pipeline import Model
from lantu.server.options import Options

GENERATIONS, DRAW = "/v1/images/generations", "/v1/lantu/draw"
SLOW = {"size": "256x256", "steps": 20}  # 1,024 codes, which take the tiny model long enough to be killed

pytestmark = [
    pytest.mark.slow,  # the cluster takes a minute to come and go; test_cluster_runner.py has replicas in one process
    pytest.mark.filterwarnings("ignore"),  # of Ray's own
]


def pixels(text):
    return Image.open(io.BytesIO(base64.b64decode(text))).tobytes()


@pytest.fixture(scope="module")
def address():
    """The address of a cluster of two nodes."""
    with two_nodes(cpus=3) as address:
        yield address


@pytest.fixture(scope="module")
def server(address, tiny_model):
    """A server on it."""
    import ray
    from ray import serve

    options = Options(port=0)
    app = cluster.make(str(tiny_model), "cpu", "native", options, cluster.Wanted("2", "2", 0.5, address=address))
    with running_app(app, options) as running:
        yield running
    serve.shutdown()
    ray.shutdown()


@pytest.mark.parametrize("check", ["models", "generations", "streamed"])
def test_it_conforms(server, check):
    about = server.client.get("/v1/lantu/info").json()
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    getattr(conformance, check)(client, about)


@pytest.mark.slow
@pytest.mark.parametrize("check", ["refusals", "edits", "chat"])
def test_it_conforms_in_the_rest(server, check):
    test_it_conforms(server, check)


def test_killed_replicas_lose_no_request(server, offline):
    """Streams and single pictures under way while one replica of each stage is killed."""
    expected = {seed: offline.draw("a cat", seed=seed, size=(256, 256), steps=20) for seed in range(6)}

    def draw(seed):
        body = {"prompt": "a cat", "seed": seed, **SLOW}
        if seed % 2:
            return server.post(GENERATIONS, json=body).json()["data"][0]["b64_json"], None
        events = server.events(DRAW, json=body)
        reports = [each for each in events if each["type"] == "codes"]
        return events[-1]["picture"]["b64_json"], reports

    killed = []
    with ThreadPoolExecutor(6) as clients:
        drawing = [clients.submit(draw, seed) for seed in expected]
        wait_for(lambda: server.worker.tasks)
        time.sleep(0.3)
        killed += [kill_one("Drafting"), kill_one("Rendering")]
        drawn = [each.result() for each in drawing]
    for seed, (picture, reports) in enumerate(drawn):
        assert pixels(picture) == expected[seed].image.tobytes()
        if reports is not None:
            rows = [each["done"] for each in reports]
            assert rows == list(range(32, 1024, 32))
            for each in reports:  # no report shows codes of another drawing
                shown = [code for row in each["codes"] for code in row][: each["done"]]
                assert shown == expected[seed].codes.ravel()[: each["done"]].tolist()
    wait_for(lambda: len(replicas("Drafting")) == len(replicas("Rendering")) == 2)  # Ray Serve starts others
    assert not set(killed) & {*replicas("Drafting"), *replicas("Rendering")}


def test_metrics_have_all_replicas(server):
    def listed():
        page = server.client.get("/metrics").text
        lines = dict(line.rsplit(" ", 1) for line in page.splitlines() if line and line[0] != "#")
        rows = [float(lines[name]) for name in lines if name.startswith("lantu_replica_rows{")]
        return lines if len(rows) == 4 else None

    lines = wait_for(listed)
    drafted = [float(value) for name, value in lines.items() if name.startswith("lantu_replica_codes_total{")]
    assert float(lines["lantu_codes_total"]) >= sum(drafted) > 0


def test_an_update_refuses_no_request(server, address, tiny_model, tmp_path, offline):
    """Requests all the while: the first are drawn by the old model, the last by the new one, none is refused."""
    other = shutil.copytree(tiny_model, tmp_path / "other")
    index = json.loads((other / "model_index.json").read_text())
    changed = {"name": "other", "draw": {"guidance": 1.0, "steps": 1}}
    (other / "model_index.json").write_text(json.dumps(index | changed))
    before = {replica for stage in ("Drafting", "Rendering") for replica in replicas(stage)}
    stop, answers = threading.Event(), []

    def ask():
        while not stop.is_set():
            answers.append(server.post(GENERATIONS, json={"prompt": "a cat", "seed": 4}))

    with ThreadPoolExecutor(2) as clients:
        for _ in range(2):
            clients.submit(ask)
        try:
            cluster.update(str(other), "cpu", "native", Options(), cluster.Wanted("1", "1", 0.5, address=address))
            wait_for(lambda: server.client.get("/ready").json()["model"] == "other")
            time.sleep(0.5)
        finally:
            stop.set()
    assert {answer.status_code for answer in answers} == {200}
    drawn = [pixels(answer.json()["data"][0]["b64_json"]) for answer in answers]
    old = offline.draw("a cat", seed=4).image.tobytes()
    new = Model.load(other, "cpu").draw("a cat", seed=4).image.tobytes()
    assert drawn[0] == old
    assert drawn[-1] == new
    assert set(drawn) == {old, new}
    wait_for(lambda: not before & {*replicas("Drafting"), *replicas("Rendering")})


def test_a_model_that_finds_no_room_leaves_the_old_one(server, address, tiny_model, monkeypatch):
    from lantu.server.cluster import applications

    name = server.client.get("/ready").json()["model"]
    served = {app.name for app in applications.found()}
    monkeypatch.setattr(applications, "START_S", 2.0)
    wanted = cluster.Wanted("1", "1", 99.0, address=address)  # no node has so many cores
    with pytest.raises(LantuError, match="not all replicas"):
        cluster.update(str(tiny_model), "cpu", "native", Options(), wanted)
    assert server.client.get("/ready").json()["model"] == name
    assert {app.name for app in applications.found()} == served


logging.getLogger("ray").setLevel(logging.ERROR)
