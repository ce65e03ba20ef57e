"""The command as a process: shutdown, restart after a kill, log and errors."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import httpx
import pytest
from running import command_of


class Command:
    """``lantu serve`` as a process."""

    def __init__(self, model, port=0):
        command = command_of(model, port)
        environment = os.environ | {"OMP_NUM_THREADS": "1", "LANTU_TRACEBACK": "1"}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        self.url = ""
        self.lines = []
        for line in self.process.stderr:
            self.lines.append(line)
            if found := re.match(r"lantu: (http://\S+)", line):
                self.url = found[1]
                break
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        deadline = time.monotonic() + 60
        while httpx.get(f"{self.url}/ready").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def read(self):
        self.lines += list(self.process.stderr)

    def end(self):
        self.process.kill()
        self.process.wait(10)
        self.reader.join(10)
        self.process.stderr.close()


@pytest.fixture
def command(tiny_model):
    running = Command(tiny_model)
    yield running
    running.end()


def test_shutdown_is_graceful(command):
    body = {"prompt": "a cat", "size": "320x320", "n": 10, "stream": True, "partial_images": 1, "steps": 50}
    with httpx.stream("POST", f"{command.url}/v1/images/generations", json=body, timeout=60) as answer:
        lines = answer.iter_lines()
        next(lines)
        command.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 10
        while (refused := httpx.get(f"{command.url}/ready")).status_code == 200:
            assert time.monotonic() < deadline
        assert refused.json()["error"]["code"] == "draining"
        refused = httpx.post(f"{command.url}/v1/images/generations", json={"prompt": "a cat"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert httpx.get(f"{command.url}/health").status_code == 200
        rest = list(lines)
    assert sum("image_generation.completed" in line for line in rest if line.startswith("data")) == 10
    assert rest[-2:] == ["data: [DONE]", ""]
    assert command.process.wait(20) == 0


def test_it_restarts_on_the_same_port_after_a_kill(command, tiny_model):
    body = {"prompt": "a cat", "seed": 1}
    before = httpx.post(f"{command.url}/v1/images/generations", json=body, timeout=60).json()["data"][0]["b64_json"]
    port = int(command.url.rpartition(":")[2])
    command.process.kill()
    command.process.wait(10)
    again = Command(tiny_model, port)
    try:
        answer = httpx.post(f"{again.url}/v1/images/generations", json=body, timeout=60)
        assert answer.json()["data"][0]["b64_json"] == before
    finally:
        again.end()


def test_the_log_is_json(command):
    httpx.get(f"{command.url}/health")
    command.process.send_signal(signal.SIGINT)
    assert command.process.wait(20) == 0
    command.reader.join(10)
    entries = [json.loads(line) for line in command.lines if not line.startswith("lantu:")]
    assert {"ready", "request", "draining"} <= {line["event"] for line in entries}


def test_a_taken_port_and_a_missing_model_are_reported_in_one_line(command, tmp_path):
    port = command.url.rpartition(":")[2]
    for options in (["--port", port], ["--port", "0", "--model", str(tmp_path)]):
        done = subprocess.run(
            [sys.executable, "-m", "lantu", "serve", *options], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].startswith("lantu: ")
