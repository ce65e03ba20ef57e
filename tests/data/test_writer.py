import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fake_data
import pytest
from fake_data import write_numbers

from lantu.data.shards import Shards, read_index, shard_path
from lantu.errors import DataError, DiskError


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def children(pid: int) -> list[int]:
    listing = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listing.read_text().split()] if listing.exists() else []


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds: float = 60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def test_one_process_and_two_write_the_same(tmp_path):
    alone, together = write_numbers(tmp_path / "alone"), write_numbers(tmp_path / "together", workers=2)
    assert contents(alone) == contents(together)
    shards = Shards(alone, "train")
    assert [int(shards.image(i)[0, 0, 0]) for i in range(12)] == list(range(12))
    assert read_index(alone)["splits"] == {"train": {"count": 12, "shards": 4}, "val": {"count": 1, "shards": 1}}


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_a_build_that_was_stopped_goes_on(tmp_path, sign):
    folder = tmp_path / "data"
    path = os.pathsep.join(sys.path)
    process = subprocess.Popen(
        [sys.executable, fake_data.__file__, str(folder)],
        env=os.environ | {"PYTHONPATH": path},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    wait_until(lambda: any(folder.glob("train-*.tar")))
    workers = children(process.pid)
    assert len(workers) >= 2
    # Ctrl-C reaches every process of the terminal; a kill reaches one.
    os.killpg(process.pid, sign) if sign == signal.SIGINT else process.kill()
    _, errors = process.communicate(timeout=60)
    wait_until(lambda: not any(map(running, workers)))
    if sign == signal.SIGINT:
        assert not [name for name in contents(folder) if name.startswith(".")]
        assert errors.count(b"Traceback") == 1  # the parent's own; the command line turns it into silence
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("train-*.tar")}
    assert 0 < len(kept) < 4
    with pytest.raises(DataError, match="the build has not ended"):
        Shards(folder, "train")
    write_numbers(folder)
    assert contents(folder) == contents(write_numbers(tmp_path / "whole"))
    assert kept == {path: path.stat().st_mtime_ns for path in kept}


def test_a_finished_build_is_left_alone_and_a_lost_tar_made_again(tmp_path):
    folder = write_numbers(tmp_path / "data")
    before = contents(folder)
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    write_numbers(folder)
    assert times == {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    shard_path(folder, "train", 2).unlink()
    assert contents(write_numbers(folder)) == before


def test_what_cannot_be_read_is_counted_and_named_even_after_a_stop(tmp_path):
    folder = write_numbers(tmp_path / "data", broken=(1, 3, 4, 5))
    index = read_index(folder)
    assert index["skipped"] == [{"file": f"{number}.jpg", "reason": "broken"} for number in (1, 3, 4, 5)]
    assert index["splits"]["train"]["count"] == 8
    assert [Shards(folder, "train").sample(i).key for i in range(3)] == ["fake.0", "fake.2", "fake.6"]
    assert sorted(path.suffix for path in folder.iterdir()) == [".json", ".npy", ".npy"] + 5 * [".tar"]
    assert write_numbers(folder, broken=(1, 3, 4, 5)) == folder
    assert read_index(folder) == index


def test_data_of_other_settings_is_not_mixed(tmp_path):
    folder = write_numbers(tmp_path / "data")
    before = contents(folder)
    with pytest.raises(DataError, match=r"other settings \(digest\): delete it"):
        write_numbers(folder, digest="b")
    assert contents(folder) == before


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.doc").write_text("three years")
    with pytest.raises(DataError, match="other files"):
        write_numbers(tmp_path)
    assert contents(tmp_path) == {"thesis.doc": b"three years"}


def test_nothing_to_train_on_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"no picture for training: look at the first: 0\.jpg \(broken\)"):
        write_numbers(tmp_path / "data", broken=tuple(range(12)))


def test_a_place_that_cannot_be_written_is_a_disk_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="can't write"):
        write_numbers(tmp_path / "file" / "data")


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
def test_a_disk_that_fills_up_is_named_and_nothing_half_written_stays(tmp_path):
    import resource

    folder = tmp_path / "data"
    done = subprocess.run(
        [sys.executable, fake_data.__file__, str(folder)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr.splitlines()[-1].startswith(f"lantu.errors.DiskError: can't write {folder}")
    assert list(contents(folder)) == ["index.json"]
    assert json.loads((folder / "index.json").read_text())["splits"] == {}
