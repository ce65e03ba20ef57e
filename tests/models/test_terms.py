"""Terms of published weights: said once per machine, and accepted first where a family asks for it."""

import json
from dataclasses import replace

import pytest

from lantu.models import registry

UNCLEAR = "nobody says what the weights are licensed for"


@pytest.fixture
def unclear(monkeypatch):
    """The tiny model's family becomes one whose terms must be accepted."""
    family = replace(registry.FAMILIES[0], must_accept=UNCLEAR)
    monkeypatch.setattr(registry, "FAMILIES", (family, *registry.FAMILIES[1:]))
    monkeypatch.delenv("LANTU_ACCEPT", raising=False)


def test_a_family_is_off_until_its_terms_are_accepted(lantu, unclear):
    code, out, err = lantu("draw", "a cat", "-o", "a.png", "--json")
    assert (code, out) == (2, "")
    assert err == (
        f"lantu: models of the family lantu are off until you accept their terms: {UNCLEAR}: "
        "lantu models accept lantu, or set LANTU_ACCEPT=lantu\n"
    )
    assert f"lantu is off until you accept: {UNCLEAR}: lantu models accept lantu" in lantu("models")[1]
    assert lantu("info")[0] == 0  # reading about it is free
    assert lantu("models", "accept", "lantu")[:2] == (0, f"accepted: {UNCLEAR}\n")
    assert lantu("draw", "a cat", "-o", "a.png")[0] == 0
    assert "lantu is off" not in lantu("models")[1]


def test_the_environment_accepts(lantu, unclear, monkeypatch):
    monkeypatch.setenv("LANTU_ACCEPT", "tar, lantu")
    assert lantu("draw", "a cat", "-o", "a.png")[0] == 0


def test_changed_terms_are_asked_again(lantu, unclear, monkeypatch):
    lantu("models", "accept", "lantu")
    changed = replace(registry.FAMILIES[0], must_accept="other terms")
    monkeypatch.setattr(registry, "FAMILIES", (changed, *registry.FAMILIES[1:]))
    assert "other terms" in lantu("draw", "a cat", "-o", "a.png")[2]


def test_accepting_what_asks_for_nothing(lantu):
    assert lantu("models", "accept", "janus")[:2] == (0, "janus asks for nothing to be accepted\n")
    assert lantu("models", "accept", "nothing")[0] == 2
    assert "only tar has terms to accept" in lantu("models", "accept", "nothing")[2]


def test_a_notice_is_said_once_per_machine_on_stderr(lantu, monkeypatch, tmp_path):
    family = replace(registry.FAMILIES[0], notice="for research alone")
    monkeypatch.setattr(registry, "FAMILIES", (family, *registry.FAMILIES[1:]))
    _, out, err = lantu("draw", "a cat", "-o", "a.png", "--json")
    assert err == "lantu: lantu: for research alone\n"
    assert json.loads(out)["files"] == ["a.png"]
    assert lantu("draw", "a cat", "-o", "a.png")[2] == ""
    (tmp_path / "cache").rename(tmp_path / "elsewhere")
    (tmp_path / "cache").write_text("a file, so that no mark can be kept")
    assert lantu("draw", "a cat", "-o", "a.png")[2] == "lantu: lantu: for research alone\n"
