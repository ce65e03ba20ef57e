"""``lantu draw --prompts``: what is drawn, that a killed run goes on, and what is refused."""

import gc
import itertools
import json
import signal
import subprocess
import sys
import tarfile
import time
import tracemalloc

import pytest

from lantu.engine.seeds import derive_seed
from lantu.pipeline import Model
from lantu.recipes.bulk.prompts import PromptFile

ROWS = [
    {"prompt": "a cat", "seed": 7, "n": 3, "id": "x"},
    {"prompt": "一只猫"},
    {"prompt": "a dog", "size": "48x16", "seed": 9},
    {"prompt": "a cat", "size": [48, 16]},
    {"prompt": "a dog"},
]


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def members(*paths):
    """Name → content, of all tars in order."""
    found = {}
    for path in paths:
        with tarfile.open(path) as tar:
            found |= {member.name: tar.extractfile(member).read() for member in tar}
    return found


def tars(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in (".tar", ".part")}


def test_each_picture_is_the_one_that_draw_draws(lantu, tmp_path, prompts):
    code, out, err = lantu("draw", "--prompts", prompts, "-o", "out", "--seed", 5, "--per-shard", 4, "--json")
    assert (code, err) == (0, "")
    told = {"folder": "out", "shards": 2, "prompts": 5, "pictures": 7, "drawn": 7, "seed": 5, "model": "tiny"}
    assert json.loads(out) == told
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [".lock", "00000.tar", "00001.tar", "prompts.json"]
    found = members(tmp_path / "out/00000.tar", tmp_path / "out/00001.tar")
    assert list(found) == [f"{i:09d}.{kind}" for i in range(7) for kind in ("png", "json")]
    expected = [(0, k, derive_seed(7, k)) for k in range(3)]
    expected += [(i, 0, ROWS[i].get("seed", derive_seed(5, i))) for i in range(1, 5)]
    for index, (row, k, seed) in enumerate(expected):
        prompt, size = ROWS[row]["prompt"], "48x16" if row in (2, 3) else "32x32"
        assert lantu("draw", prompt, "--seed", seed, "--size", size, "-o", "one.png")[0] == 0
        assert found[f"{index:09d}.png"] == (tmp_path / "one.png").read_bytes()
        record = json.loads(found[f"{index:09d}.json"])
        assert (record["prompt"], record["seed"], record["row"], record["drawing"]) == (prompt, seed, row, k)
        assert "x".join(map(str, record["size"])) == size
        assert record["model"] == Model.load("tiny").digest
        assert len(record["codes"]) == record["size"][1] // 8
        assert record.get("data") == ({"id": "x"} if row == 0 else None)
    lantu("draw", "a cat", "--seed", 7, "-n", 3, "-o", "n.png")
    for k in range(3):
        assert found[f"{k:09d}.png"] == (tmp_path / f"n-{k + 1}.png").read_bytes()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_it(lantu, tmp_path, prompts):
    webdataset = pytest.importorskip("webdataset")
    assert lantu("draw", "--prompts", prompts, "-o", "out", "--per-shard", 2, "--steps", 1)[0] == 0
    paths = sorted(map(str, (tmp_path / "out").glob("*.tar")))
    samples = list(webdataset.WebDataset(paths, shardshuffle=False).decode("pil"))
    gc.collect()  # it leaves the tars open
    assert [sample["json"]["row"] for sample in samples] == [0, 0, 0, 1, 2, 3, 4]
    assert [sample["png"].size for sample in samples] == [tuple(sample["json"]["size"]) for sample in samples]


def test_it_is_data_to_train_on(lantu, tmp_path, prompts):
    assert lantu("draw", "--prompts", prompts, "-o", "out", "--steps", 1)[0] == 0
    code, out, err = lantu("data", "build", "folder", "out", "-o", "data", "--size", 32, "--val", 0, "--json")
    assert code == 0, err
    assert json.loads(out)["pictures"] == {"train": 7}
    assert json.loads(lantu("data", "inspect", "data", "--json")[1])["splits"]["train"]["uncaptioned"] == 0


def test_a_stopped_run_goes_on_and_draws_nothing_twice(lantu, tmp_path, prompts, monkeypatch):
    run = ("draw", "--prompts", prompts, "--per-shard", 5, "--together", 2, "--steps", 1)
    assert lantu(*run, "-o", "whole", "--seed", 3)[0] == 0
    draw_all, drawn = Model.draw_all, []

    def stopping(self, texts, seeds, **options):
        if len(drawn) in stops:
            stops.remove(len(drawn))
            raise KeyboardInterrupt
        pictures = draw_all(self, texts, seeds, **options)
        drawn.append(len(texts))
        return pictures

    monkeypatch.setattr(Model, "draw_all", stopping)
    stops = {0, 1, 2, 4}
    assert [lantu(*run, "-o", "out", "--seed", 3)[0] for _ in range(4)] == [130] * 4
    code, out, _ = lantu(*run, "-o", "out")  # without the seed: it is that of the run
    assert code == 0
    assert "7 pictures of 5 prompts in 2 shards, 6 of them earlier  seed 3" in out
    assert drawn == [2, 2, 1, 1, 1]
    assert tars(tmp_path / "out") == tars(tmp_path / "whole")
    assert "7 of them earlier" in lantu(*run, "-o", "out", "--together", 7)[1]
    assert len(drawn) == 5


def test_a_killed_process_goes_on(lantu, tmp_path, tiny_model):
    (tmp_path / "p.txt").write_text("".join(f"a cat and {i} dogs\n" for i in range(40)))
    options = ("--prompts", tmp_path / "p.txt", "--seed", 1, "--per-shard", 16, "--together", 1, "--model", tiny_model)
    command = [sys.executable, "-m", "lantu", "draw", *map(str, options), "-o", str(tmp_path / "out")]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 60
    while len(tars(tmp_path / "out") if (tmp_path / "out").is_dir() else ()) < 2 and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = tars(tmp_path / "out")
    assert before
    code, out, err = lantu("draw", *options, "-o", "out", "--json")
    assert code == 0, err
    assert json.loads(out)["drawn"] < 40
    assert lantu("draw", *options, "-o", "whole")[0] == 0
    after = tars(tmp_path / "out")
    assert after == tars(tmp_path / "whole")
    assert all(after[name] == content for name, content in before.items() if name.endswith(".tar"))


def test_runs_that_begin_together_are_one(lantu, tmp_path, tiny_model, prompts):
    """Whichever records its seed first decides it; one with another seed is refused."""
    from lantu.errors import DiskError
    from lantu.recipes.bulk.drawing import BulkRun

    (tmp_path / "out").mkdir()
    (tmp_path / "out/.prompts.0123456789abcdef.json").write_text("{")  # of one that was killed at its very beginning
    model = Model.load(tiny_model)
    first, same, other = (BulkRun(model, prompts, tmp_path / "out", seed=seed, steps=1) for seed in (1, 1, 2))
    assert first.draw()["drawn"] == 7
    assert same.draw()["drawn"] == 0
    with pytest.raises(DiskError, match="drawings with seed 1, not 2"):
        other.draw()


def test_tables_and_texts_draw_the_same(lantu, tmp_path):
    (tmp_path / "p.txt").write_text("a cat\na dog\n")
    (tmp_path / "p.csv").write_text("n,prompt\n1,a cat\n1,a dog\n")
    for name in ("txt", "csv"):
        assert lantu("draw", "--prompts", f"p.{name}", "-o", name, "--seed", 1, "--steps", 1)[0] == 0
    found = [members(tmp_path / name / "00000.tar") for name in ("txt", "csv")]
    assert found[0] == found[1]


def test_another_run_is_not_mixed_in(lantu, tmp_path, prompts):
    run = ("draw", "--prompts", prompts, "-o", "out", "--seed", 3, "--steps", 1)
    assert lantu(*run)[0] == 0
    before = tars(tmp_path / "out")
    for more, told in (
        (("--seed", 4), "drawings with seed 3, not 4"),
        (("--steps", 2), "drawings with steps 1, not 2"),
        (("-n", 2), "drawings with count 1, not 2"),
        (("--per-shard", 2), "drawings with per_shard 1000, not 2"),
    ):
        code, _, err = lantu(*run, *more)
        assert code == 2
        assert told in err
    prompts.write_text('{"prompt": "a dog"}\n')
    assert "holds other prompts" in lantu(*run)[2]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/novel.txt").write_text("once")
    assert "holds other things" in lantu("draw", "--prompts", prompts, "-o", "mine")[2]
    assert "is a file" in lantu("draw", "--prompts", prompts, "-o", "mine/novel.txt")[2]
    assert tars(tmp_path / "out") == before
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["novel.txt"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "p.txt holds no prompts"),
        (" \n\n", "p.txt holds no prompts"),
        ("a cat\n" + "𠀀" * 1990, "row 2 of"),
        ("a\0cat", "line 1 of"),
    ],
)
def test_hostile_prompts_draw_nothing(lantu, tmp_path, text, told):
    (tmp_path / "p.txt").write_text(text)
    code, out, err = lantu("draw", "--prompts", "p.txt", "-o", "out")
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--prompts", "p.jsonl"), "name it: -o DIR"),
        (("a cat", "--prompts", "p.jsonl", "-o", "out"), "PROMPT is for one prompt"),
        (("--prompts", "p.jsonl", "-o", "out", "--like", "a.png"), "--like is for one prompt"),
        (("--prompts", "p.jsonl", "-o", "out", "--size", "33x33"), "no picture can have 33x33 pixels"),
        (("--prompts", "p.jsonl", "-o", "out", "--workers", 2), "add --ray"),
        (("--prompts", "none.jsonl", "-o", "out"), "No such file"),
        (("a cat", "--ray"), "a cluster draws a file of prompts"),
    ],
)
def test_options_that_do_not_fit(lantu, prompts, arguments, told):
    code, _, err = lantu("draw", *arguments)
    assert code == 2
    assert told in err


def test_a_size_that_the_model_lacks_is_named(lantu, tmp_path):
    (tmp_path / "p.jsonl").write_text('{"prompt": "a cat"}\n{"prompt": "a cat", "size": "33x33"}\n')
    assert "row 2 of p.jsonl: " in lantu("draw", "--prompts", "p.jsonl", "-o", "out")[2]


@pytest.mark.parametrize("command", [("draw", "--prompts", "p.jsonl", "-o", "out"), ("data", "tokenize", "data")])
def test_without_ray_one_line_says_so(lantu, prompts, monkeypatch, command):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, out, err = lantu(*command, "--ray")
    assert (code, out, err) == (2, "", "lantu: Ray is not installed: pip install 'lantu[ray]'\n")


def test_nothing_of_ray_or_torch_is_imported(tmp_path, prompts, tiny_model):
    command = ["draw", "--prompts", str(prompts), "-o", str(tmp_path / "out"), "--model", str(tiny_model)]
    code = f"import sys, lantu.cli; assert lantu.cli.main({command!r}) == 0; "
    code += "print(*{'ray', 'torch'} & set(sys.modules))"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.splitlines()[1:] == [""]


def test_rows_are_not_kept_in_memory(tmp_path):
    (tmp_path / "p.txt").write_text("a cat on the left and a dog on the right\n" * 20_000)
    tracemalloc.start()
    assert sum(1 for _ in PromptFile(tmp_path / "p.txt").rows()) == 20_000
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 300_000


def test_shards_begin_anywhere(tmp_path, tiny_model):
    """Whatever the shards' size, they hold the same pictures in the same order."""
    from lantu.recipes.bulk.drawing import BulkRun
    from lantu.recipes.bulk.worker import Worker

    (tmp_path / "p.jsonl").write_text("".join(json.dumps({"prompt": "a cat", "n": n}) + "\n" for n in (3, 1, 5, 2)))
    model = Model.load(tiny_model)
    for size in range(1, 13):
        run = BulkRun(model, tmp_path / "p.jsonl", tmp_path / "out", seed=1, per_shard=size)
        worker = Worker(run.order, model)
        shards = [list(worker.drawings(job)) for job in run.jobs]
        assert [len(shard) for shard in shards] == [job.pictures for job in run.jobs]
        assert [job.shard for job in run.jobs] == list(range(-(-11 // size)))
        drawings = list(itertools.chain(*shards))
        assert [(each.index, each.row.number, each.k) for each in drawings] == [
            (i, row, k) for i, (row, k) in enumerate((row, k) for row, n in enumerate((3, 1, 5, 2)) for k in range(n))
        ]


def test_the_progress_of_a_run_that_goes_on_ends_with_all_pictures(tmp_path, tiny_model, prompts):
    from lantu.recipes.bulk.drawing import BulkRun

    model, out = Model.load(tiny_model), tmp_path / "out"

    def run():
        return BulkRun(model, prompts, out, seed=1, steps=1, together=2, per_shard=5)

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run().draw(advance=stop)
    said = []
    run().draw(advance=lambda done, total: said.append((done, total)))
    assert said[0] == (0, 7)
    assert said[1][0] >= 2  # those that were there
    assert said[-1] == (7, 7)


@pytest.mark.parametrize("seed", ['"7"', "true", "[1]"])
def test_a_record_that_was_tampered_with_is_one_line(lantu, tmp_path, prompts, seed):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/prompts.json").write_text(f'{{"seed": {seed}}}')
    code, out, err = lantu("draw", "--prompts", prompts, "-o", "out")
    assert (code, out) == (2, "")
    assert "out holds other prompts" in err
