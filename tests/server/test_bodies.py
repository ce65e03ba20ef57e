"""Limits of bodies; a bad client does not slow others down."""

import asyncio
import json
import socket
import threading
import time
from asyncio.events import Handle
from concurrent.futures import ThreadPoolExecutor

import pytest
from running import serving

from lantu.server.http.bodies import LONG_STRING, PIECE, Limits, Scanner, limits_of, put_back
from lantu.server.http.errors import ApiError
from lantu.server.options import Options

DRAW, CHAT, REDRAW = "/v1/images/generations", "/v1/chat/completions", "/v1/lantu/redraw"
ROOM = Limits(1_000_000, text=400_000, items=1000, keys=500)
JSON = {"content-type": "application/json"}


def read(text, size, limits=ROOM):
    """Scan a body that arrives in chunks of ``size`` bytes."""
    scanner = Scanner(limits)

    async def feed():
        return [await scanner.feed(text[place : place + size]) for place in range(0, len(text), size)]

    left = b"".join(asyncio.run(feed()))
    return left, scanner


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000, 1_000_000])
def test_scanning_changes_no_body(size):
    long = "A/+9" * 5000
    for value in (
        {"a": 'quoted " and \\ and \\" and 一只猫 \x01', "b": ["\\", "", "\\\\"], "c": [1.5, None, True, {"d": []}]},
        {"picture": f"data:image/png;base64,{long}", "more": [long, "\\" * 99, "x" * LONG_STRING, "猫" * LONG_STRING]},
        ["\0lifted:0", long],
        long,
    ):
        for ascii_only in (True, False):
            text = json.dumps(value, ensure_ascii=ascii_only).encode()
            left, scanner = read(text, size)
            if isinstance(value, dict) and "picture" in value:
                assert len(scanner.strings) == 3
                assert len(left) < len(text) - 2 * len(long)
            # The body may contain a placeholder itself.
            expected = ["A/+9" * 5000, long] if value == ["\0lifted:0", long] else value
            assert put_back(json.loads(left), scanner.strings) == expected


def test_escapes_are_removed_from_long_base64():
    lines = "\n".join(["A/+9" * 19] * 2000)
    left, scanner = read(json.dumps({"a": lines}).replace("/", "\\/").encode(), PIECE)
    assert scanner.strings == [lines.replace("\n", "").encode()]
    assert len(left) < 100
    text = json.dumps({"a": "\\n" * 40_000})  # an escaped backslash followed by n, which is not a line end
    left, scanner = read(text.encode(), PIECE)
    assert (left, scanner.strings) == (text.encode(), [])


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (b"{" + b",".join(b'"k%d":1' % place for place in range(2000)) + b"}", "keys"),
        (b'{"cells":[' + b"[0,0]," * 2000 + b"[0,0]]}", "items"),
        (b"[" * 2000, "nested"),
        (b"]" * 2000, "nested"),
        (b"[{}]]" * 300, "nested"),
        (b'""' * 9000, "strings"),
        (b" " * 900_000, "text"),
        (b'{"a":' + b"9" * 900_000 + b"}", "text"),
        (b'{"a":"' + b"\\u4e00" * 200_000 + b'"}', "text"),
        (b'{"a":"' + "猫".encode() * 200_000 + b'"}', "text"),
    ],
)
def test_bodies_over_the_limits_are_refused(text, word):
    with pytest.raises(ApiError) as raised:
        read(text, 65_536)
    assert raised.value.status in (400, 413)
    assert word in raised.value.message


def test_commas_and_brackets_in_strings_do_not_count():
    text = json.dumps({"prompt": ',:[{"' * 5000}).encode()
    assert read(text, 1000)[0] == text


def test_limits_depend_on_the_route():
    options = Options()
    assert limits_of(DRAW, options).bytes < 1_000_000 < limits_of(CHAT, options).bytes
    assert limits_of("/nowhere", options).bytes < 1_000_000
    assert limits_of(CHAT, Options(max_body=1000)).bytes == limits_of(DRAW, Options(max_body=1000)).bytes == 1000


def bad_bodies(megabytes):
    """Bodies that would each hold the interpreter for seconds if they were parsed."""
    count = megabytes * 30_000
    yield DRAW, b'{"prompt":"a",' + b",".join(b'"k%d":%d' % (place, place) for place in range(count)) + b"}"
    yield REDRAW, b'{"prompt":"a","codes":[[0]],"cells":[' + b",".join([b"[0,0]"] * count * 4) + b"]}"
    yield CHAT, b'{"messages":[' + b",".join([b'{"role":"user","content":"a"}'] * count) + b"]}"
    yield CHAT, b'{"messages":[{"role":"user","content":"' + b"\\u4e00" * (count * 4) + b'"}]}'
    yield CHAT, b'{"messages":[{"role":"user","content":"' + b"a" * (count * 30) + b'"}]}'
    yield DRAW, b'{"prompt":"a","user":' + b"[" * (count * 20) + b"}"
    part = b'--b\r\ncontent-disposition: form-data; name="%d"\r\n\r\nx\r\n'
    yield "/v1/images/edits", b"".join(part % place for place in range(count // 2)) + b"--b--\r\n"
    yield "/v1/images/edits", part.replace(b"%d", b"n" * count * 20) + b"--b--\r\n"


def attack(running, bodies, clients, seconds):
    """Send such bodies from many clients; returns their statuses and the longest time that /health took."""
    stop, statuses, slowest = threading.Event(), [], 0.0

    def send(number):
        turn = number
        while not stop.is_set():
            path, body = bodies[turn % len(bodies)]
            kind = "multipart/form-data; boundary=b" if path.endswith("edits") else "application/json"
            statuses.append(running.post(path, content=body, headers={"content-type": kind}).status_code)
            turn += 1

    with ThreadPoolExecutor(clients) as pool:
        sending = [pool.submit(send, number) for number in range(clients)]
        try:
            until = time.monotonic() + seconds
            while time.monotonic() < until or len(statuses) < len(bodies):
                started = time.monotonic()
                assert running.client.get("/health").status_code == 200
                slowest = max(slowest, time.monotonic() - started)
                time.sleep(0.02)
        finally:
            stop.set()
        for future in sending:
            future.result()
    return statuses, slowest


@pytest.fixture
def longest_turn(monkeypatch):
    """The longest CPU time of one event loop callback, in seconds. Meaningful even on a busy machine."""
    longest, run = [0.0], Handle._run

    def timed(handle):
        started = time.thread_time()
        run(handle)
        longest[0] = max(longest[0], time.thread_time() - started)

    monkeypatch.setattr(Handle, "_run", timed)
    return longest


def test_bad_clients_do_not_block_others(tiny_model, longest_turn):
    with serving(tiny_model) as running:
        running.post(DRAW, json={"prompt": "a cat"})
        longest_turn[0] = 0.0
        statuses, slowest = attack(running, list(bad_bodies(2)), 8, 1)
        assert set(statuses) <= {400, 413}
        assert longest_turn[0] < 0.1
        assert slowest < 5  # generous, for busy machines; the slow test below is strict
        assert running.post(DRAW, json={"prompt": "a cat"}).is_success


@pytest.mark.slow
def test_eight_clients_of_25_megabytes_do_not_block_others(tiny_model, longest_turn):
    with serving(tiny_model) as running:
        longest_turn[0] = 0.0
        statuses, _ = attack(running, list(bad_bodies(25)), 8, 20)
        assert set(statuses) <= {400, 413}
        assert longest_turn[0] < 0.1


def wire(running):
    return socket.create_connection(("127.0.0.1", int(running.url.rpartition(":")[2])), timeout=20)


def test_unfinished_heads_and_dripping_bodies_time_out(tiny_model):
    with serving(tiny_model, stall_s=0.5) as running:
        silent, half, again = wire(running), wire(running), wire(running)
        half.sendall(b"POST /health HTTP/1.1\r\nhost: loc")
        again.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        answer = b""
        while b'"ok"}' not in answer:  # head and body may arrive separately
            answer += again.recv(10_000)
        assert b" 200 " in answer
        again.sendall(b"GET /hea")
        for connection in (silent, half, again):
            with connection:
                assert connection.recv(1000) == b""
        drip = wire(running)
        drip.sendall(b"POST /v1/images/generations HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n")
        started, answer = time.monotonic(), b""
        drip.settimeout(0.1)
        while not answer and time.monotonic() - started < 20:
            drip.sendall(b" ")
            try:
                answer = drip.recv(10_000)
            except TimeoutError:
                continue
        drip.close()
        assert b" 408 " in answer


def test_bodies_in_tiny_chunks_are_refused(server):
    head = b"POST /v1/images/generations HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n"
    with wire(server) as connection:
        connection.sendall(head + b"content-type: application/json\r\n\r\n" + b"1\r\n \r\n" * 30_000)
        assert b" 400 " in connection.recv(10_000)
    body = json.dumps({"prompt": "a cat"}).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (1, body[place : place + 1]) for place in range(len(body))) + b"0\r\n\r\n"
    with wire(server) as connection:
        connection.sendall(head + b"content-type: application/json\r\n\r\n" + chunks)
        assert b" 200 " in connection.recv(10_000)


def test_too_many_large_bodies_at_once_are_refused(tiny_model):
    with serving(tiny_model, max_body=2_000_000, stall_s=20) as running:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2000000\r\n\r\n"
        connections = []
        for _ in range(8):
            connections.append(wire(running))
            connections[-1].sendall(head + b'{"a":"' + b"A" * 1_900_000)
        deadline = time.monotonic() + 20
        while running.service.body_memory.in_use < 8 * 1_900_000 and time.monotonic() < deadline:
            time.sleep(0.01)
        body = b'{"a":"' + b"A" * 1_900_000 + b'"}'
        refused = running.post(CHAT, content=body, headers=JSON)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "busy")
        assert running.post(DRAW, json={"prompt": "a cat"}).is_success
        for connection in connections:
            connection.close()
        while running.service.body_memory.in_use and time.monotonic() < deadline:
            time.sleep(0.01)
        assert running.service.body_memory.in_use == 0
