"""Pictures from clients: forms of base64, large and broken files, and the memory that they use."""

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
from lantu.server.uploads import Decoding, from_url

CHAT = "/v1/chat/completions"
DATA = bytes(range(256)) * 3 + b"\xfb\xff"


def bases():
    """``DATA`` in the forms in which clients send base64."""
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
def test_all_common_forms_of_base64_are_read(text, step, monkeypatch):
    monkeypatch.setattr(uploads, "BLOCK", step)
    assert from_url(text, "image") == DATA


@pytest.mark.parametrize(
    "text",
    [
        *("http://a.example/a.png", "https://a", "file:///etc/passwd", "FTP://a", "data:image/png,abc", "data:x"),
        *("猫", "AA*A", "AAAAA", "AA==AAAA", "data:image/png;base64,%zz", "a=a"),
    ],
)
def test_bad_base64_is_refused(text):
    with pytest.raises(ImageError) as raised:
        from_url(text, "image")
    assert raised.value.message.startswith("image is")


def large(kind="png", size=(1200, 900), **options):
    """The file of a picture with smooth gradients, like a photograph's."""
    y, x = np.mgrid[: size[1], : size[0]]
    pixels = np.stack([x * 255 // size[0], y * 255 // size[1], (x + y) // 4 % 256], -1).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def test_a_large_picture_gives_the_same_codes_as_offline(server, offline):
    """The child process decodes it, and its codes are those of the command line."""
    for kind in ("png", "webp"):
        data = large(kind)
        expected = offline.tokenize(images.read_image(io.BytesIO(data), "here"), fit=True)
        answer = server.post("/v1/lantu/tokenize", files={"image": data}, data={"fit": "true"})
        assert answer.json()["codes"] == expected.tolist()
        assert server.service.sandbox.child is not None
        refused = server.post("/v1/lantu/tokenize", files={"image": data})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_image")


def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size():
    data = large("jpeg", (2400, 1600), quality=95)
    decoding = Decoding("image", 16_000_000, fit=(128, 128))
    size, pixels = uploads.size_of(data, decoding)
    assert size == (2400, 1600)
    assert pixels * 4 <= 2400 * 1600
    (reduced,) = uploads.decode(data, decoding)
    whole = images.fit(images.read_image(io.BytesIO(data), "here"), 128, 128)
    assert np.abs(np.asarray(reduced, int) - np.asarray(whole, int)).mean() < 1


def test_a_judge_sees_the_uncropped_picture(tiny_model):
    sizes = []

    def judge(prompt, image):
        sizes.append(image and image.size)
        return "too large" if image and image.width > 500 else None

    with serving(tiny_model, judge=judge) as running:
        answer = running.post("/v1/lantu/tokenize", files={"image": large()}, data={"fit": "true"})
        assert answer.json()["error"]["code"] == "moderation_blocked"
    assert sizes == [(1024, 768)]


def test_a_crashed_decoder_fails_only_its_own_request(server, monkeypatch):
    start_child, killed = sandbox.start_child, []

    async def start_and_kill(max_pixels):
        child = await start_child(max_pixels)
        if not killed:
            killed.append(child)
            child.kill()
            await child.wait()
        return child

    server.service.sandbox.close()
    monkeypatch.setattr(sandbox, "start_child", start_and_kill)
    request = {"files": {"image": large()}, "data": {"fit": "true"}}
    assert server.post("/v1/lantu/tokenize", **request).status_code == 400
    assert server.post("/v1/lantu/tokenize", **request).is_success
    assert killed

    async def refuse_to_start(max_pixels):
        raise PermissionError("no processes here")

    server.service.sandbox.close()
    monkeypatch.setattr(sandbox, "start_child", refuse_to_start)
    assert server.post("/v1/lantu/tokenize", **request).is_success


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


def test_too_many_pixels_are_refused_before_decoding(server):
    server.service.sandbox.close()
    answer = server.post(CHAT, json=conversation(5, 4000))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_image")
    assert "in total" in answer.json()["error"]["message"]
    assert server.service.sandbox.child is None


class Server:
    """``lantu serve`` as a process, and the memory that it uses."""

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


def growth(command, requests, bodies):
    """By how many megabytes the process grows with so many requests."""
    for body in bodies:
        command.client.post(CHAT, json=body)
    time.sleep(1.5)
    before = command.megabytes
    for number in range(requests):
        assert command.client.post(CHAT, json=bodies[number % len(bodies)]).status_code in (200, 400)
    time.sleep(2)
    return command.megabytes - before


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_large_pictures_do_not_leak_memory(command):
    assert growth(command, 4, [conversation(1, 4000), conversation(16, 4000)]) < 60


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_two_hundred_requests_with_large_pictures_do_not_leak_memory(command):
    assert growth(command, 200, [conversation(4, 4000), conversation(16, 4000), conversation(16, 1000)]) < 100
