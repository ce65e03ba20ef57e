"""The studio in a real browser, against a real server in a process of its own.

$LANTU_CHROMIUM names the browser where it is not found by itself; $LANTU_SHOTS a folder for what the tests saw.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
START_S = 60  # a server has so long to begin
EXPECTED = re.compile(r"Failed to load resource")  # an answer that is no success is written to the console


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """``lantu serve`` in a process of its own."""

    def __init__(self, model, port=None, **environment):
        self.model, self.environment = model, environment
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        command = [sys.executable, "-P", "-m", "lantu", "serve", "--port", str(self.port)]
        command += ["--model", str(self.model)] if self.model else []
        environment = {**os.environ, **self.environment}
        # A pipe that nobody reads would fill up, and stop the server.
        self.log = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self.log, env=environment)
        deadline = time.monotonic() + START_S
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                raise RuntimeError(f"no server: {self.log.read().decode()}")
            time.sleep(0.1)

    def answers(self):
        try:
            with urllib.request.urlopen(f"{self.url}/ready", timeout=5):
                return True
        except OSError:
            return False

    def post(self, path, body):
        request = urllib.request.Request(self.url + path, json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def running(model, **environment):
    server = Server(model, **environment)
    try:
        yield server
    finally:
        server.stop()


def changed(model, folder, learnt):
    """A copy of a model that has learnt something else."""
    shutil.copytree(model, folder)
    path = folder / "language" / "config.json"
    config = json.loads(path.read_text())
    config["lantu"]["learnt"] = learnt
    path.write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="session")
def shipped():
    """A server of the model that draws what one asks for."""
    yield from running(None)


@pytest.fixture(scope="session")
def taught(tiny_model):
    """A server of the tiny model, which has learnt to fill in and to talk."""
    yield from running(tiny_model)


@pytest.fixture(scope="session")
def serve():
    """``serve(model)`` starts a server that the test itself stops."""
    return Server


@pytest.fixture(scope="session")
def untaught(tiny_model, tmp_path_factory):
    """A server of a tiny model that only draws."""
    yield from running(changed(tiny_model, tmp_path_factory.mktemp("models") / "untaught", []))


@pytest.fixture(scope="session")
def steered(tiny_model, tmp_path_factory):
    """A server of a tiny model whose decoder follows lines."""
    import torch

    from lantu.models.lantu.decoder.control import ControlNetwork
    from lantu.models.lantu.decoder.network import PixelDecoder

    folder = changed(tiny_model, tmp_path_factory.mktemp("models") / "steered", [])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = ControlNetwork.for_decoder(PixelDecoder.load(folder / "decoder"), 1)
        for weight in (network.out.weight, network.picture.weight):
            torch.nn.init.normal_(weight, std=0.2)
    network.save(folder / "control")
    yield from running(folder)


@pytest.fixture(scope="session")
def guarded(tiny_model):
    """A server that asks for a key."""
    yield from running(tiny_model, LANTU_API_KEYS="open-sesame-0123456789abcdef")


# Not for the session: while Playwright's loop stands, nothing else in this process can run one.
@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip(
        "playwright.sync_api", reason="the studio is tested with playwright: pip install playwright"
    )
    with api.sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
        found = os.environ.get("LANTU_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
        if not found and not own.exists():
            pytest.skip("no Chromium: install one, or name it in $LANTU_CHROMIUM")
        browser = playwright.chromium.launch(executable_path=found or own, args=["--no-sandbox"])
        yield browser
        browser.close()


class Studio:
    """A page of the studio, and what a person does with it."""

    def __init__(self, context, url, name):
        self.context, self.url, self.name = context, url, name
        self.wrong = []
        self.page = context.new_page()
        self.page.on("pageerror", lambda problem: self.wrong.append(str(problem)))
        self.page.on("console", self.heard)

    def heard(self, message):
        if message.type in ("error", "warning") and not EXPECTED.search(message.text):
            self.wrong.append(message.text)

    def open(self):
        self.page.goto(self.url)
        self.page.wait_for_selector("#about:not(:empty)")
        return self

    def find(self, selector):
        return self.page.locator(selector)

    def text(self, selector):
        return self.find(selector).inner_text()

    def ready(self):
        """Wait until nothing goes on."""
        self.page.wait_for_selector("body:not([data-busy])")

    def undo(self):
        self.page.click("#undo")
        self.page.wait_for_selector("#redo:enabled")

    def draw(self, prompt, seed="", count=1, wait=True):
        self.page.fill("#prompt", prompt)
        self.page.fill("#seed", str(seed))
        self.page.locator(f"input[name=count][value='{count}']").check(force=True)
        self.page.click("#go")
        if wait:
            self.ready()

    def tool(self, name):
        self.page.locator(f"input[name=tool][value={name}]").check(force=True)

    def cell(self, row, column):
        return self.find(f"#large .cell[data-row='{row}'][data-column='{column}']")

    def codes(self, sheet="#large"):
        """The codes that stand on a sheet."""
        rows = self.find(f"{sheet} .row").all()
        return [[int(text) for text in row.locator(".cell").all_text_contents()] for row in rows]

    def pixels(self, sheet="#large"):
        """What is painted on a sheet, to be compared."""
        return self.find(f"{sheet} canvas").evaluate("canvas => canvas.toDataURL()")

    def requests(self, path):
        """The bodies that are posted to a path from now on."""
        bodies = []

        def seen(request):
            if request.method == "POST" and request.url.endswith(path):
                bodies.append(request.post_data_json)

        self.page.on("request", seen)
        return bodies

    def shot(self, name=""):
        if folder := os.environ.get("LANTU_SHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(folder) / f"{'-'.join(filter(None, (self.name, name)))}.png")


@pytest.fixture
def visit(browser, request):
    """Open the studio of a server; at the end nothing may have gone wrong in the page unseen."""
    visits = []

    def visit(server, **options):
        options = {"viewport": {"width": 1280, "height": 800}, "locale": "en-US", "reduced_motion": "reduce", **options}
        context = browser.new_context(**options)
        context.set_default_timeout(20_000)
        visits.append(Studio(context, server.url, request.node.name.removeprefix("test_")))
        return visits[-1].open()

    yield visit
    wrong = [problem for studio in visits for problem in studio.wrong]
    for studio in visits:
        studio.shot()
        studio.context.close()
    assert not wrong, wrong
