"""Which application of Ray Serve a server opens, and how one is replaced, without Ray: its answers are given."""

import threading
from types import SimpleNamespace

import pytest
from ray.serve.exceptions import RayServeException
from ray.serve.schema import ApplicationStatus

from lantu.errors import LantuError
from lantu.server.cluster import applications
from lantu.server.cluster.applications import Found, RayApplications
from lantu.server.cluster.settings import Scale, Settings

SETTINGS = Settings("tiny", "d" * 16)
RUNS, FAILED, STARTS = ApplicationStatus.RUNNING, ApplicationStatus.DEPLOY_FAILED, ApplicationStatus.DEPLOYING


class Serve:
    """Ray Serve with some applications; one that starts runs when it is looked at a second time.

    Attributes:
        states: name → status.
        calls: what was done, in order.
    """

    def __init__(self, monkeypatch, **states):
        self.states, self.calls = {f"lantu-{name}": state for name, state in states.items()}, []
        self.starting = set()
        monkeypatch.setattr(applications, "found", self.found)
        monkeypatch.setattr(applications, "deploy", self.deploy)
        monkeypatch.setattr(applications, "about", self.about)
        monkeypatch.setattr(applications, "POLL_S", 0.001)
        opened = SimpleNamespace(model=SimpleNamespace(digest=SETTINGS.digest, name="tiny"))
        monkeypatch.setattr(applications, "open_deployed", lambda app: SimpleNamespace(name=app.name, **vars(opened)))
        monkeypatch.setattr(applications.serve, "delete", self.delete)

    def found(self):
        self.states |= dict.fromkeys(self.starting & self.states.keys(), RUNS)
        self.starting = {name for name, state in self.states.items() if state == STARTS}
        return [Found(name, at, state, "", {}) for at, (name, state) in enumerate(self.states.items())]

    def deploy(self, settings, scale, name=""):
        self.calls.append(("deploy", name))
        self.states[name or "lantu-new"] = STARTS
        return name or "lantu-new"

    def about(self, name):
        assert self.states[name] == RUNS, "only replicas that run can say what they serve"
        return SimpleNamespace(settings=SETTINGS)

    def delete(self, name, _blocking):
        self.calls.append(("delete", name))
        self.states.pop(name)


def test_a_model_that_could_not_be_started_is_no_obstacle(monkeypatch):
    serve = Serve(monkeypatch, broken=FAILED)
    assert RayApplications(SETTINGS, True, None).open(threading.Event()).name == "lantu-new"
    assert serve.calls == [("delete", "lantu-broken"), ("deploy", "")]


def test_the_number_of_replicas_is_changed_once_some_run(monkeypatch):
    serve = Serve(monkeypatch, slow=STARTS)
    assert RayApplications(SETTINGS, True, Scale((2, 2))).open(threading.Event()).name == "lantu-slow"
    assert serve.calls == [("deploy", "lantu-slow")]


def test_a_new_model_that_fails_is_named(monkeypatch):
    serve = Serve(monkeypatch)
    monkeypatch.setattr(serve, "deploy", lambda *which: serve.states.update({"lantu-new": FAILED}) or "lantu-new")
    monkeypatch.setattr(applications, "deploy", serve.deploy)
    with pytest.raises(LantuError, match="could not start lantu-new"):
        RayApplications(SETTINGS, True, None).open(threading.Event())


def test_an_old_model_without_replicas_is_replaced(monkeypatch):
    serve = Serve(monkeypatch, old=ApplicationStatus.UNHEALTHY)

    def results(**how):
        raise RayServeException("no replica")

    call = SimpleNamespace(broadcast=lambda method: SimpleNamespace(results=results))
    monkeypatch.setattr(applications.serve, "get_deployment_handle", lambda stage, name: call)
    assert applications.update(SETTINGS, Scale(), threading.Event()) == "lantu-new"
    assert serve.calls == [("deploy", ""), ("delete", "lantu-old")]


@pytest.mark.parametrize(
    ("address", "environment", "said"),
    [
        ("head:1", "", "no Ray cluster at head:1 \\(nobody answers\\)"),
        (None, "head:2", "no Ray cluster at head:2"),
        (None, "", "Ray can't start a cluster here \\(nobody answers\\)"),
    ],
)
def test_a_cluster_that_cannot_be_had_is_one_line(monkeypatch, address, environment, said):
    def init(**options):
        raise Exception("nobody answers\nand so on")

    monkeypatch.setattr(applications.ray, "init", init)
    monkeypatch.setenv("RAY_ADDRESS", environment)
    with pytest.raises(LantuError, match=said):
        applications.connect(address, Scale())
    if not address and not environment:
        assert applications.connect(None, Scale(), start=False) is False
