"""`lantu serve --ray` under load while replicas are killed: is each picture the one of its seed, as without a server?

    python benchmarks/ray_load.py [--minutes 5] [--clients 32] [--drafters 2] [--renderers 2] [--model NAME] [--json]

Two Ray nodes on this machine, each a set of processes, hold the replicas. Clients ask without a pause, every fourth for
a stream with two partial pictures. After a third of the time a drafting replica is killed (SIGKILL), after two thirds a
rendering one. Every picture and every partial picture is compared, pixel for pixel, with those that this process draws
without a server; streams are checked for repeated, missing and swapped parts. The exit code is 1 if anything else than
right pictures came back. Needs `pip install 'lantu[serve,ray]'`.
"""

import argparse
import base64
import collections
import contextlib
import io
import itertools
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

import lantu
from lantu.server.worker.jobs import evenly_spaced
from lantu.tasks.preview import PARAMS
from lantu.types import MASK_CODE

PROMPTS = ("a cat", "a dog on the left and a red car on the right", "一只猫", "three apples", "a house and a tree")
PARTIAL = 2
ROUTE = "/v1/images/generations"
QUIET = {  # and patient: a busy machine starts and answers late
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_raylet_start_wait_time_s": "300",
    "RAY_gcs_server_request_timeout_seconds": "300",
    "RAY_SERVE_QUEUE_LENGTH_RESPONSE_DEADLINE_S": "1.0",
}


@contextlib.contextmanager
def two_nodes(cpus, attempts=5):
    """The address of a cluster of two nodes, each a set of processes.

    A node gives up when its agents don't start within 15 s, as on a busy machine: they start without what the dashboard
    needs, and some are tried again.
    """
    os.environ.update(QUIET)  # before Ray is imported
    from ray._private import utils
    from ray.cluster_utils import Cluster

    utils.get_dashboard_dependency_error = lambda: ImportError("left out on purpose")

    cluster, node = Cluster(), {"num_cpus": cpus, "object_store_memory": 200_000_000, "include_dashboard": False}
    try:
        for attempt in range(attempts):
            try:
                while len(cluster.list_all_nodes()) < 2:
                    cluster.add_node(**node)
                break
            except Exception:
                if attempt == attempts - 1:
                    raise
                if not cluster.list_all_nodes():  # the head's processes are left
                    cluster.shutdown()
                    cluster = Cluster()
        yield cluster.address
    finally:
        cluster.shutdown()


@contextlib.contextmanager
def server(address, asked):
    """The URL of a server on a cluster."""
    command = [sys.executable, "-m", "lantu", "serve", "--ray", "--ray-address", address, "--port", "0"]
    command += ["--drafters", str(asked.drafters), "--renderers", str(asked.renderers), "--replica-cpus", "0.5"]
    command += ["--device", "cpu", "--timeout", "600", *(["--model", asked.model] if asked.model else [])]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    log = []
    try:
        for line in process.stderr:
            log.append(line)
            if found := re.match(r"lantu: (http://\S+)", line):
                break
        else:
            sys.exit("the server did not start:\n" + "".join(log))
        threading.Thread(target=log.extend, args=(process.stderr,), daemon=True).start()
        while httpx.get(f"{found[1]}/ready", timeout=60).status_code != 200:
            time.sleep(0.2)
            if process.poll() is not None:
                sys.exit("the server ended:\n" + "".join(log))
        yield found[1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(90)


def offline(model, seeds):
    """For each prompt and seed the picture, and its partial pictures, as bytes of pixels."""
    wanted = {}
    for prompt, seed in itertools.product(PROMPTS, range(seeds)):
        picture = model.draw(prompt, seed=seed)
        partial = []
        for mark in sorted(evenly_spaced(PARTIAL)(picture.codes.size)):
            codes = picture.codes.copy()
            codes.ravel()[mark:] = MASK_CODE
            partial.append(np.asarray(model.parts.render(codes[None], [seed], PARAMS)[0]).tobytes())
        wanted[prompt, seed] = picture.image.tobytes(), partial
    return wanted


def pixels(text):
    """The pixels of a picture in base64."""
    return Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB").tobytes()


def replicas(stage):
    """Process ids of a stage's replicas."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            command = (folder / "cmdline").read_bytes() if folder.name.isdecimal() else b""
            if command.startswith(b"ray::ServeReplica:lantu-") and f":{stage}".encode() in command:
                found.append(int(folder.name))
    return sorted(found)


class Load:
    """Clients that ask without a pause, and what they were answered.

    Attributes:
        outcomes: how often each kind of answer came: "right", or what was wrong.
        answers: when each answer came, and how long it took, in seconds since the start.
    """

    def __init__(self, url, wanted, clients, seconds):
        self.url, self.wanted, self.turns = url, wanted, itertools.count()
        self.started = time.monotonic()
        self.end = self.started + seconds
        self.outcomes, self.answers = collections.Counter(), []
        self.threads = [threading.Thread(target=self.client, args=(number,)) for number in range(clients)]
        for thread in self.threads:
            thread.start()

    def client(self, number):
        keys = list(self.wanted)
        with httpx.Client(base_url=self.url, timeout=660) as client:
            while time.monotonic() < self.end:
                prompt, seed = keys[next(self.turns) % len(keys)]
                began = time.monotonic()
                try:
                    ask = self.stream if number % 4 == 3 else self.whole
                    outcome = ask(client, {"prompt": prompt, "seed": seed})
                except (httpx.HTTPError, KeyError, IndexError, OSError) as problem:
                    outcome = type(problem).__name__
                now = time.monotonic()
                self.answers.append((now - self.started, now - began))
                self.outcomes[outcome] += 1

    def whole(self, client, body):
        """The outcome of a request for one picture."""
        answer = client.post(ROUTE, json=body)
        if answer.status_code != 200:
            return str(answer.status_code)
        picture = pixels(answer.json()["data"][0]["b64_json"])
        return "right" if picture == self.wanted[body["prompt"], body["seed"]][0] else "wrong picture"

    def stream(self, client, body):
        """The outcome of a request for a stream."""
        answer = client.post(ROUTE, json=body | {"stream": True, "partial_images": PARTIAL})
        if answer.status_code != 200:
            return str(answer.status_code)
        events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
        if "error" in events[-1]:
            return events[-1]["error"]["code"]
        picture, partial = self.wanted[body["prompt"], body["seed"]]
        if [event.get("partial_image_index") for event in events] != [*range(PARTIAL), None]:
            return "repeated or missing part"
        if [pixels(event["b64_json"]) for event in events[:-1]] != partial:
            return "wrong part"
        return "right" if pixels(events[-1]["b64_json"]) == picture else "wrong picture"

    def wait(self):
        """Wait for the last answers; returns the seconds since the start."""
        for thread in self.threads:
            thread.join()
        return time.monotonic() - self.started


def numbers(url):
    """The server's metrics."""
    lines = httpx.get(f"{url}/metrics", timeout=60).text.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[:1] != "#")}


def measure(url, asked, wanted):
    """Load the server, kill two replicas, and tell what became of the requests."""
    counts = {"Drafting": asked.drafters, "Rendering": asked.renderers}
    load, killed = Load(url, wanted, asked.clients, 60 * asked.minutes), {}
    for place, stage in enumerate(counts, 1):
        time.sleep(max(0.0, load.started + 20 * asked.minutes * place - time.monotonic()))
        os.kill(replicas(stage)[0], signal.SIGKILL)
        killed[stage] = round(time.monotonic() - load.started, 1)
    seconds = load.wait()
    deadline = time.monotonic() + 60
    while any(len(replicas(stage)) < count for stage, count in counts.items()) and time.monotonic() < deadline:
        time.sleep(0.5)
    times, found = [took for _, took in load.answers], numbers(url)
    after = [took for at, took in load.answers if any(at - took < when < at for when in killed.values())]
    quantiles = statistics.quantiles(times, n=100) if len(times) > 1 else times * 100
    return {
        "clients": asked.clients,
        "minutes": asked.minutes,
        "replicas": counts,
        "killed_at_s": killed,
        "outcomes": dict(load.outcomes),
        "pictures_per_s": round(load.outcomes["right"] / seconds, 2),
        "p50_s": round(quantiles[49], 2),
        "p95_s": round(quantiles[94], 2),
        "max_s": round(max(times), 2),
        "p50_s_of_requests_under_way_at_a_kill": round(statistics.median(after), 2) if after else None,
        "effects_computed_again": {
            stage: int(found.get(f'lantu_retries_total{{stage="{stage}"}}', 0)) for stage in counts
        },
        "replicas_at_the_end": {stage: len(replicas(stage)) for stage in counts},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--drafters", type=int, default=2)
    parser.add_argument("--renderers", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=20, help="of each prompt")
    parser.add_argument("--model")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    wanted = offline(lantu.load(asked.model, device="cpu"), asked.seeds)
    with two_nodes(max(1, -(-(asked.drafters + asked.renderers) // 4))) as address, server(address, asked) as url:
        told = measure(url, asked, wanted)
    if asked.json:
        print(json.dumps(told))
    else:
        print("| | |\n|---|---|")
        for name, value in told.items():
            shown = ", ".join(f"{key} {each}" for key, each in value.items()) if isinstance(value, dict) else value
            print(f"| {name.replace('_', ' ')} | {shown} |")
    sys.exit(0 if set(told["outcomes"]) == {"right"} else 1)


if __name__ == "__main__":
    main()
