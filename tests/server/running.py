"""Runs servers for tests, and sends requests to them."""

import contextlib
import io
import json
import sys
import threading
import time

import httpx

from lantu.pipeline import Model
from lantu.server import app as apps
from lantu.server import run
from lantu.server.options import Options


def command_of(model, port):
    """The command line of ``lantu serve`` for a model."""
    return [sys.executable, "-m", "lantu", "serve", "--model", str(model), "--port", str(port), "--device", "cpu"]


class Running:
    """A running server, and a client for it."""

    def __init__(self, app, url):
        self.app, self.url = app, url
        self.service, self.worker = app.state.service, app.state.service.worker
        self.client = httpx.Client(base_url=url, timeout=60)

    def post(self, path, **options):
        return self.client.post(path, **options)

    def events(self, path, **options):
        """The objects of a stream, which must end with [DONE]."""
        answer = self.client.post(path, **options)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
        assert lines.pop() == "[DONE]"
        return [json.loads(line) for line in lines]

    def idle(self):
        """Wait until no job is running or waiting."""
        deadline = time.monotonic() + 90
        while not self.worker.idle:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@contextlib.contextmanager
def serving(model, **options):
    """Run a server of a model on a free port."""
    options = Options(port=0, **options)
    with running_app(apps.make(lambda: Model.load(model, "cpu"), options), options) as running:
        yield running


@contextlib.contextmanager
def running_app(app, options):
    """Run a server's app on a free port."""
    config = run.config_of(app, options)
    listener = run.listen("127.0.0.1", 0)
    server = run.Server(config, app.state.service, None)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        running = Running(app, f"http://127.0.0.1:{listener.getsockname()[1]}")
        assert running.worker.ready.wait(300), running.worker.problem
        yield running
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
        running.client.close()
        assert not thread.is_alive()


def png(image):
    """A picture's PNG file."""
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()
