"""A server of the tiny model, on a port of its own."""

import contextlib
import io
import json
import shutil
import threading
import time

import httpx
import pytest
import uvicorn
from PIL import Image

from lantu.pipeline import Model
from lantu.server import app as apps
from lantu.server import run
from lantu.server.options import Options


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
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=2)
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


@pytest.fixture(scope="session")
def server(tiny_model):
    """One that all tests share: it has learnt everything."""
    with serving(tiny_model, max_body=2_000_000) as running:
        yield running


@pytest.fixture(scope="session")
def plain_model(tiny_model, tmp_path_factory):
    """A model that draws and captions, and has learnt nothing else."""
    folder = tmp_path_factory.mktemp("models") / "plain"
    shutil.copytree(tiny_model, folder)
    path = folder / "language" / "config.json"
    config = json.loads(path.read_text())
    config["lantu"]["learnt"] = []
    path.write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="session")
def offline(tiny_model):
    """The same model without a server."""
    return Model.load(tiny_model, "cpu")


def png(image):
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()


@pytest.fixture
def red():
    """A picture of the tiny model's size."""
    return png(Image.new("RGB", (32, 32), "red"))


@pytest.fixture
def mask():
    """Transparent in the upper left quarter."""
    image = Image.new("RGBA", (32, 32), (0, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 16, 16))
    return png(image)
