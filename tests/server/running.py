"""A server on a port of its own, and ways to ask it."""

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
    """``lantu serve`` of a model as a command line."""
    return [sys.executable, "-m", "lantu", "serve", "--model", str(model), "--port", str(port), "--device", "cpu"]


class Running:
    """A server, and ways to ask it."""

    def __init__(self, app, url):
        self.app, self.url = app, url
        self.service, self.worker = app.state.service, app.state.service.worker
        self.client = httpx.Client(base_url=url, timeout=60)

    def post(self, path, **options):
        return self.client.post(path, **options)

    def events(self, path, **options):
        """The objects of a stream; it must end with [DONE]."""
        answer = self.client.post(path, **options)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
        assert lines.pop() == "[DONE]"
        return [json.loads(line) for line in lines]

    def idle(self):
        """Wait until nothing is left to do."""
        deadline = time.monotonic() + 20
        while not self.worker.idle:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@contextlib.contextmanager
def serving(model, **options):
    options = Options(port=0, **options)
    app = apps.make(lambda: Model.load(model, "cpu"), options)
    config = run.configured(app, options)
    listening = run.listening("127.0.0.1", 0)
    server = run.Server(config, app.state.service, None)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        here = Running(app, f"http://127.0.0.1:{listening.getsockname()[1]}")
        assert here.worker.ready.wait(30)
        yield here
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()
        here.client.close()
        assert not thread.is_alive()


def png(image):
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()
