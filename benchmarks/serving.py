"""A server under load: python benchmarks/serving.py [--minutes 5] [--clients 32] [--model NAME]

Each client asks again as soon as it has its answer; every picture is compared, pixel for pixel, with the one that is
drawn without a server from the same prompt and seed. /health is asked all the while, and the server's memory read.
"""

import argparse
import base64
import collections
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
from PIL import Image

import lantu

PROMPTS = ("a cat", "a dog on the left and a red car on the right", "一只猫", "three apples", "a house and a tree")
SEEDS = 20
ROUTE = "/v1/images/generations"


def start(model):
    """A server of its own: the process and its URL."""
    command = [sys.executable, "-m", "lantu", "serve", "--port", "0", *(["--model", model] if model else [])]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if found := re.match(r"lantu: (http://\S+)", line):
            break
    threading.Thread(target=collections.deque, args=(process.stderr, 0), daemon=True).start()
    while httpx.get(f"{found[1]}/ready").status_code != 200:
        time.sleep(0.1)
    return process, found[1]


def pixels(text):
    return Image.open(io.BytesIO(base64.b64decode(text))).tobytes()


def processor_s(pid):
    """Seconds of all processors that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


class Load:
    """So many clients at once, for so long; what became of their requests."""

    def __init__(self, url, pid, wanted, clients, seconds):
        self.url, self.wanted, self.end = url, wanted, time.monotonic() + seconds
        spent = processor_s(pid)
        self.turns, self.seconds, self.outcomes = itertools.count(), [], collections.Counter()
        threads = [threading.Thread(target=self.client, args=(number,)) for number in range(clients)]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.rate = self.outcomes["right"] / (time.monotonic() - started)
        self.processor_ms = 1000 * (processor_s(pid) - spent) / max(1, self.outcomes["right"])

    def client(self, number):
        keys = list(self.wanted)
        with httpx.Client(base_url=self.url, timeout=120) as client:
            while time.monotonic() < self.end:
                turn = next(self.turns)
                prompt, seed = keys[turn % len(keys)]
                started = time.monotonic()
                outcome = self.ask(client, {"prompt": prompt, "seed": seed}, stream=number % 4 == 3)
                self.seconds.append(time.monotonic() - started)
                self.outcomes[outcome] += 1

    def ask(self, client, body, stream):
        """ "right", "wrong", or a status."""
        try:
            answer = client.post(ROUTE, json=body | ({"stream": True, "partial_images": 1} if stream else {}))
            if answer.status_code != 200:
                return str(answer.status_code)
            if stream:
                last = [line for line in answer.text.splitlines() if line.startswith("data: {")][-1]
                picture = json.loads(last[6:])["b64_json"]
            else:
                picture = answer.json()["data"][0]["b64_json"]
        except (httpx.HTTPError, KeyError, IndexError) as problem:
            return type(problem).__name__
        return "right" if pixels(picture) == self.wanted[body["prompt"], body["seed"]] else "wrong"


class Watch(threading.Thread):
    """Asks /health twice a second and reads the server's memory, until ``stop`` is set."""

    def __init__(self, url, pid):
        super().__init__(daemon=True)
        self.url, self.pid, self.stop = url, pid, threading.Event()
        self.health_ms, self.memory_mb = [], []

    def run(self):
        with httpx.Client(base_url=self.url) as client:
            while not self.stop.wait(0.5):
                started = time.monotonic()
                assert client.get("/health").status_code == 200
                self.health_ms.append(1000 * (time.monotonic() - started))
                pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
                self.memory_mb.append(pages * 4096 / 1e6)


def first_partial(url, count=20):
    """Share of the total time after which the first partial picture is there, on an idle server: the median."""
    shares = []
    with httpx.Client(base_url=url, timeout=60) as client:
        client.get("/ready")  # a client that is there already: to make one takes as long as a picture
        for seed in range(count):
            body = {"prompt": "a cat", "seed": seed, "stream": True, "partial_images": 1}
            started = time.monotonic()
            with client.stream("POST", ROUTE, json=body) as answer:
                told = [time.monotonic() for line in answer.iter_lines() if line.startswith("data: {")]
            shares.append((told[0] - started) / (told[-1] - started))
    return statistics.median(shares)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--model")
    asked = parser.parse_args()
    model = lantu.load(asked.model, device="cpu")
    wanted = {}
    for prompt, seed in itertools.product(PROMPTS, range(SEEDS)):
        wanted[prompt, seed] = model.draw(prompt, seed=seed).image.tobytes()
    process, url = start(asked.model)
    try:
        Load(url, process.pid, wanted, 4, 3)  # to warm up
        alone = Load(url, process.pid, wanted, 1, 20)
        share = first_partial(url)
        watch = Watch(url, process.pid)
        watch.start()
        load = Load(url, process.pid, wanted, asked.clients, 60 * asked.minutes)
        watch.stop.set()
        watch.join()
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
    times, memory = statistics.quantiles(load.seconds, n=100), watch.memory_mb
    tenth = max(1, len(memory) // 10)
    told = {
        "clients": asked.clients,
        "minutes": asked.minutes,
        "outcomes": dict(load.outcomes),
        "pictures_per_s": round(load.rate, 2),
        "alone_pictures_per_s": round(alone.rate, 2),
        "times_alone": round(load.rate / alone.rate, 2),
        "server_processor_ms_a_picture": {"alone": round(alone.processor_ms, 1), "load": round(load.processor_ms, 1)},
        "p50_s": round(times[49], 3),
        "p95_s": round(times[94], 3),
        "health_ms": {"p50": round(statistics.median(watch.health_ms), 1), "max": round(max(watch.health_ms), 1)},
        "memory_mb": {"begin": round(statistics.mean(memory[tenth : 2 * tenth])), "end": round(memory[-1])},
        "first_partial_share": round(share, 3),
        "exit_code": code,
    }
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
