"""``lantu serve --ray`` as a user starts it: a process with a cluster of its own, and others that change it."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from ray_cluster import QUIET, wait_for
from running import command_of
from test_ray_serving import GENERATIONS, SLOW, pixels

from lantu.pipeline import Model

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
CLUSTER = ("--ray", "--replica-cpus", "0.5", "--together", "4")


def processes(words):
    """Those whose command line has some words."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            command = (folder / "cmdline").read_bytes() if folder.name.isdecimal() else b""
            if words.encode() in command and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


def free_port():
    """One that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Served:
    """A server as a process, and its client."""

    def __init__(self, model, place):
        self.place, self.port = place, free_port()
        self.environment = os.environ | QUIET | {"RAY_TMPDIR": place, "OMP_NUM_THREADS": "1"}
        self.log = Path(place, "server.log")
        self.process = self.start(*command_of(model, self.port), *CLUSTER, "--drafters", "1-2", "--renderers", "1")
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=300)

    def start(self, *command):
        with self.log.open("a") as log:
            return subprocess.Popen(command, env=self.environment, stderr=log, stdout=log)

    def ready(self):
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(httpx.HTTPError):
            answer = self.client.get("/ready")
            return answer.json()["model"] if answer.is_success else None

    def draw(self, **more):
        return self.client.post(GENERATIONS, json={"prompt": "a cat", "seed": 4, **more})

    def replicas(self, stage):
        """How many of a stage run, as the metrics say."""
        line = f'lantu_replicas{{stage="{stage}"}} '
        page = self.client.get("/metrics").text
        return next((float(each.removeprefix(line)) for each in page.splitlines() if each.startswith(line)), 0.0)

    @contextlib.contextmanager
    def asked(self, clients, **more):
        """Requests of so many clients all the while; gives the answers so far."""
        stop, answers = threading.Event(), []

        def ask():
            while not stop.is_set():
                answers.append(self.draw(**more))

        with ThreadPoolExecutor(clients) as pool:
            for _ in range(clients):
                pool.submit(ask)
            try:
                yield answers
            finally:
                stop.set()


@pytest.fixture(scope="module")
def served(tiny_model):
    """One that has started its own cluster."""
    if processes("gcs_server"):
        pytest.skip("another cluster runs here, which it would join")
    place = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # a short path: there are sockets in it
    running = Served(tiny_model, place)
    try:
        wait_for(running.ready, 600)
        yield running
    finally:
        running.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.process.wait(120)
        running.process.kill()
        running.client.close()
        shutil.rmtree(place, ignore_errors=True)


def test_its_picture_is_the_one_of_draw(served, tiny_model):
    answer = served.draw()
    assert answer.status_code == 200
    expected = Model.load(tiny_model, "cpu").draw("a cat", seed=4)
    assert pixels(answer.json()["data"][0]["b64_json"]) == expected.image.tobytes()


def test_load_starts_another_replica(served):
    assert served.replicas("Drafting") == 1
    with served.asked(12, **SLOW) as answers:
        wait_for(lambda: served.replicas("Drafting") == 2, 300)
    assert {answer.status_code for answer in answers} == {200}


def test_another_process_replaces_the_model(served, tiny_model, tmp_path):
    other = shutil.copytree(tiny_model, tmp_path / "other")
    index = json.loads((other / "model_index.json").read_text())
    (other / "model_index.json").write_text(
        json.dumps(index | {"name": "other", "draw": {"guidance": 1.0, "steps": 1}})
    )
    update = (*command_of(other, 0), *CLUSTER, "--update", "--drafters", "1", "--renderers", "1")
    with served.asked(2) as answers:
        process = served.start(*update)
        assert process.wait(600) == 0, served.log.read_text()
        wait_for(lambda: served.ready() == "other")
        time.sleep(1)
    assert {answer.status_code for answer in answers} == {200}
    drawn = [pixels(answer.json()["data"][0]["b64_json"]) for answer in answers]
    models = (Model.load(folder, "cpu") for folder in (tiny_model, other))
    old, new = (model.draw("a cat", seed=4).image.tobytes() for model in models)
    assert (drawn[0], drawn[-1], set(drawn)) == (old, new, {old, new})


def test_its_cluster_ends_with_it(served):
    assert processes(served.place)
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(120) == 0
    wait_for(lambda: not processes(served.place), 60)
