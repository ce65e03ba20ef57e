"""The options of ``lantu serve --ray`` that need no cluster, and a machine without Ray."""

import importlib.util

import pytest


@pytest.mark.parametrize(
    "options",
    [["--update"]]
    + [[name, "2"] for name in ("--drafters", "--renderers", "--replica-cpus", "--replica-gpus", "--ray-address")],
)
def test_options_of_a_cluster_need_ray(lantu, options):
    code, out, err = lantu("serve", *options)
    assert (code, out) == (2, "")
    assert err == "lantu: this machine alone has no replicas: add --ray\n"


@pytest.mark.parametrize("more", [[], ["--update"]])
def test_without_ray_there_is_one_line(lantu, monkeypatch, more):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else find(name, *rest))
    code, out, err = lantu("serve", "--ray", *more)
    assert (code, out) == (2, "")
    assert err == "lantu: Ray is not installed: pip install 'lantu[ray]'\n"


@pytest.mark.parametrize("count", ["0", "3-1", "many"])
def test_a_wrong_number_of_replicas_is_refused_before_anything_starts(lantu, count):
    code, _, err = lantu("serve", "--ray", "--drafters", count)
    assert code == 2
    assert err.startswith(f"lantu: --drafters can't be '{count}': give a number")
