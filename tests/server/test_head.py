"""HEAD asks what GET answers, without the body: monitors and proxies ask so whether a server is there."""

import pytest


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/metrics", "/v1/models", "/studio/main.js"])
def test_head_answers_like_get_without_a_body(server, path):
    got, asked = server.client.get(path), server.client.head(path)
    assert (got.status_code, asked.status_code) == (200, 200)
    assert asked.content == b""
    assert asked.headers["content-type"] == got.headers["content-type"]
    if path != "/metrics":  # which counts these requests
        assert asked.headers["content-length"] == str(len(got.content))


@pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), ("/v1/images/generations", 405)])
def test_head_is_refused_where_get_is(server, path, status):
    asked = server.client.head(path)
    assert (asked.status_code, asked.content) == (status, b"")
