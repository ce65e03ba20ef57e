"""Files are written whole or not at all, whenever the user interrupts."""

import os
import sys

import pytest

from lantu import errors, files
from lantu.models import hub


def interrupted_at(line, write):
    """Run ``write`` with a Ctrl-C at the ``line``-th line that runs in ``lantu.files``; how many lines ran."""
    ran = 0

    def trace(frame, event, _):
        nonlocal ran
        if frame.f_code.co_filename != files.__file__:
            return None
        if event == "line":
            ran += 1
            if ran == line:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        write()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
    return ran


def test_an_interrupt_at_any_line_leaves_the_old_file_or_the_new(tmp_path):
    path = tmp_path / "a.txt"
    lines = interrupted_at(0, lambda: files.write_text(path, "old"))
    assert lines > 8
    seen = set()
    for line in range(1, lines + 1):
        files.write_text(path, "old")
        interrupted_at(line, lambda: files.write_text(path, "new"))
        assert list(tmp_path.iterdir()) == [path]
        seen.add(path.read_text())
    assert seen == {"old", "new"}


def test_a_place_that_cannot_be_written_to_is_told_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    began = False
    with pytest.raises(errors.DiskError, match="can't write"), files.replacing(tmp_path / "file" / "a.txt"):
        began = True
    with pytest.raises(errors.DiskError, match="too long"), files.replacing(tmp_path / ("a" * 250)):
        began = True
    assert not began
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


FOLDER_KIND = files.FolderKind(
    "a box", ("box.json",), ("box.json", "parts/part-?.bin", "README.md"), ("made_by", "lantu")
)


def make_box(folder, content="old"):
    (folder / "parts").mkdir(parents=True)
    (folder / "box.json").write_text('{"made_by": "lantu"}')
    (folder / "parts" / "part-1.bin").write_text(content)


def replace_box(folder, content="new"):
    with files.replacing_folder(folder, FOLDER_KIND) as temporary:
        make_box(temporary, content)


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")
    }


def test_a_folder_of_its_own_sort_is_replaced(tmp_path):
    replace_box(tmp_path / "made" / "here")
    (tmp_path / "empty").mkdir()
    replace_box(tmp_path / "empty")
    make_box(tmp_path / "old")
    (tmp_path / "old" / "parts" / ".part-1.0123456789abcdef.bin").write_text("left by a kill")
    replace_box(tmp_path / "old")
    for name in ("made/here", "empty", "old"):
        assert (tmp_path / name / "parts" / "part-1.bin").read_text() == "new"
        assert sorted(tree(tmp_path / name)) == ["box.json", "parts", "parts/part-1.bin"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "made", "old"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda box: (box / "thesis.txt").write_text("thesis"),
        lambda box: (box / "parts" / "notes.bin").write_text("thesis"),
        lambda box: (box / ".git").mkdir() or (box / ".git" / "HEAD").write_text("ref"),
        lambda box: (box / "deep" / "parts").mkdir(parents=True) or (box / "deep/parts/part-1.bin").write_text(""),
        lambda box: (box / "box.json").unlink(),
        lambda box: (box / "box.json").write_text('{"made_by": "another"}'),
        lambda box: (box / "box.json").write_text("[" * 100_000),
        lambda box: (box / "parts" / "part-2.bin").symlink_to("/etc/hostname"),
        lambda box: (box / "more").symlink_to(box.parent),
    ],
)
def test_a_folder_with_anything_else_in_it_stays(tmp_path, spoil):
    box = tmp_path / "box"
    make_box(box)
    spoil(box)
    before, began = tree(box), False
    with pytest.raises(errors.DiskError, match="choose another folder"), files.replacing_folder(box, FOLDER_KIND):
        began = True
    assert (began, tree(box)) == (False, before)
    assert not files.discard(box, FOLDER_KIND)
    assert tree(box) == before


def test_what_comes_into_a_folder_during_the_work_stays(tmp_path):
    box = tmp_path / "box"
    make_box(box)

    def work():
        with files.replacing_folder(box, FOLDER_KIND) as temporary:
            make_box(temporary, "new")
            (box / "thesis.txt").write_text("thesis")

    with pytest.raises(errors.DiskError, match=r"thesis\.txt"):
        work()
    assert (box / "parts" / "part-1.bin").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["box"]


def test_a_link_to_a_folder_is_followed_and_stays_a_link(tmp_path):
    make_box(tmp_path / "elsewhere")
    (tmp_path / "box").symlink_to("elsewhere")
    replace_box(tmp_path / "box")
    assert (tmp_path / "box").is_symlink()
    assert (tmp_path / "elsewhere" / "parts" / "part-1.bin").read_text() == "new"
    (tmp_path / "elsewhere" / "thesis.txt").write_text("thesis")
    with pytest.raises(errors.DiskError, match="choose another"):
        replace_box(tmp_path / "box")


def test_files_and_the_folder_where_one_stands_are_not_replaced_by_a_folder(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("thesis")
    with pytest.raises(errors.DiskError, match="is a file"):
        replace_box(tmp_path / "file")
    make_box(tmp_path / "box")
    monkeypatch.chdir(tmp_path / "box" / "parts")
    for place in (".", "..", tmp_path / "box"):
        with pytest.raises(errors.DiskError, match="your working directory"):
            replace_box(place)
    with pytest.raises(errors.DiskError, match=r"choose another|mount point|your working directory"):
        replace_box("/")
    assert (tmp_path / "box" / "parts" / "part-1.bin").read_text() == "old"


def test_a_file_never_takes_the_place_of_a_folder_or_a_device(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(errors.DiskError, match="is a folder: give a file"):
        files.write_text(tmp_path / "folder", "text")
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    files.write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    files.write_text(pipe, "through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert pipe.is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "link.txt", "pipe", "real.txt"]


def test_an_interrupt_at_any_line_leaves_the_old_folder_or_the_new(tmp_path):
    box = tmp_path / "box"

    def begin():
        if box.exists():
            assert files.discard(box, FOLDER_KIND)
        make_box(box)

    begin()
    lines, seen = interrupted_at(0, lambda: replace_box(box)), set()
    for line in range(1, lines + 1):
        begin()
        interrupted_at(line, lambda: replace_box(box))
        assert FOLDER_KIND.foreign(box) is None
        seen.add((box / "parts" / "part-1.bin").read_text())
    assert seen == {"old", "new"}


def test_without_a_home_there_is_no_cache_but_nothing_breaks(monkeypatch):
    for name in ("HOME", "LANTU_CACHE", "XDG_CACHE_HOME", "LANTU_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda _: {}[0])  # as for a user that the system doesn't know
    with pytest.raises(errors.DiskError, match="set LANTU_CACHE"):
        files.cache_dir()
    assert str(files.expand("~/a")) == "~/a"
    assert hub.find("lantu-emoji").name == "lantu-emoji"
    assert hub.DEFAULT in [folder.name for folder in hub.every()]
