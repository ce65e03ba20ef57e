"""A small Ray cluster draws and tokenizes what this process would."""

import json
import os
import signal
import subprocess
import sys
import time

import jobs_on_ray
import pytest

from lantu.errors import DataError, LantuError
from lantu.recipes.bulk.cluster import Cluster

pytestmark = pytest.mark.filterwarnings("ignore")  # of Ray and pandas


def tars(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.tar"))}


@pytest.mark.slow
def test_results_come_in_order_and_errors_as_they_are(ray_address):
    done = list(Cluster(workers=2).each(jobs_on_ray.zeros, {"ends": 3}, [[n, n] for n in range(6)], ordered=True))
    assert done == [([n, n], bytes(n) + b"\0\0\0") for n in range(6)]
    with pytest.raises(DataError, match="seven is odd: take eight") as problem:
        list(Cluster(workers=1).each(jobs_on_ray.zeros, {"ends": 0}, [[7, 7], [8, 8]]))
    assert "jobs_on_ray.py" in problem.value.__notes__[0]
    with pytest.raises(RuntimeError, match="KeyError: 'ends'"):
        list(Cluster(workers=1).each(jobs_on_ray.zeros, {}, [[1, 1]]))
    with pytest.raises(LantuError, match="has no GPU"):
        list(Cluster().each(jobs_on_ray.zeros, {"ends": 0}, [[1, 1]], device="cuda"))


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced(ray_address, tmp_path):
    marker = str(tmp_path / "died")
    done = Cluster(workers=1).each(jobs_on_ray.dying_once, marker, range(3))
    assert sorted(done) == [(0, b"0"), (1, b"1"), (2, b"2")]
    assert os.path.exists(marker)


@pytest.mark.slow
def test_a_killed_driver_goes_on(lantu, tmp_path, tiny_model, ray_address):
    (tmp_path / "p.txt").write_text("".join(f"a cat and {i} dogs\n" for i in range(60)))
    options = ("--prompts", str(tmp_path / "p.txt"), "--seed", "1", "--per-shard", "8", "--together", "2")
    options += ("--model", str(tiny_model), "--steps", "20")
    assert lantu("draw", *options, "-o", "whole")[0] == 0
    command = [sys.executable, "-m", "lantu", "draw", *options, "-o", str(tmp_path / "out"), "--ray", "--workers", "2"]
    process = subprocess.Popen([*command, "--ray-address", ray_address], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 600  # a busy machine takes minutes
    while not tars(tmp_path / "out") and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.stderr.read()
    process.stderr.close()
    code, out, err = lantu("draw", *options, "-o", "out", "--ray", "--workers", "2", "--json")
    assert code == 0, err
    assert json.loads(out)["drawn"] < 60
    assert tars(tmp_path / "out") == tars(tmp_path / "whole")
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == ["", ".json", *[".tar"] * 8]


@pytest.mark.slow
def test_captions_go_on_after_a_kill(lantu, tmp_path, tiny_model, ray_address):
    import numpy as np
    from PIL import Image

    (tmp_path / "pictures").mkdir()
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8)):
        Image.fromarray(pixels).save(tmp_path / f"pictures/{number:03}.png")
    (tmp_path / "pictures/torn.png").write_bytes(b"torn")
    options = ("pictures", "--lang", "both", "--together", "1", "--model", str(tiny_model))
    assert lantu("data", "caption", *options, "-o", "whole.jsonl")[0] == 0
    command = [sys.executable, "-m", "lantu", "data", "caption", *options, "-o", "out.jsonl", "--ray", "--workers", "2"]
    process = subprocess.Popen([*command, "--ray-address", ray_address], stderr=subprocess.PIPE, text=True)
    part, deadline = tmp_path / "out.jsonl.part", time.monotonic() + 600
    while not (part.exists() and part.stat().st_size) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.stderr.read()
    process.stderr.close()
    code, out, err = lantu("data", "caption", *options, "-o", "out.jsonl", "--ray", "--workers", "2", "--json")
    assert code == 0, err
    assert 0 < json.loads(out)["captioned"] < 41
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert not part.exists()


@pytest.mark.slow
def test_codes_are_those_of_one_process(lantu, tmp_path, tiny_model, ray_address):
    import shutil

    import numpy as np
    from PIL import Image

    (tmp_path / "pictures").mkdir()
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (150, 32, 32, 3), np.uint8)):
        Image.fromarray(pixels).save(tmp_path / f"pictures/{number:03}.png")
    assert lantu("data", "build", "folder", "pictures", "-o", "alone", "--size", 32, "--workers", 1)[0] == 0
    shutil.copytree(tmp_path / "alone", tmp_path / "cluster")
    name = json.loads(lantu("data", "tokenize", "alone", "--model", tiny_model, "--json")[1])["codes"]
    path = f"codes-{name}-train"
    codes = np.load(tmp_path / f"alone/{path}.npy")
    # As a run that was killed in its second batch has left it.
    (tmp_path / f"cluster/{path}.part").write_bytes(codes[:70].tobytes() + b"torn")
    shutil.copy(tmp_path / f"alone/codes-{name}.json", tmp_path / "cluster")
    code, out, err = lantu("data", "tokenize", "cluster", "--model", tiny_model, "--ray", "--workers", 2, "--json")
    assert (code, json.loads(out)["codes"]) == (0, name), err
    for split in ("train", "val"):
        alone, made = (tmp_path / f"{folder}/codes-{name}-{split}.npy" for folder in ("alone", "cluster"))
        assert made.read_bytes() == alone.read_bytes()
    assert not list((tmp_path / "cluster").glob("*.part"))


@pytest.mark.slow
def test_a_prompt_that_cannot_be_drawn_is_one_line(lantu, tmp_path, ray_address):
    (tmp_path / "p.txt").write_text("a cat\n" + "𠀀" * 1990)
    code, out, err = lantu("draw", "--prompts", "p.txt", "-o", "out", "--ray", "--workers", 1)
    assert (code, out) == (2, "")
    assert "row 2 of" in err
    assert err.count("\n") == 1
