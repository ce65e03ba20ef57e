import io
import os
import stat
import tarfile

import pytest

from lantu.data import packages
from lantu.errors import DataError


@pytest.fixture
def tarball(tmp_path):
    path = tmp_path / "toy-1.0.0.tgz"
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("package/art.svg")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"<svg"))
    return path


@pytest.fixture
def npm(tmp_path, tarball, monkeypatch):
    """An npm that notes its arguments and hands out the tarball."""
    program = tmp_path / "bin" / "npm"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$@" >> "{tmp_path}/calls"\ncp "{tarball}" "${{@: -1}}"\n'.replace("/bin/sh", "/bin/bash")
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    pin(monkeypatch, packages.integrity(tarball))
    return program


def pin(monkeypatch, integrity):
    monkeypatch.setattr(packages, "pins", lambda: {"@a/toy": {"version": "1.0.0", "integrity": integrity}})


def test_a_package_is_fetched_once(npm, tmp_path):
    for _ in range(2):
        folder = packages.fetch("@a/toy", tmp_path / "cache")
        assert (folder / "art.svg").read_bytes() == b"<svg"
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 1
    assert "@a/toy@1.0.0" in calls[0]


def test_a_package_with_other_contents_is_refused(npm, tmp_path, monkeypatch):
    pin(monkeypatch, "sha512-" + "A" * 86 + "==")
    with pytest.raises(DataError, match="not the package lantu knows"):
        packages.fetch("@a/toy", tmp_path / "cache")
    assert not list((tmp_path / "cache" / "npm").iterdir())


def test_the_reason_of_a_failed_download_is_told(npm, tmp_path):
    npm.write_text("#!/bin/sh\necho first >&2\necho 'E404 no such package' >&2\nexit 1\n")
    with pytest.raises(DataError, match="E404 no such package"):
        packages.fetch("@a/toy", tmp_path / "cache")


def test_without_npm_one_is_told_to_install_it(npm, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"npm is not installed.*Node\.js"):
        packages.fetch("@a/toy", tmp_path / "cache")


def test_every_style_has_a_pinned_package():
    from lantu.data.styles import STYLES

    for style in STYLES.values():
        pin = packages.pins()[style.package]
        assert pin["version"]
        assert pin["integrity"].startswith("sha512-")


@pytest.mark.network
def test_a_real_package_matches_its_pin(tmp_path):
    folder = packages.fetch("@iconify-json/fxemoji", tmp_path)
    assert (folder / "icons.json").is_file()
