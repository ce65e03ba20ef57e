"""Which pages may use the server, and what browsers are told."""

import pytest
from running import serving
from starlette.datastructures import Headers

from lantu.errors import LantuError
from lantu.server.http.errors import ApiError
from lantu.server.http.origins import Origins, checked
from lantu.server.options import Options

DRAW = "/v1/images/generations"
PAGE = "https://good.example"


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("localhost:8000", None, 0),
        ("LOCALHOST", None, 0),
        ("[::1]:8000", None, 0),
        ("127.0.0.1", "http://127.0.0.1", 0),
        ("127.0.0.1:80", "http://127.0.0.1", 0),
        ("localhost:8000", "http://localhost:8000", 0),
        ("localhost:8000", "http://localhost:8001", 403),
        ("localhost:8000", "null", 403),
        ("localhost:8000", "http://[", 403),
        ("localhost:8000", "http://localhost:8000/page", 403),
        ("localhost:8000", "", 403),
        ("localhost:8000", PAGE, 0),
        ("localhost:8000", f"{PAGE}:443", 0),
        ("localhost:8000", "HTTPS://Good.Example", 0),
        ("localhost:8000", "http://good.example", 403),
        ("evil.example", None, 403),
        ("", None, 403),
        ("[", None, 400),
        ("[::1", None, 400),
        ("localhost:port", None, 400),
        ("localhost:99999", None, 400),
        ("evil@localhost", None, 400),
        ("localhost/evil", None, 400),
        ("local host", None, 400),
    ],
)
def test_who_may_come(host, origin, status):
    headers = {"host": host} | ({} if origin is None else {"origin": origin})
    found = 0
    try:
        Origins(Options(origins=(PAGE,))).check(Headers(headers))
    except ApiError as problem:
        found = problem.status
    assert found == status


@pytest.mark.parametrize(
    "text", ["*", "example.com", "https://", "https://example.com/page", "null", "https://[", "a b"]
)
def test_an_origin_that_is_none_is_said_at_the_start(text):
    with pytest.raises(LantuError):
        checked([text])
    assert checked(["https://example.com/"]) == ("https://example.com",)


def test_malformed_headers_are_no_fault_of_ours(server):
    for headers in ({"host": "["}, {"origin": "http://["}, {"host": "localhost:x"}):
        answer = server.client.get("/health", headers=headers)
        assert answer.status_code in (400, 403)
        assert answer.json()["error"]["type"] in ("invalid_request_error", "permission_error")


def test_pages_that_are_let_in_can_read_all_answers(tiny_model):
    with serving(tiny_model, origins=(PAGE,), keys=("one",)) as running:
        asked = {"origin": PAGE, "access-control-request-method": "POST"}
        asked["access-control-request-headers"] = "authorization,content-type,x-stainless-lang"  # openai's client
        allowed = running.client.options(DRAW, headers=asked | {"access-control-request-private-network": "true"})
        assert allowed.status_code == 204
        assert allowed.headers["access-control-allow-origin"] == PAGE
        assert allowed.headers["access-control-allow-headers"] == asked["access-control-request-headers"]
        assert allowed.headers["access-control-allow-private-network"] == "true"
        assert "POST" in allowed.headers["access-control-allow-methods"]
        assert "access-control-allow-private-network" not in running.client.options(DRAW, headers=asked).headers
        key = {"authorization": "Bearer one"}
        for headers, body, status in (({}, {"prompt": "a"}, 401), (key, {"prompt": "a"}, 200), (key, {"n": 99}, 400)):
            answer = running.post(DRAW, json=body, headers={"origin": PAGE} | headers)
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == PAGE
            assert "retry-after" in answer.headers["access-control-expose-headers"]
            assert "Origin" in answer.headers["vary"]
        own = running.client.get("/health")
        assert "access-control-allow-origin" not in own.headers
        assert "Origin" in own.headers["vary"]  # or a cache gives one page's answer to another
        assert own.headers["cross-origin-resource-policy"] == "cross-origin"
        other = asked | {"origin": "https://evil.example"}
        assert running.client.options(DRAW, headers=other).status_code == 403
