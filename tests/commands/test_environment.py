"""What the environment refuses is one line and exit code 2: never our fault, and never a loss."""

import errno
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from lantu.commands import terminal
from lantu.commands.options import check_results
from lantu.errors import PromptError
from lantu.images import metadata
from lantu.types import Picture


class Refusing(io.StringIO):
    """A stdout that takes nothing."""

    encoding = "utf-8"

    def __init__(self, number):
        super().__init__()
        self.number = number

    def write(self, text):
        raise OSError(self.number, os.strerror(self.number))


@pytest.fixture
def lantu(lantu):
    """Call the command in an empty folder; gives exit code and stderr."""

    def call(*arguments):
        code, _, err = lantu(*arguments)
        return code, err

    return call


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPIPE, errno.EIO])
@pytest.mark.parametrize("arguments", [["models"], ["models", "--json"], ["info"], ["--help"], ["--version"]])
def test_a_stdout_that_takes_nothing_is_one_line(lantu, monkeypatch, number, arguments):
    monkeypatch.setattr(sys, "stdout", Refusing(number))
    code, err = lantu(*arguments)
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith(f"lantu: can't print to stdout ({os.strerror(number)})")


@pytest.mark.parametrize("more", [[], ["--json"], ["--preview"]])
def test_a_picture_that_is_written_is_named_when_the_report_is_refused(lantu, monkeypatch, more):
    monkeypatch.setattr(sys, "stdout", Refusing(errno.ENOSPC))
    code, err = lantu("draw", "a cat", "-n", 2, "-o", "made/a.png", *more)
    assert (code, err.count("\n")) == (2, 1)
    assert "made/a-1.png, made/a-2.png are written" in err
    assert metadata.read_picture("made/a-2.png").prompt == "a cat"


def test_a_stderr_that_takes_nothing_changes_no_exit_code(lantu, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Refusing(errno.ENOSPC))
    assert lantu("info", "--model", "nothing")[0] == 2
    assert lantu("info")[0] == 0


def test_the_process_ends_so_too(tiny_model, tmp_path):
    """Nothing is left for the interpreter to complain of when it flushes at its end."""
    command = [sys.executable, "-m", "lantu", "info", "--model", str(tiny_model)]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    closed = subprocess.run(["sh", "-c", '"$@" >&- 2>&- <&-', "sh", *command])
    assert closed.returncode == 0


def in_encoding(monkeypatch, name):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=name)
    monkeypatch.setattr(sys, "stdout", stream)
    return stream


def written(stream):
    stream.flush()
    return stream.buffer.getvalue()


@pytest.mark.parametrize("name", ["ascii", "latin-1", "gbk"])
def test_any_text_can_be_printed_in_any_encoding(lantu, monkeypatch, name):
    stream = in_encoding(monkeypatch, name)
    assert lantu("draw", "一只猫", "-o", "猫é😀.png", "--preview") == (0, "")
    told = written(stream).decode(name)
    assert ("▄" if name == "gbk" else "#") in told
    assert ".png  seed" in told
    stream = in_encoding(monkeypatch, name)
    assert lantu("draw", "一只猫", "-o", "猫é😀.png", "--json")[0] == 0
    assert json.loads(written(stream).decode(name))["files"] == ["猫é😀.png"]
    stream = in_encoding(monkeypatch, name)
    assert lantu("tokenize", "猫é😀.png")[0] == 0
    assert json.loads(written(stream).decode(name))["pictures"][0]["file"] == "猫é😀.png"


def test_a_file_name_that_is_no_text_is_printed_as_it_is(lantu, monkeypatch):
    stream = in_encoding(monkeypatch, "utf-8")
    assert lantu("draw", "a cat", "-o", os.fsdecode(b"\xff.png"))[0] == 0
    assert written(stream).startswith(b"\xff.png  seed")
    assert b"\xff.png" in os.listdir(b".")


def test_a_prompt_that_the_locale_could_not_read_is_read_as_utf_8(lantu):
    assert lantu("draw", "一只猫".encode().decode("ascii", "surrogateescape"), "-o", "a.png")[0] == 0
    assert metadata.read_picture("a.png").prompt == "一只猫"


def test_captions_of_examples_and_lines_of_a_chat_are_read_as_utf_8_too(lantu, monkeypatch):
    unread = "猫".encode().decode("ascii", "surrogateescape")
    heard = []

    def draw(self, prompts, seeds, **options):
        heard.extend(caption for examples in options["examples"] for caption, _ in examples)
        raise PromptError("enough")

    def chat(self, parts, **_):
        heard.append(parts)
        return []

    monkeypatch.setattr("lantu.pipeline.Model.draw_all", draw)
    monkeypatch.setattr("lantu.pipeline.Model.chat", chat)
    Image.new("RGB", (32, 32)).save("cat.png")
    lantu("draw", "a dog", "--example", f"cat.png={unread}")
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{unread}\n"))
    assert lantu("chat")[0] == 0
    assert heard == ["猫", ["猫"]]


def test_a_chat_that_ends_in_a_mistake_prints_what_was_said_before(lantu, monkeypatch):
    def chat(self, parts, **_):
        if parts == ["worse"]:
            raise PromptError("no")
        return ["so it is"]

    monkeypatch.setattr("lantu.pipeline.Model.chat", chat)
    monkeypatch.setattr(sys, "stdin", io.StringIO("fine\nworse\n"))
    stream = in_encoding(monkeypatch, "utf-8")
    code, err = lantu("chat", "--json")
    assert (code, err.count("\n")) == (2, 1)
    assert [turn["reply"] for turn in json.loads(written(stream))["turns"]] == [["so it is"]]


def test_stdin_of_another_encoding_is_one_line(lantu, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("一只猫\n".encode()), encoding="ascii"))
    code, err = lantu("chat")
    assert (code, err.count("\n")) == (2, 1)
    assert "UTF-8" in err


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300), "choose a shorter name"),
        (PermissionError(errno.EACCES, "Permission denied", "/secret"), "can't use /secret (Permission denied)"),
        (OSError(errno.EMFILE, "Too many open files"), "allow more open files"),
        (FileNotFoundError("No usable temporary directory found"), "No usable temporary directory"),
        (MemoryError(), "not enough memory"),
    ],
)
def test_what_the_system_refuses_anywhere_is_one_line(lantu, monkeypatch, problem, said):
    def refused(*_):
        raise problem

    monkeypatch.setattr("lantu.models.hub.find", refused)
    code, err = lantu("info")
    assert (code, err.count("\n")) == (2, 1)
    assert said in err


def test_names_that_are_too_long_and_folders_that_are_files(lantu, tmp_path):
    (tmp_path / "file").touch()
    for arguments in (
        ["draw", "a cat", "-o", "x" * 300 + ".png"],
        ["draw", "a cat", "--model", "x" * 300],
        ["draw", "a cat", "-o", "file/a.png"],
        ["draw", "a cat", "--like", "x" * 300],
        ["data", "build", "folder", ".", "-o", "file"],
        ["eval", "--data", "file/x"],
        ["train", "tokenizer", "--data", "x" * 300],
    ):
        code, err = lantu(*arguments)
        assert (code, err.count("\n")) == (2, 1), arguments
        assert "a bug" not in err


def test_what_is_not_named_is_not_overwritten(lantu, monkeypatch, tmp_path):
    picture = Image.new("RGB", (32, 32), "red")
    for name in ("a-edited.png", "tokens.png", "chat-1.png"):
        picture.save(name)
    lantu("draw", "a cat", "-o", "a.png", "--tokens-out", "tokens.json")
    assert lantu("edit", "a.png", "a dog", "--box", "0,0,8,8")[0] == 0
    assert lantu("detokenize", "tokens.json")[0] == 0
    for name in ("a-edited.png", "tokens.png", "chat-1.png"):
        assert np.asarray(Image.open(name))[0, 0].tolist() == [255, 0, 0]
    assert {"a-edited-2.png", "tokens-2.png"} <= {path.name for path in tmp_path.iterdir()}

    def chat(self, *_, **__):
        return [Picture(picture, np.zeros((4, 4), np.int64), "", 1, "")]

    monkeypatch.setattr("lantu.pipeline.Model.chat", chat)
    monkeypatch.setattr(sys, "stdin", io.StringIO("a dog\n"))
    assert lantu("chat")[0] == 0
    assert os.path.exists("chat-2.png")


def test_half_blocks_need_an_encoding_that_has_them(monkeypatch):
    in_encoding(monkeypatch, "ascii")
    assert not terminal.can_print("▀")
    assert terminal.can_print("#")
    assert terminal.printable_json('["猫😀"]') == '["\\u732b\\ud83d\\ude00"]'


@pytest.mark.parametrize(
    ("command", "name"), [(["eval"], "scores.json"), (["eval"], "sheet.png"), (["bench"], "bench.md")]
)
def test_results_overwrite_nothing_but_results(lantu, tmp_path, command, name):
    (tmp_path / name).write_text("thesis")
    code, err = lantu(*command, "-o", ".")
    assert (code, err.count("\n")) == (2, 1)
    assert f"holds other things, which results would overwrite ({name})" in err
    assert (tmp_path / name).read_text() == "thesis"


def test_older_results_are_overwritten(tmp_path):
    (tmp_path / "scores.json").write_text('{"pairs": {"score": 1, "n": 4}}')
    (tmp_path / "bench.json").write_text('{"machine": {}, "drafting": []}')
    check_results(tmp_path, ("scores.json", "sheet.png"), {"score", "n"})
    check_results(tmp_path, ("bench.json", "bench.md"), {"machine", "drafting"})
    check_results(tmp_path / "new", ("bench.json", "bench.md"), {"machine", "drafting"})
