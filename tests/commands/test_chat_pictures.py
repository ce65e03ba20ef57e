"""Pictures in a line of ``lantu chat``, by file names of any kind."""

import pytest
from PIL import Image

from lantu.commands import talking

NAMES = ("cat.png", "my cat.png", "what?.png", "cat.png!", "猫 咪.png", "it's.png")


@pytest.fixture
def said(tmp_path, monkeypatch):
    """Reads a line; pictures are their file names."""
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        Image.new("RGB", (8, 8)).save(name, format="PNG")
    monkeypatch.setattr(talking, "read_picture", lambda path, artist, fit: path)
    return lambda line: [part if isinstance(part, str) else (str(part),) for part in talking.read_line(line, None)]


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("what is this? @cat.png", [("cat.png",), "what is this?"]),
        ("what is @cat.png?", [("cat.png",), "what is"]),
        ("这是什么：@cat.png", ["这是什么：@cat.png"]),  # an @ within a word is none of a picture
        ("这是什么 @cat.png？", [("cat.png",), "这是什么"]),
        ("@cat.png, @what?.png: which?", [("cat.png",), ("what?.png",), "which?"]),
        ("@cat.png! is a name", [("cat.png!",), "is a name"]),
        ('@"my cat.png" what?', [("my cat.png",), "what?"]),
        ('what is @"my cat.png"?', [("my cat.png",), "what is"]),
        ('@"猫 咪.png"里有什么', [("猫 咪.png",), "里有什么"]),
        (r"what is @my\ cat.png?", [("my cat.png",), "what is"]),
        ("@it's.png it's", [("it's.png",), "it's"]),
        (r"@C:\cats\a.png", [(r"C:\cats\a.png",)]),
        ("mail me@cat.png @ home", ["mail me@cat.png @ home"]),
        ("@missing.png?", [("missing.png?",)]),
        ("", []),
    ],
)
def test_a_line_is_text_and_pictures(said, line, read):
    assert said(line) == read
