"""Files of prompts, and the layouts of their drawings."""

import json
import os

import pytest
from PIL import Image

from lantu.errors import DataError, LantuError
from lantu.evaluation.contact_sheet import write_page, write_sheet
from lantu.evaluation.prompt_layouts import DPG, LAYOUTS, GenEval, layout_for, save_tiled
from lantu.evaluation.prompts import SuitePrompt, read_prompts

GENEVAL = {"tag": "single_object", "include": [{"class": "cat", "count": 1}], "prompt": "a photo of a cat"}


def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_json_lines_keep_everything_that_is_said_of_a_prompt(tmp_path):
    path = written(tmp_path, "a.jsonl", json.dumps(GENEVAL) + "\r\n\n" + json.dumps({"prompt": "猫", "id": 7}) + "\n")
    first, second = read_prompts(path)
    assert (first.text, first.name, first.row) == ("a photo of a cat", "", GENEVAL)
    assert (second.text, second.name) == ("猫", "7")


def test_cells_of_tsv_are_literal_unless_quoted_as_a_whole(tmp_path):
    rows = ["Prompt\tCategory", '"HI" on a wall\tArts', '"a ""red"" cat"\tAnimals', 'the word "X"\t"', ""]
    prompts = read_prompts(written(tmp_path, "p.tsv", "\n".join(rows)))
    assert [prompt.text for prompt in prompts] == ['"HI" on a wall', 'a "red" cat', 'the word "X"']
    assert prompts[0].row["Category"] == "Arts"


def test_rows_of_questions_on_one_prompt_are_one_prompt(tmp_path):
    text = 'item_id,text,question\nvrd1,"a cat, red",cat?\nvrd1,"a cat, red",red?\nvrd2,a dog,dog?\n'
    prompts = read_prompts(written(tmp_path, "dpg.csv", text))
    assert [(prompt.name, prompt.text) for prompt in prompts] == [("vrd1", "a cat, red"), ("vrd2", "a dog")]
    assert layout_for(tmp_path / "dpg.csv", prompts).name == "dpg"


def test_other_prompts_of_the_same_name_are_kept(tmp_path):
    prompts = read_prompts(written(tmp_path, "named.tsv", "id\tprompt\nanimals\ta cat\nanimals\ta dog\n"))
    assert [prompt.text for prompt in prompts] == ["a cat", "a dog"]


def test_plain_text_and_folders_of_texts(tmp_path):
    path = written(tmp_path, "list.txt", "\ufeffa cat\n\n  一只狗  \n")
    assert [prompt.text for prompt in read_prompts(path)] == ["a cat", "一只狗"]
    assert layout_for(path, read_prompts(path)).name == "parti"
    folder = tmp_path / "prompts"
    folder.mkdir()
    written(folder, "b2.txt", "a dog\non a mat\n")
    written(folder, "a1.txt", "a cat")
    prompts = read_prompts(folder)
    assert [(prompt.name, prompt.text) for prompt in prompts] == [("a1", "a cat"), ("b2", "a dog on a mat")]
    assert layout_for(folder, prompts).name == "dpg"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.txt", b"\x89PNG\r\n\x00\x00", "is not text"),
        ("a.txt", b"caf\xe9\n", "not in UTF-8"),
        ("a.txt", b" \n\n", "holds no prompts"),
        ("a.txt", b"x" * 10_000_000, "line 1 has 10,000,000 characters"),
        ("a.jsonl", b"{", "line 1 is not JSON"),
        ("a.jsonl", b"[" * 50_000, "line 1 is not JSON"),
        ("a.jsonl", b'"a cat"', "line 1 is no JSON object"),
        ("a.jsonl", b'{"prompt": 7}', "the prompt in row 1 is 7"),
        ("a.jsonl", b'{"words": "a cat"}', "row 1 has no prompt"),
        ("a.tsv", b"Prompt\tPrompt\na\tb", "two of its columns"),
        ("a.tsv", b"Prompt\tNote\n\tempty", "the prompt in row 1 is ''"),
        ("a.csv", b'prompt\n"a cat', "can't read the prompts"),
        ("a.csv", b"", "holds no prompts"),
        ("a.csv", b"prompt\na cat\na cat, and a dog\n", "row 2 has 2 cells, the head 1"),
        ("a.jsonl", b'{"prompt": "a cat", "note": "\\ud800"}', "line 1 is not valid Unicode"),
        ("a.pdf", b"a cat", "unknown kind"),
    ],
)
def test_hostile_files_are_refused_in_one_line(tmp_path, name, content, told):
    path = written(tmp_path, name, content)
    with pytest.raises(DataError) as problem:
        read_prompts(path)
    assert told in str(problem.value)
    assert "\n" not in str(problem.value)
    assert len(str(problem.value)) < 300 + len(str(path))


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(DataError, match="not a regular file"):
        read_prompts(tmp_path / "pipe.txt")
    with pytest.raises(DataError, match="no such file"):
        read_prompts(tmp_path / "nowhere.csvx")
    with pytest.raises(DataError, match="No such file"):
        read_prompts(tmp_path / "nowhere.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no prompts"):
        read_prompts(tmp_path / "empty")


@pytest.mark.parametrize("name", ["../x", "a/b", "a.b", "..", "C:x", "a\nb", "x" * 300, "-rf"])
def test_names_that_leave_the_folder_or_confuse_the_scorer_are_refused(name):
    with pytest.raises(DataError, match="prompt 0 is called"):
        DPG().check([SuitePrompt("a cat", name)], 4, (8, 8))


def test_layouts_refuse_what_their_scorers_cannot_read():
    with pytest.raises(DataError, match="prompts 0 and 1 are both called 'A'"):
        DPG().check([SuitePrompt("a cat", "a"), SuitePrompt("a dog", "A")], 4, (8, 8))
    with pytest.raises(DataError, match="4 drawings of a prompt at most"):
        DPG().check([], 5, (8, 8))
    with pytest.raises(LantuError, match="squares, not 16x8"):
        DPG().check([], 4, (16, 8))
    with pytest.raises(DataError, match="lacks the keys tag and prompt"):
        GenEval().check([SuitePrompt("a cat")], 4, (8, 8))
    assert all(layout.name == name for name, layout in LAYOUTS.items())


def test_four_pictures_are_tiled_in_reading_order(tmp_path):
    colours = ["red", "lime", "blue"]
    save_tiled([Image.new("RGB", (4, 2), colour) for colour in colours], 2, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as tiled:
        assert tiled.size == (8, 4)
        places = [(1, 1), (5, 1), (1, 3), (5, 3)]
        assert [tiled.getpixel(place) for place in places] == [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]


def test_contact_sheets_show_every_prompt_and_run_nothing(tmp_path):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a b#.png")
    drawings = [("a b#.png", "<script>alert(1)</script>")] * 70
    write_sheet(tmp_path, drawings, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert (255, 0, 0) in {colour for _, colour in sheet.getcolors(1 << 20)}
    write_page("a & b", drawings, tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text()
    assert page.count('src="a%20b%23.png"') == 70
    assert "<script" not in page
    assert "a &amp; b" in page
