"""docs/claims.md and docs/claims.zh.md: the same rows, the same figures, commands that exist."""

import re
import shlex
from collections import Counter
from pathlib import Path

import pytest
import typer

from lantu.cli import COMMANDS, application, check_values

ROOT = Path(__file__).parents[1]
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?:e-\d+)?")
ROW = re.compile(r"^\| (\d+) \| (.+) \|$", re.MULTILINE)
SECTION = re.compile(r"^### (\d+)\. (.+?)$(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
VERDICTS = {
    "holds": "成立",
    "in part": "部分成立",
    "does not hold here": "在这里不成立",
    "not measured yet": "尚未测量",
}


def page(name):
    """Row number → its cells; row number → its section."""
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    rows = {int(number): cells.split(" | ") for number, cells in ROW.findall(text.partition("\n### ")[0])}
    return rows, {int(number): title + body for number, title, body in SECTION.findall(text)}


ENGLISH, CHINESE = page("claims.md"), page("claims.zh.md")
NUMBERS = sorted(ENGLISH[0])


def commands(section):
    """The lines of a section that a person types."""
    return re.findall(r"^    (\S.*)$", section, re.MULTILINE)


def figures(text):
    """The numbers in a text, how often each."""
    return Counter(number.rstrip(",") for number in NUMBER.findall(text.replace("−", "-")))


def verdict(cell, known):
    """The longest known verdict that a cell begins with."""
    return max((one for one in known if cell.startswith(one)), key=len, default=None)


def test_every_claim_is_a_row_with_a_section_in_both_languages():
    assert len(NUMBERS) >= 25
    assert list(range(1, len(NUMBERS) + 1)) == NUMBERS
    for rows, sections in (ENGLISH, CHINESE):
        assert sorted(rows) == sorted(sections) == NUMBERS
        assert all(len(cells) == 4 and all(cell.strip() for cell in cells) for cells in rows.values())
        assert all(commands(section) for section in sections.values())


@pytest.mark.parametrize("row", NUMBERS)
def test_languages_agree(row):
    cells, zh_cells = ENGLISH[0][row], CHINESE[0][row]
    for place in (1, 2, 3):
        assert figures(cells[place]) == figures(zh_cells[place])
    ours, theirs = verdict(cells[3], VERDICTS), verdict(zh_cells[3], VERDICTS.values())
    assert ours
    assert VERDICTS[ours] == theirs
    section, zh_section = ENGLISH[1][row], CHINESE[1][row]
    assert commands(section) == commands(zh_section)
    assert set(figures(section)) == set(figures(zh_section))


@pytest.mark.parametrize("row", NUMBERS)
def test_a_figure_is_there_unless_it_was_not_measured(row):
    _, _, number, told = ENGLISH[0][row]
    assert ("–" in number) == (verdict(told, VERDICTS) == "not measured yet")


@pytest.mark.parametrize("row", NUMBERS)
def test_figures_of_the_table_stand_in_the_section_or_in_another_page(row):
    others = [path for path in (ROOT / "docs").glob("*.md") if not path.name.startswith("claims")]
    known = ENGLISH[1][row] + "".join(path.read_text(encoding="utf-8") for path in others)
    assert not set(figures(ENGLISH[0][row][2])) - set(figures(known))


def runs(words):
    """Assert that a command line names what exists: lantu's own by its parser, a script with its options."""
    if words[0] == "git":
        return
    if "lantu" in words[:7]:  # perhaps under torchrun
        parses(words[words.index("lantu") + 1 :])
        return
    place = next(place for place, word in enumerate(words) if word.endswith(".py"))  # perhaps under torch's launcher
    script = ROOT / words[place]
    source = script.read_text(encoding="utf-8")
    if "from measured import" in source:
        source += (script.parent / "measured.py").read_text(encoding="utf-8")
    for word in words[place + 1 :]:
        assert not word.startswith("--") or f'"{word}"' in source, word


def parses(words):
    """Assert that lantu's parser takes a command line; the command itself doesn't run."""
    if words[0] == "compare" and words[0] not in COMMANDS:  # rows that wait for it have no figure
        return
    command = typer.main.get_command(application(words))
    check_values(command, words)
    while hasattr(command, "commands") and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    assert command.make_context("lantu", list(words)).params is not None


@pytest.mark.parametrize("row", NUMBERS)
def test_commands_exist(row):
    for line in commands(ENGLISH[1][row]):
        runs(shlex.split(line))


def test_a_wrong_command_would_be_found():
    with pytest.raises(AssertionError):
        runs(["python", "benchmarks/kv_cache.py", "--no-such-option"])
    with pytest.raises(FileNotFoundError):
        runs(["python", "benchmarks/no_such_script.py"])
    with pytest.raises(typer.TyperException):
        parses(["eval", "--no-such-option"])
