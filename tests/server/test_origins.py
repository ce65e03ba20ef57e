"""Which pages may use the server, and the headers that browsers check."""

import pytest
from running import serving
from starlette.datastructures import Headers

from lantu.errors import LantuError
from lantu.server.http.errors import ApiError
from lantu.server.http.origins import Origins, check_origins
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
def test_hosts_and_origins(host, origin, status):
    headers = {"host": host} | ({} if origin is None else {"origin": origin})
    refusal = 0
    try:
        Origins(Options(origins=(PAGE,))).check(Headers(headers))
    except ApiError as problem:
        refusal = problem.status
    assert refusal == status


@pytest.mark.parametrize(
    "text", ["*", "example.com", "https://", "https://example.com/page", "null", "https://[", "a b"]
)
def test_a_bad_origin_is_reported_at_start(text):
    with pytest.raises(LantuError):
        check_origins([text])
    assert check_origins(["https://example.com/"]) == ("https://example.com",)


def test_malformed_headers_are_the_clients_fault(server):
    for headers in ({"host": "["}, {"origin": "http://["}, {"host": "localhost:x"}):
        answer = server.client.get("/health", headers=headers)
        assert answer.status_code in (400, 403)
        assert answer.json()["error"]["type"] in ("invalid_request_error", "permission_error")


def test_allowed_pages_can_read_all_answers(tiny_model):
    with serving(tiny_model, origins=(PAGE,), keys=("one",)) as running:
        preflight = {"origin": PAGE, "access-control-request-method": "POST"}
        # OpenAI's client sends these.
        preflight["access-control-request-headers"] = "authorization,content-type,x-stainless-lang"
        allowed = running.client.options(DRAW, headers=preflight | {"access-control-request-private-network": "true"})
        assert allowed.status_code == 204
        assert allowed.headers["access-control-allow-origin"] == PAGE
        assert allowed.headers["access-control-allow-headers"] == preflight["access-control-request-headers"]
        assert allowed.headers["access-control-allow-private-network"] == "true"
        assert "POST" in allowed.headers["access-control-allow-methods"]
        assert "access-control-allow-private-network" not in running.client.options(DRAW, headers=preflight).headers
        key = {"authorization": "Bearer one"}
        for headers, body, status in (({}, {"prompt": "a"}, 401), (key, {"prompt": "a"}, 200), (key, {"n": 99}, 400)):
            answer = running.post(DRAW, json=body, headers={"origin": PAGE} | headers)
            assert answer.status_code == status
            assert answer.headers["access-control-allow-origin"] == PAGE
            assert "retry-after" in answer.headers["access-control-expose-headers"]
            assert "Origin" in answer.headers["vary"]
        without_origin = running.client.get("/health")
        assert "access-control-allow-origin" not in without_origin.headers
        assert "Origin" in without_origin.headers["vary"]  # otherwise a cache may give one page's answer to another
        assert without_origin.headers["cross-origin-resource-policy"] == "cross-origin"
        from_evil = preflight | {"origin": "https://evil.example"}
        assert running.client.options(DRAW, headers=from_evil).status_code == 403
