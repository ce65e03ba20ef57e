"""What is refused before the server listens."""

import socket

import pytest


@pytest.mark.parametrize("command", ["studio", "serve"])
def test_a_model_that_cant_be_opened_is_refused_before_a_browser_opens(lantu, monkeypatch, tmp_path, command):
    monkeypatch.setattr("webbrowser.open", lambda *_: pytest.fail("a browser opens"))
    monkeypatch.setattr("lantu.server.run.listen", lambda *_: pytest.fail("the server listens"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "a/b").mkdir(parents=True)
    for words, said in (
        (["--model", "nope"], "no model called nope"),
        (["--model", "empty"], "it lacks model_index.json"),
        (["--model", "a/b"], "it lacks model_index.json"),  # a folder, though it looks like an id of the hub
        (["--backend", "nope"], "nope"),
    ):
        code, out, err = lantu(command, "--port", 0, *words)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert said in err


def test_a_model_of_the_hub_is_left_to_the_worker(lantu, monkeypatch):
    fetched = []
    monkeypatch.setattr("lantu.models.hub.fetch", lambda *asked: fetched.append(asked))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = lantu("serve", "--model", "owner/name", "--port", taken.getsockname()[1])
    assert (code, fetched) == (2, [])
    assert "can't listen at" in err
