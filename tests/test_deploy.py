"""What deploy/ holds can be parsed, and each lantu command in it is one that lantu's own parser takes."""

import json
import re
import shlex
from pathlib import Path

import pytest
import typer

from lantu import cli

yaml = pytest.importorskip("yaml")
DEPLOY = Path(__file__).parents[1] / "deploy"


def entrypoint():
    line = next(line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if line.startswith("ENTRYPOINT "))
    return json.loads(line.removeprefix("ENTRYPOINT "))


def manifests():
    return [each for each in yaml.safe_load_all((DEPLOY / "kuberay.yaml").read_text()) if each]


def composed():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["lantu"]


def containers():
    """All containers of the manifests."""
    for each in manifests():
        spec = each["spec"]
        groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]] if each["kind"] == "RayCluster" else [spec]
        for group in groups if each["kind"] in ("RayCluster", "Deployment") else ():
            yield from group["template"]["spec"]["containers"]


def commands():
    """(where, words) of every lantu command in the folder."""
    yield "Dockerfile", entrypoint()
    yield "compose.yaml", [*entrypoint(), *composed()["command"]]
    service = (DEPLOY / "lantu.service").read_text()
    yield "lantu.service", ["lantu", *shlex.split(re.search(r"^ExecStart=\S+/lantu (.*)$", service, re.M)[1])]
    for container in containers():
        for text in container.get("args", ()):
            yield "kuberay.yaml", shlex.split(text[text.index("lantu serve") :])
    for found in re.findall(r"-- (lantu .*)$", (DEPLOY / "README.md").read_text(), re.M):
        yield "README.md", shlex.split(found)


def parse(words):
    """Parse a command as the command line would, without running it; returns its options by name."""
    words = words[1:]
    command = typer.main.get_command(cli.application(words))
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    cli.check_values(command, words)
    return command.make_context("lantu", words).params


def test_there_are_commands_in_every_file():
    assert {where for where, _ in commands()} == {path.name for path in DEPLOY.iterdir()} - {"yamllint.yaml"}


@pytest.mark.parametrize(
    ("where", "words"), list(commands()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_lantu_takes_every_command(where, words):
    if where == "kuberay.yaml" and "ray" not in parse(["lantu", "serve"]):
        pytest.skip("lantu serve --ray is not there")
    options = parse(words)
    if "serve" in words and where != "lantu.service":
        assert options["host"] == "0.0.0.0"


def test_a_misspelt_option_would_be_found():
    for words in (["lantu", "serve", "--prot", "1"], ["lantu", "draw", "--prompts", "--ray"]):
        with pytest.raises(Exception, match=r"--prot|--prompts"):
            parse(words)


def test_ports_and_times_agree():
    options = parse([*entrypoint(), *composed()["command"]])
    assert composed()["ports"] == [f"127.0.0.1:{options['port']}:{options['port']}"]
    assert float(composed()["stop_grace_period"].removesuffix("s")) > options["drain"]
    assert f"EXPOSE {options['port']}\n" in (DEPLOY / "Dockerfile").read_text()
    service = next(each for each in manifests() if each["kind"] == "Service")
    server = next(each for each in manifests() if each["kind"] == "Deployment")
    spec = server["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    words = shlex.split(container["args"][0])
    assert container["ports"] == [{"containerPort": int(words[words.index("--port") + 1]), "name": "http"}]
    assert service["spec"]["ports"][0]["targetPort"] == "http"
    assert service["spec"]["selector"] == server["spec"]["template"]["metadata"]["labels"]
    assert spec["terminationGracePeriodSeconds"] > float(words[words.index("--drain") + 1])


def test_the_manifests_agree_with_one_another():
    cluster = next(each for each in manifests() if each["kind"] == "RayCluster")
    server = next(each for each in manifests() if each["kind"] == "Deployment")["spec"]["template"]["spec"]
    assert f"--address={cluster['metadata']['name']}-head-svc:6379 " in server["containers"][0]["args"][0]
    assert len({container["image"] for container in containers()}) == 1
    claim = next(each for each in manifests() if each["kind"] == "PersistentVolumeClaim")["metadata"]["name"]
    pods = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    for spec in (server, *(each["template"]["spec"] for each in pods)):
        (volume,) = spec["volumes"]
        assert volume["persistentVolumeClaim"] == {"claimName": claim}
        assert spec["containers"][0]["volumeMounts"] == [{"name": volume["name"], "mountPath": "/models"}]
