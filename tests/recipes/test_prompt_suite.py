"""``lantu eval --prompts``: suites drawn into the folders of their scorers."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lantu.pipeline import Model
from lantu.recipes import prompt_suite

ROWS = [
    {"tag": "single_object", "include": [{"class": name, "count": 1}], "prompt": f"a photo of a {name}"}
    for name in ("cat", "dog", "猫")
]


@pytest.fixture
def geneval(tmp_path):
    path = tmp_path / "metadata.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_geneval_folders_hold_what_draw_draws(lantu, tmp_path, geneval, tiny_model):
    code, out, err = lantu("eval", "--prompts", geneval, "-n", 2, "--seed", 5, "-o", "out", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert {key: told[key] for key in ("layout", "prompts", "pictures", "drawn", "seed", "model")} == {
        "layout": "geneval",
        "prompts": 3,
        "pictures": 6,
        "drawn": 6,
        "seed": 5,
        "model": "tiny",
    }
    each = ["grid.png", "metadata.jsonl", "samples/00000.png", "samples/00001.png"]
    own = ["index.html", "sheet.png", "suite.json"]
    assert files(tmp_path / "out") == [*(f"{i:05}/{name}" for i in range(3) for name in each), *own]
    for index, row in enumerate(ROWS):
        folder = tmp_path / "out" / f"{index:05}"
        assert json.loads((folder / "metadata.jsonl").read_text()) == row
        drawn = Model.load(tiny_model).draw_many(row["prompt"], 2, seed=5)
        for k, picture in enumerate(drawn):
            with Image.open(folder / f"samples/{k:05}.png") as saved:
                assert np.array_equal(np.asarray(saved), np.asarray(picture.image))
        with Image.open(folder / "grid.png") as grid:
            assert np.array_equal(np.asarray(grid), np.hstack([np.asarray(one.image) for one in drawn]))


def test_a_killed_run_goes_on_and_draws_nothing_twice(lantu, tmp_path, geneval, monkeypatch):
    monkeypatch.setattr(prompt_suite, "BATCH", 2)
    assert lantu("eval", "--prompts", geneval, "-n", 2, "-o", "whole", "--json")[0] == 0
    draw_all, calls = Model.draw_all, []

    def draw_twice(self, prompts, seeds, **options):
        calls.append(list(prompts))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return draw_all(self, prompts, seeds, **options)

    monkeypatch.setattr(Model, "draw_all", draw_twice)
    assert lantu("eval", "--prompts", geneval, "-n", 2, "-o", "out")[0] == 130
    (tmp_path / "out/00000/grid.png").unlink()  # as if it had been killed before this was written
    (tmp_path / "out/00000/samples/.00001.0123456789abcdef.png").write_bytes(b"half")  # and while it wrote another
    code, out, _ = lantu("eval", "--prompts", geneval, "-n", 2, "-o", "out")
    assert code == 0
    assert "6 pictures of 3 prompts, 2 of them earlier" in out
    assert calls == [[row["prompt"]] * 2 for row in (ROWS[0], ROWS[1], ROWS[1], ROWS[2])]
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    for name in files(tmp_path / "out"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_limit_can_grow_and_shrink(lantu, tmp_path, geneval):
    for limit, drawn in ((1, 1), (3, 2), (2, 0)):
        result = lantu(
            "eval", "--prompts", geneval, "-n", 1, "--limit", limit, "-o", "out", "--layout", "parti", "--json"
        )
        assert json.loads(result[1])["drawn"] == drawn
    table = [line.split("\t") for line in (tmp_path / "out/prompts.tsv").read_text().splitlines()]
    assert table[0] == ["folder", "prompt", "tag", "include"]
    assert [line[:2] for line in table[1:]] == [[f"{i:05}", row["prompt"]] for i, row in enumerate(ROWS)]
    assert json.loads(table[1][3]) == ROWS[0]["include"]


def test_dpg_tiles_the_drawings_of_a_prompt(lantu, tmp_path, tiny_model):
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts/vrd7.txt").write_text("a cat")
    code, out, _ = lantu("eval", "--prompts", "prompts", "-n", 3, "-o", "out", "--set", "steps=1")
    assert code == 0
    assert "score them: PIC_NUM=3 bash dpg_bench/dist_eval.sh out/images 32" in out
    assert files(tmp_path / "out/images") == ["vrd7.png"]
    first, second, third = (one.image for one in Model.load(tiny_model).draw_many("a cat", 3, seed=0, steps=1))
    with Image.open(tmp_path / "out/images/vrd7.png") as tiled:
        assert tiled.size == (64, 64)
        for box, expected in (((0, 0, 32, 32), first), ((32, 0, 64, 32), second), ((0, 32, 32, 64), third)):
            assert np.array_equal(np.asarray(tiled.crop(box)), np.asarray(expected))


def test_another_run_is_not_mixed_in(lantu, tmp_path, geneval, masked_model):
    run = ("eval", "--prompts", geneval, "-n", 1, "--limit", 1, "-o", "out")
    assert lantu(*run)[0] == 0
    before = {name: (tmp_path / "out" / name).read_bytes() for name in files(tmp_path / "out")}
    for more, told in (
        (("--seed", 1), "drawings with seed 0, not 1"),
        (("--set", "steps=3"), "drawings with steps 2, not 3"),
        (("--model", masked_model), "drawings of another model (tiny)"),
        (("--layout", "parti"), "drawings with layout geneval, not parti"),
        (("--size", "48x48"), "drawings with size [32, 32], not [48, 48]"),
    ):
        code, _, err = lantu(*run, *more)
        assert code == 2
        assert told in err
    geneval.write_text(json.dumps(ROWS[1]))
    assert "other prompts" in lantu(*run)[2]
    assert before == {name: (tmp_path / "out" / name).read_bytes() for name in files(tmp_path / "out")}


def test_what_is_not_a_run_is_left_alone(lantu, tmp_path, geneval):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/novel.txt").write_text("once")
    assert "holds other things" in lantu("eval", "--prompts", geneval, "-o", "mine")[2]
    assert "is a file" in lantu("eval", "--prompts", geneval, "-o", "mine/novel.txt")[2]
    assert files(tmp_path / "mine") == ["novel.txt"]


def test_a_prompt_that_cannot_be_drawn_is_named_first(lantu, tmp_path):
    (tmp_path / "p.txt").write_text("a cat\n" + "a " * 1500 + "cat\n")
    code, _, err = lantu("eval", "--prompts", "p.txt", "-o", "out")
    assert code == 2
    assert "prompt 1 of p.txt: the prompt has" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "name it: -o DIR"),
        (("-o", "out", "--layout", "coco"), "no layout called coco"),
        (("-o", "out", "--suites", "single"), "leave out --suites"),
        (("-o", "out", "--size", "33x33"), "no picture can have 33x33 pixels"),
    ],
)
def test_options_that_do_not_fit(lantu, tmp_path, arguments, told):
    (tmp_path / "p.txt").write_text("a cat")
    code, _, err = lantu("eval", "--prompts", "p.txt", *arguments)
    assert code == 2
    assert told in err


def test_layout_needs_prompts(lantu):
    assert "--prompts FILE" in lantu("eval", "--layout", "dpg")[2]


def test_unknown_words_are_counted(tmp_path, tiny_model, monkeypatch):
    from lantu.types import UnknownWord

    (tmp_path / "p.txt").write_text("a zorp\na zorp and a blick\na cat\n")
    model = Model.load(tiny_model)
    words = {"zorp", "blick"}
    monkeypatch.setattr(
        type(model.parts.layout),
        "unknown_words",
        lambda self, prompt: tuple(UnknownWord(word) for word in prompt.split() if word in words),
    )
    run = prompt_suite.SuiteRun(model, tmp_path / "p.txt", tmp_path / "out", count=1, steps=1)
    (told,) = run.warnings()
    assert told == "2 of 3 prompts have words that the model was never taught: zorp (2), blick (1)"
    assert run.draw()["unknown_words"] == {"zorp": 2, "blick": 1}


def test_models_that_batch_inexactly_draw_suites_too(lantu, tmp_path, janus):
    (tmp_path / "p.txt").write_text("a cat\na red dog\n")
    code, _, err = lantu("eval", "--prompts", "p.txt", "-n", 2, "--model", janus, "-o", "out")
    assert code == 0, err
    assert [name for name in files(tmp_path / "out") if name.startswith("0")] == [
        f"{i:05}/{k:05}.png" for i in range(2) for k in range(2)
    ]


def test_the_shipped_model_tells_which_words_it_lacks(lantu, tmp_path):
    (tmp_path / "p.txt").write_text("a cat\na zorp\n")
    shipped = Path(__file__).parents[2] / "models/lantu-emoji"
    code, _, err = lantu("eval", "--prompts", "p.txt", "-n", 1, "--set", "steps=1", "--model", shipped, "-o", "out")
    assert code == 0
    assert err == "lantu: 1 of 2 prompts have words that the model was never taught: zorp (1)\n"
