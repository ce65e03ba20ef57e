"""Files of prompts: what they may hold, that any row can be begun at, and what is refused."""

import json

import pytest

from lantu.errors import DataError
from lantu.recipes.bulk.prompts import MAX_LINE, PromptFile

ROWS = [
    {"prompt": "a cat", "seed": 7, "size": "48x16", "n": 2, "id": "x"},
    {"prompt": "a dog, on the left"},
    {"prompt": "一只猫\n和一只狗", "seed": 0},
]


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_line_of_text_is_a_prompt(tmp_path):
    file = PromptFile(write(tmp_path / "p.txt", b"\xef\xbb\xbfa cat\r\n\n  a dog \n\xe7\x8c\xab"))
    assert [(row.number, row.prompt, row.seed, row.size, row.count) for row in file.rows()] == [
        (0, "a cat", None, "", None),
        (1, "a dog", None, "", None),
        (2, "猫", None, "", None),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.jsonl", "\n".join(json.dumps(row) for row in ROWS)),
        ("p.jsonl", "\n\n".join(json.dumps(row | {"size": [48, 16]} if "n" in row else row) for row in ROWS) + "\n"),
        ("p.csv", 'Seed,prompt,n,size,id\n7,a cat,2.0,48x16,x\n,"a dog, on the left",,,\n0,"一只猫\n和一只狗",,,\n'),
    ],
)
def test_rows_have_seeds_sizes_and_numbers(tmp_path, name, text):
    rows = list(PromptFile(write(tmp_path / name, text)).rows())
    assert [(row.prompt, row.seed, row.size, row.count) for row in rows] == [
        (row["prompt"], row.get("seed"), row.get("size", ""), row.get("n")) for row in ROWS
    ]
    assert rows[0].data == {"id": "x"}
    assert not rows[1].data.get("id")


def test_tab_separated_cells_are_literal(tmp_path):
    text = 'prompt\tseed\na "cat"\t1\n"a dog"\t2\n'
    rows = list(PromptFile(write(tmp_path / "p.tsv", text)).rows())
    assert [(row.prompt, row.seed) for row in rows] == [('a "cat"', 1), ("a dog", 2)]


@pytest.mark.parametrize("name", ["p.txt", "p.jsonl", "p.csv", "p.tsv"])
def test_any_row_can_be_begun_at(tmp_path, name):
    texts = ["a cat", "一只猫", "a dog", "three apples"]
    lines = {"jsonl": [json.dumps({"prompt": text}) for text in texts], "txt": texts}
    table = ["prompt", *texts]
    file = PromptFile(write(tmp_path / name, "\r\n\n".join(lines.get(name.partition(".")[2], table))))
    rows = list(file.rows())
    assert [row.prompt for row in rows] == texts
    for row in rows[:-1]:
        assert list(file.rows(row.end, row.number + 1)) == rows[row.number + 1 :]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("p.xlsx", "a cat", "unknown kind"),
        ("p.txt", b"a cat\n\xff\xfea", "line 2 of .*not in UTF-8"),
        ("p.txt", "a cat".encode("utf-16"), "not text|not in UTF-8"),
        ("p.txt", "a\0cat", "not text"),
        ("p.txt", b"a cat\n" + b"x" * (MAX_LINE + 1), "line 2 of .*more than 400,000 bytes"),
        ("p.txt", "x" * 3000, "the prompt has 3,000 characters"),
        ("p.jsonl", '{"prompt": "a cat"}\n{"prompt"', "line 2 of .*not JSON"),
        ("p.jsonl", '["a cat"]', "no JSON object"),
        ("p.jsonl", '{"text": 7}', "is 7, not a text"),
        ("p.jsonl", '{"prompt": "a \\ud800"}', "not valid Unicode"),
        ("p.jsonl", "[" * 100_000, "not JSON"),
        ("p.jsonl", '{"subject": "a cat"}', "has no prompt"),
        ("p.jsonl", '{"prompt": "a cat", "seed": -1}', "its seed is -1"),
        ("p.jsonl", '{"prompt": "a cat", "seed": true}', "its seed is True"),
        ("p.jsonl", '{"prompt": "a cat", "seed": 9223372036854775808}', "its seed is 9223372036854775808"),
        ("p.jsonl", '{"prompt": "a cat", "seed": 1.5}', "its seed is 1.5"),
        ("p.jsonl", '{"prompt": "a cat", "n": 0}', "its n is 0, not a number from 1 to 1000"),
        ("p.jsonl", '{"prompt": "a cat", "n": 1001}', "its n is 1001"),
        ("p.jsonl", '{"prompt": "a cat", "size": "big"}', "the size 'big' can't be read"),
        ("p.jsonl", '{"prompt": "a cat", "size": {"w": 3}}', "not a text such as"),
        ("p.csv", "prompt,Prompt\na,b\n", "the same name"),
        ("p.csv", "prompt,seed\na cat,on the left,7\n", "quote texts with commas"),
        ("p.csv", 'prompt\n"a cat\n', "unexpected end of data"),
        ("p.csv", "prompt,seed\n,7\n", "not a text"),
        ("p.csv", "prompt,seed\na cat,much\n", "its seed is 'much'"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path, name, text, told):
    with pytest.raises(DataError, match=f"can't take prompts from .*({told})"):
        list(PromptFile(write(tmp_path / name, text)).rows())


def test_what_is_no_file_is_refused(tmp_path):
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(DataError, match="can't take prompts from"):
            PromptFile(path)
