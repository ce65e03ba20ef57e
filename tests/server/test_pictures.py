"""Pictures from clients: base64 as people make it, large ones, and what is left of them."""

import base64
import io
import os
import subprocess
import sys
import time

import httpx
import numpy as np
import pytest
from PIL import Image
from running import command_of, png, serving

from lantu import images
from lantu.errors import ImageError
from lantu.server import sandbox, uploads
from lantu.server.uploads import Wanted, from_url

CHAT = "/v1/chat/completions"
DATA = bytes(range(256)) * 3 + b"\xfb\xff"


def bases():
    plain = base64.b64encode(DATA).decode()
    yield plain
    yield plain.rstrip("=")
    yield base64.urlsafe_b64encode(DATA).decode()
    yield base64.urlsafe_b64encode(DATA).decode().rstrip("=")
    yield base64.encodebytes(DATA).decode()
    yield base64.encodebytes(DATA).decode().replace("\n", "\r\n")
    yield f"  {plain}\n"
    for head in (
        "data:image/png;base64,",
        "DATA:image/PNG;BASE64,",
        "data:;base64,",
        "data:image/png;charset=utf-8;base64,",
        'data:image/png;name="a.png";base64,',
        "data:image/svg+xml; base64,",
        "image/png;base64,",
    ):
        yield head + plain
    yield "data:image/png;base64," + plain.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")


@pytest.mark.parametrize("text", list(bases()))
@pytest.mark.parametrize("step", [4, 5, 1024, 524_288])
def test_base64_is_read_as_people_make_it(text, step, monkeypatch):
    monkeypatch.setattr(uploads, "STEP", step)
    assert from_url(text, "image") == DATA


@pytest.mark.parametrize(
    "text",
    [
        *("http://a.example/a.png", "https://a", "file:///etc/passwd", "FTP://a", "data:image/png,abc", "data:x"),
        *("猫", "AA*A", "AAAAA", "AA==AAAA", "data:image/png;base64,%zz", "a=a"),
    ],
)
def test_what_is_no_base64_is_said(text):
    with pytest.raises(ImageError) as told:
        from_url(text, "image")
    assert told.value.message.startswith("image is")


def large(kind="png", size=(1200, 900), **options):
    """A picture whose pixels all differ from their neighbours, smooth as photos are."""
    y, x = np.mgrid[: size[1], : size[0]]
    pixels = np.stack([x * 255 // size[0], y * 255 // size[1], (x + y) // 4 % 256], -1).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def test_a_large_picture_is_reduced_as_it_would_be_here(server, offline):
    """In a process of its own, and with the codes that the command line gives."""
    for kind in ("png", "webp"):
        data = large(kind)
        wanted = offline.tokenize(images.read_image(io.BytesIO(data), "here"), fit=True)
        told = server.post("/v1/lantu/tokenize", files={"image": data}, data={"fit": "true"})
        assert told.json()["codes"] == wanted.tolist()
        assert server.service.sandbox.child is not None
        refused = server.post("/v1/lantu/tokenize", files={"image": data})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_image")


def test_a_large_jpeg_is_decoded_at_a_fraction_and_looks_the_same():
    data = large("jpeg", (2400, 1600), quality=95)
    want = Wanted("image", 16_000_000, fit=(128, 128))
    size, pixels = uploads.size_of(data, want)
    assert size == (2400, 1600)
    assert pixels * 4 <= 2400 * 1600
    (found,) = uploads.reduced(data, want)
    whole = images.fit(images.read_image(io.BytesIO(data), "here"), 128, 128)
    assert np.abs(np.asarray(found, int) - np.asarray(whole, int)).mean() < 1


def test_a_judge_sees_the_whole_of_a_large_picture(tiny_model):
    seen = []

    def judge(prompt, image):
        seen.append(image and image.size)
        return "too large" if image and image.width > 500 else None

    with serving(tiny_model, judge=judge) as running:
        told = running.post("/v1/lantu/tokenize", files={"image": large()}, data={"fit": "true"})
        assert told.json()["error"]["code"] == "moderation_blocked"
    assert seen == [(1024, 768)]


def test_a_decoder_that_breaks_breaks_nothing_else(server, monkeypatch):
    begin, broken = sandbox.begin, []

    async def killed(most):
        child = await begin(most)
        if not broken:
            broken.append(child)
            child.kill()
            await child.wait()
        return child

    server.service.sandbox.close()
    monkeypatch.setattr(sandbox, "begin", killed)
    asked = {"files": {"image": large()}, "data": {"fit": "true"}}
    assert server.post("/v1/lantu/tokenize", **asked).status_code == 400
    assert server.post("/v1/lantu/tokenize", **asked).is_success
    assert broken

    async def none(most):
        raise PermissionError("no processes here")

    server.service.sandbox.close()
    monkeypatch.setattr(sandbox, "begin", none)
    assert server.post("/v1/lantu/tokenize", **asked).is_success


def test_broken_large_pictures_are_refused(server):
    data = large()
    for broken in (data[: len(data) // 2], data[:60], data.replace(b"IDAT", b"IDXT")):
        answer = server.post("/v1/lantu/tokenize", files={"image": broken}, data={"fit": "true"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_image")


def conversation(count, side):
    url = "data:image/png;base64," + base64.b64encode(png(Image.new("RGB", (side, side), "blue"))).decode()
    parts = [{"type": "image_url", "image_url": {"url": url}}] * count
    return {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, *parts]}],
        "max_tokens": 2,
    }


def test_too_many_pixels_are_refused_before_the_first_is_decoded(server):
    server.service.sandbox.close()
    answer = server.post(CHAT, json=conversation(5, 4000))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_image")
    assert "in all" in answer.json()["error"]["message"]
    assert server.service.sandbox.child is None


class Server:
    """The command, and the memory that it has."""

    def __init__(self, model, port):
        command = command_of(model, port)
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120)
        deadline = time.monotonic() + 120
        while True:
            try:
                if self.client.get("/ready").is_success:
                    break
            except httpx.ConnectError:
                assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)

    @property
    def megabytes(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024

    def end(self):
        self.client.close()
        self.process.kill()
        self.process.wait(10)


@pytest.fixture
def command(tiny_model, unused_port):
    running = Server(tiny_model, unused_port)
    yield running
    running.end()


@pytest.fixture
def unused_port():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def kept(command, requests, bodies):
    """Megabytes that stay after so many requests."""
    for body in bodies:
        command.client.post(CHAT, json=body)
    time.sleep(1.5)
    before = command.megabytes
    for number in range(requests):
        assert command.client.post(CHAT, json=bodies[number % len(bodies)]).status_code in (200, 400)
    time.sleep(2)
    return command.megabytes - before


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_large_pictures_leave_no_memory_behind(command):
    assert kept(command, 4, [conversation(1, 4000), conversation(16, 4000)]) < 60


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_two_hundred_requests_of_large_pictures_leave_no_memory_behind(command):
    assert kept(command, 200, [conversation(4, 4000), conversation(16, 4000), conversation(16, 1000)]) < 100
