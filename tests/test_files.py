"""Files are written whole or not at all, whenever the user interrupts."""

import sys

import pytest

from lantu import errors, files


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
