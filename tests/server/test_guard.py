"""The middleware and the errors: keys, origins, sizes, slow clients, junk."""

import collections
import io
import json
import logging
import socket
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from running import serving

from lantu.errors import LantuError
from lantu.server.http.keys import Keys, read_keys
from lantu.server.logs import JsonLines

DRAW = "/v1/images/generations"


def test_every_answer_has_an_id_and_secure_headers(server):
    answers = [server.client.get(path) for path in ("/health", "/v1/models", "/nowhere")]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 3
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert "server" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", DRAW, 405, "method_not_allowed"),
        ("GET", "/pictures/x.png", 404, "not_found"),
        ("GET", "/studio/../app.py", 404, "not_found"),
        ("GET", "/studio/%2e%2e/app.py", 404, "not_found"),
        ("GET", "/v1/models/other", 404, "model_not_found"),
    ],
)
def test_all_errors_have_the_same_form(server, method, path, status, code):
    answer = server.client.request(method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b"\xff\xfe", 400),
        (b'{"prompt": 1}', 400),
        (b'{"prompt": "\\ud800"}', 400),
        (b'{"\\ud800": 1, "prompt": "a"}', 400),
        (b'{"prompt": "a", "model": "\\ud800"}', 404),
        (b'{"prompt": "a", "seed": 1e400}', 400),
        (b'{"prompt": "a", "guidance": NaN}', 400),
        (b"[" * 100_000, 400),
    ],
)
def test_junk_is_refused(server, body, status):
    answer = server.post(DRAW, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_large_bodies_are_refused_before_they_are_read(server):
    limit = server.service.options.max_body
    with socket.create_connection(address(server), timeout=10) as wire:
        wire.sendall(head(f"content-length: {limit + 1}"))
        assert b" 413 " in wire.recv(10_000).split(b"\r\n")[0]

    def chunks():
        for _ in range(limit // 50_000 + 2):
            yield b"x" * 50_000

    answer = server.post(DRAW, content=chunks(), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def address(server):
    return server.worker.options.host, int(server.url.rpartition(":")[2])


def head(*lines, path=DRAW):
    all_lines = [f"POST {path} HTTP/1.1", "host: localhost", "content-type: application/json", *lines]
    return ("\r\n".join(all_lines) + "\r\n\r\n").encode()


def test_bombs_and_broken_pictures_are_refused(server):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 10_000, 10_000, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1251) * 10_000, 9)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    note = chunk(b"zTXt", b"lantu\0\0" + zlib.compress(bytes(100_000_000), 9))
    small = io.BytesIO()
    Image.new("RGB", (32, 32)).save(small, "png")
    with_note = small.getvalue()[:33] + note + small.getvalue()[33:]
    pictures = {"bomb": bomb, "note": with_note, "half": small.getvalue()[:60], "none": b"", "text": b"GIF89a"}
    for name, data in pictures.items():
        started = time.monotonic()
        answer = server.post("/v1/lantu/tokenize", files={"image": data})
        assert answer.status_code in (400, 400), name
        assert time.monotonic() - started < 5, name
    assert "megapixels" in server.post("/v1/lantu/tokenize", files={"image": bomb}).json()["error"]["message"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # starlette leaves a file open
def test_truncated_multipart_is_refused(server, red):
    body = b'--b\r\ncontent-disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + red
    for path in ("/v1/lantu/tokenize", "/v1/images/edits"):
        for data in (body, body[:50], b"--b\r\n\r\n\r\n", b""):
            answer = server.post(path, content=data, headers={"content-type": "multipart/form-data; boundary=b"})
            assert answer.status_code in (400, 400), data
        answer = server.post(path, content=body, headers={"content-type": "multipart/form-data"})
        assert answer.status_code in (400, 400)


@pytest.mark.slow
def test_the_server_survives_ten_thousand_junk_requests(server):
    random = np.random.default_rng(0)
    junk = [random.bytes(200) for _ in range(10_000)]

    def send(number):
        data = junk[number]
        if number % 4 == 0:  # not even HTTP
            with socket.create_connection(address(server), timeout=10) as wire:
                wire.sendall(data + b"\r\n\r\n")
                wire.recv(1000)
            return 400
        path = (DRAW, "/v1/images/edits", "/v1/lantu/tokenize")[number % 3]
        kind = ("application/json", "multipart/form-data; boundary=b")[number % 2]
        return server.post(path, content=data, headers={"content-type": kind}).status_code

    with ThreadPoolExecutor(8) as clients:
        answers = collections.Counter(clients.map(send, range(10_000)))
    assert set(answers) <= {400, 413}
    assert server.post(DRAW, json={"prompt": "a cat"}).is_success


def test_unfinished_bodies_and_slow_readers_time_out_while_others_are_served(tiny_model):
    with serving(tiny_model, stall_s=0.5) as running:
        with socket.create_connection(address_of(running), timeout=10) as half:
            half.sendall(head("content-length: 100") + b'{"prompt"')
            assert running.post(DRAW, json={"prompt": "a cat"}).is_success
            assert b" 408 " in half.recv(10_000).split(b"\r\n")[0]
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(address_of(running))
        body = json.dumps({"prompt": "a cat", "size": "256x256", "n": 10}).encode()
        slow.sendall(head(f"content-length: {len(body)}") + body)
        assert running.post(DRAW, json={"prompt": "a cat"}).is_success
        running.idle()
        assert running.post(DRAW, json={"prompt": "a cat"}).is_success
        slow.close()


def address_of(running):
    return "127.0.0.1", int(running.url.rpartition(":")[2])


def test_keys(tiny_model):
    with serving(tiny_model, keys=("one", "two")) as running:
        for headers in (
            {},
            {"authorization": "Bearer three"},
            {"authorization": "Basic one"},
            {"authorization": "one"},
        ):
            answer = running.post(DRAW, json={"prompt": "a"}, headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
            assert answer.headers["www-authenticate"] == "Bearer"
        for key in ("one", "two"):
            assert running.post(DRAW, json={"prompt": "a"}, headers={"authorization": f"Bearer {key}"}).is_success
        assert running.client.get("/health").is_success


def test_keys_come_from_a_file_and_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "keys"
    file.write_text("# ours\n one \n\ntwo\n")
    monkeypatch.setenv("LANTU_API_KEYS", "three, four")
    assert set(read_keys(file)) == {"one", "two", "three", "four"}
    file.write_text("#\n")
    with pytest.raises(LantuError):
        read_keys(file)
    with pytest.raises(LantuError):
        read_keys(tmp_path / "none")
    assert Keys(["one"]).holder("Bearer one") != "one"


def test_only_allowed_pages_may_use_the_server(tiny_model, server):
    for headers in ({"origin": "https://evil.example"}, {"host": "evil.example"}, {"origin": "null"}):
        answer = server.post(DRAW, json={"prompt": "a"}, headers=headers)
        assert answer.status_code == 403
    with serving(tiny_model, public_url="https://draw.example") as running:
        proxied = {"origin": "https://draw.example", "host": "draw.example"}
        assert running.post(DRAW, json={"prompt": "a"}, headers=proxied).is_success
    own = {"origin": server.url}
    assert server.post(DRAW, json={"prompt": "a"}, headers=own).is_success
    with serving(tiny_model, origins=("https://good.example",), keys=("one",)) as running:
        preflight = {"origin": "https://good.example", "access-control-request-method": "POST"}
        preflight["access-control-request-headers"] = "authorization,content-type"
        allowed = running.client.options(DRAW, headers=preflight)
        assert allowed.headers["access-control-allow-origin"] == "https://good.example"
        headers = {"origin": "https://good.example", "authorization": "Bearer one"}
        answer = running.post(DRAW, json={"prompt": "a"}, headers=headers)
        assert answer.headers["access-control-allow-origin"] == "https://good.example"


def test_prompts_are_logged_only_with_the_option(tiny_model):
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(JsonLines().format(record))
    logger = logging.getLogger("lantu.server")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        for log_prompts in (False, True):
            with serving(tiny_model, log_prompts=log_prompts) as running:
                answer = running.post(DRAW, json={"prompt": "a secret cat"})
            assert any("a secret cat" in line for line in lines) == log_prompts
            (line,) = [
                entry for entry in map(json.loads, lines) if entry.get("request") == answer.headers["x-request-id"]
            ]
            assert (line["status"], line["path"], line["level"]) == (200, DRAW, "info")
    finally:
        logger.removeHandler(handler)


def test_only_the_newest_pictures_are_kept_for_their_urls(tiny_model):
    with serving(tiny_model, max_kept=1) as running:
        urls = [
            running.post(DRAW, json={"prompt": "a", "response_format": "url"}).json()["data"][0]["url"] for _ in "12"
        ]
        assert [running.client.get(url).status_code for url in urls] == [404, 200]
