import io
import sys

from PIL import Image

from lantu.commands import terminal


class Screen(io.StringIO):
    """A terminal that only remembers."""

    encoding = "utf-8"

    def isatty(self):
        return True


def test_a_picture_is_two_pixels_a_character(monkeypatch):
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    image = Image.new("RGB", (4, 4), (255, 0, 0))
    image.paste((0, 0, 255), (0, 2, 4, 4))
    terminal.show_picture(image, columns=4)
    lines = screen.getvalue().splitlines()
    assert [line.count("▀") for line in lines] == [4, 4]
    assert "38;2;255;0;0;48;2;255;0;0" in lines[0]
    assert "38;2;0;0;255;48;2;0;0;255" in lines[1]


def test_pictures_are_shown_on_colour_terminals_only(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert not terminal.shows_pictures()
    monkeypatch.setattr(sys, "stdout", Screen())
    assert terminal.shows_pictures()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not terminal.shows_pictures()


def test_progress_is_drawn_on_a_terminal_only(monkeypatch, capsys):
    with terminal.progress("counting") as advance:
        advance(1, 2)
    assert capsys.readouterr() == ("", "")
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with terminal.progress("counting", shown=False) as advance:
        advance(1, 2)
    assert screen.getvalue() == ""
    with terminal.progress("counting") as advance:
        advance(1, 2)
    assert "counting" in screen.getvalue()
    assert "1/2" in screen.getvalue()


def test_a_message_is_one_line(capsys):
    terminal.say("a\nb\r\nc")
    assert capsys.readouterr().err == "a b c\n"


def test_chinese_is_two_columns_wide(capsys):
    terminal.print_table([("猫", "a"), ("cat", "b")])
    assert capsys.readouterr().out == "猫   a\ncat  b\n"
