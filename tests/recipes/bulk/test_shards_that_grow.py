"""A shard that is cut off anywhere goes on, and ends with the same bytes."""

import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from lantu.errors import DiskError
from lantu.recipes.bulk.shards import Shard

MEMBERS = [[(f"{i}-{k}.bin", bytes([i]) * (300 * i + k)) for k in range(2)] for i in range(4)]
NAMES = [[name for name, _ in group] for group in MEMBERS]


def fill(path, stop=len(MEMBERS)):
    """Add the groups that are missing, up to ``stop``; returns which."""
    with Shard(path).filling(NAMES) as filling:
        added = list(range(filling.done, stop))
        for number in added:
            filling.add(MEMBERS[number])
        if stop < len(MEMBERS):
            raise KeyboardInterrupt
    return added


@pytest.fixture
def whole(tmp_path):
    assert fill(tmp_path / "whole.tar") == [0, 1, 2, 3]
    return (tmp_path / "whole.tar").read_bytes()


def test_a_shard_is_a_tar(tmp_path, whole):
    with tarfile.open(tmp_path / "whole.tar") as tar:
        found = [(member.name, tar.extractfile(member).read()) for member in tar]
        assert {(member.mtime, member.uid, member.uname) for member in tar.getmembers()} == {(0, 0, "")}
    assert found == [member for group in MEMBERS for member in group]
    assert fill(tmp_path / "whole.tar") == []
    assert [path.name for path in tmp_path.iterdir()] == ["whole.tar"]


def test_one_that_was_cut_off_anywhere_goes_on(tmp_path, whole):
    ends = [0]
    for group in MEMBERS:
        ends.append(ends[-1] + sum(512 + -(-len(content) // 512) * 512 for _, content in group))
    path = tmp_path / "cut.tar"
    for size in sorted({*range(0, len(whole), 97), *ends, *(end - 1 for end in ends[1:]), len(whole)}):
        path.unlink(missing_ok=True)
        path.with_suffix(".part").write_bytes(whole[:size])
        there = sum(end <= size for end in ends) - 1
        assert fill(path) == list(range(there, len(MEMBERS))), size
        assert path.read_bytes() == whole, size
        assert not path.with_suffix(".part").exists()


@pytest.mark.parametrize("damage", [b"\0" * 512, b"\xff" * 512, b"other" * 200])
def test_what_is_no_part_of_it_is_overwritten(tmp_path, whole, damage):
    path = tmp_path / "odd.tar"
    path.with_suffix(".part").write_bytes(whole[:1536] + damage)
    fill(path)
    assert path.read_bytes() == whole


def test_an_interrupted_one_keeps_its_groups(tmp_path, whole):
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path / "a.tar", 3)
    assert not (tmp_path / "a.tar").exists()
    assert fill(tmp_path / "a.tar") == [3]
    assert (tmp_path / "a.tar").read_bytes() == whole


def test_of_two_that_fill_it_one_waits(tmp_path, whole):
    with ThreadPoolExecutor(4) as pool:
        added = list(pool.map(fill, [tmp_path / "both.tar"] * 4))
    assert sorted(map(len, added)) == [0, 0, 0, 4]
    assert (tmp_path / "both.tar").read_bytes() == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["both.tar", "whole.tar"]


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="can't write"):
        fill(tmp_path / "file" / "a.tar")
