"""Runs and parts know what they were made of; what does not belong together is not joined."""

import json
import logging
import shutil

import pytest
from PIL import Image

from lantu import recipes
from lantu.cli import main
from lantu.data.build import build_folder
from lantu.errors import DiskError, ModelError, RecipeError
from lantu.models.lantu.decoder.control import ControlNetwork
from lantu.models.lantu.decoder.network import PixelDecoder
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.recipes import identity
from lantu.recipes.assemble import assemble
from lantu.recipes.sources import part_folder

FEW = ["loop.steps=2", "loop.sample_every=0", "loop.precision=fp32", "loop.decay_fraction=0"]


@pytest.fixture(scope="module")
def data(captioned_data):
    return captioned_data


@pytest.fixture(scope="module")
def other_tokenizer(tiny_model, tmp_path_factory):
    """Of the same sizes, but with other codes."""
    folder = tmp_path_factory.mktemp("other") / "tokenizer"
    tokenizer = ImageTokenizer.load(tiny_model / "tokenizer")
    tokenizer.encoder.out.bias += 1.0
    tokenizer.save(folder)
    assert tokenizer.codes_digest() != ImageTokenizer.load(tiny_model / "tokenizer").codes_digest()
    return folder


@pytest.fixture(scope="module")
def other_data(tmp_path_factory):
    source = tmp_path_factory.mktemp("more")
    for number in range(24):
        Image.new("RGB", (32, 32), (9 * number, 0, 99)).save(source / f"{number}.png")
        (source / f"{number}.txt").write_text("a fox\n")
    return build_folder(source, tmp_path_factory.mktemp("data") / "other", size=32, workers=1)


@pytest.fixture(scope="module")
def run(tiny_model, data, tmp_path_factory):
    """A decoder's run of two steps."""
    folder = tmp_path_factory.mktemp("runs") / "decoder"
    changes = [f"tokenizer={tiny_model}", f"start={tiny_model}", "hidden=0.25", *FEW]
    recipes.train("decoder", "debug", data, folder, changes, progress=False)
    return folder


@pytest.fixture
def own_run(run, tmp_path):
    """A copy that may be changed."""
    return shutil.copytree(run, tmp_path / "run")


def options(folder):
    return json.loads((folder / "config.json").read_text())


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_keeps_its_settings_and_what_it_is_made_of(run, tiny_model, data):
    told = options(run)
    assert (told["hidden"], told["loop"]["steps"], told["tokenizer"]) == (0.25, 2, str(tiny_model))
    made_of = told["identity"]
    assert (made_of["part"], made_of["recipe"]) == ("decoder", "debug")
    assert made_of["data"] == json.loads((data / "index.json").read_text())["digest"]
    assert made_of["tokenizer"] == ImageTokenizer.load(tiny_model / "tokenizer").codes_digest()
    assert made_of["start"] == identity.weights_digest(tiny_model / "decoder")
    assert PixelDecoder.load(run / "model").config.tokenizer == made_of["tokenizer"]


def test_it_goes_on_with_its_own_settings(own_run, data, caplog):
    with caplog.at_level(logging.WARNING, "lantu"):
        summary = recipes.train("decoder", "debug", data, own_run, ["loop.steps=3"], resume=True, progress=False)
    assert (summary.step, summary.steps) == (3, 3)
    assert options(own_run)["hidden"] == 0.25
    assert [record.getMessage() for record in caplog.records] == ["loop.steps is changed from 2 to 3"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("hidden=0.5", "hidden is 0.25 in the run"),
        ("width=128", "width is 64"),
        ("loop.seed=5", r"loop\.seed is 0"),
        ("loop.batch_size=4", r"loop\.batch_size is 8"),
        ("tokenizer={other}", "another tokenizer: "),
    ],
)
def test_what_would_make_it_another_run_is_refused(own_run, data, other_tokenizer, change, said):
    before = tree(own_run)
    changes = [change.format(other=other_tokenizer), *(["start="] if "{" in change else [])]
    with pytest.raises(RecipeError, match=said):
        recipes.train("decoder", "debug", data, own_run, changes, resume=True, progress=False)
    assert tree(own_run) == before


def test_other_data_recipes_and_parts_are_refused(own_run, data, other_data):
    before = tree(own_run)
    with pytest.raises(RecipeError, match="another data: "):
        recipes.train("decoder", "debug", other_data, own_run, resume=True, progress=False)
    with pytest.raises(RecipeError, match="another recipe: debug, not emoji"):
        recipes.train("decoder", "emoji", data, own_run, resume=True, progress=False)
    with pytest.raises(RecipeError, match="another part: decoder, not language"):
        recipes.train("language", "debug", data, own_run, resume=True, progress=False)
    assert tree(own_run) == before


def test_parts_that_a_run_began_without_are_not_added(own_run, data, other_data):
    with pytest.raises(RecipeError, match="began without rehearsed"):
        recipes.train("decoder", "debug", data, own_run, [f"rehearsed={other_data}", "rehearsal=0.25"], resume=True)


def test_a_refusal_comes_alone(own_run, other_data, caplog):
    with caplog.at_level(logging.WARNING, "lantu"), pytest.raises(RecipeError, match="another data"):
        recipes.train("decoder", "debug", other_data, own_run, ["loop.steps=3"], resume=True, progress=False)
    assert caplog.records == []


def test_a_run_of_the_first_version_is_resumed_on_trust(own_run, data, other_tokenizer, caplog):
    told = options(own_run)
    told.pop("identity")
    (own_run / "config.json").write_text(json.dumps(told))
    with caplog.at_level(logging.WARNING, "lantu"):
        recipes.train("decoder", "debug", data, own_run, resume=True, progress=False)
    assert "not checked" in caplog.text
    assert options(own_run)["identity"]["recipe"] == "debug"


def test_without_a_run_there_is_nothing_to_resume(tiny_model, data, tmp_path):
    with pytest.raises(RecipeError, match=r"no run in .* leave out --resume"):
        recipes.train("decoder", "debug", data, tmp_path / "none", [f"tokenizer={tiny_model}"], resume=True)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ["config.json", "log.jsonl", "samples/000002.png", "model/config.json"])
def test_a_run_begins_nowhere_where_it_would_overwrite_something(tiny_model, data, tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("thesis")
    with pytest.raises(RecipeError, match="that a run would overwrite"):
        recipes.train("decoder", "debug", data, tmp_path, [f"tokenizer={tiny_model}", *FEW], progress=False)
    assert tree(tmp_path) == {name: b"thesis"}
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match="is a file"):
        recipes.train("decoder", "debug", data, tmp_path / "file", [f"tokenizer={tiny_model}", *FEW], progress=False)


def test_a_run_without_a_checkpoint_begins_again(own_run, tiny_model, data):
    with pytest.raises(RecipeError, match="resume it with --resume"):
        recipes.train("decoder", "debug", data, own_run, [f"tokenizer={tiny_model}", *FEW], progress=False)
    shutil.rmtree(own_run / "checkpoints")
    changes = [f"tokenizer={tiny_model}", *FEW]
    assert recipes.train("decoder", "debug", data, own_run, changes, progress=False).step == 2


def test_notes_of_the_user_in_a_checkpoint_stay(own_run, data):
    notes = own_run / "checkpoints" / "step-00000002" / "notes.txt"
    notes.write_text("the best one")
    (own_run / "checkpoints" / "step-of-mine").mkdir()
    changes = ["loop.steps=5", "loop.kept=1", "loop.checkpoint_every_s=0"]
    recipes.train("decoder", "debug", data, own_run, changes, resume=True, progress=False)
    assert notes.read_text() == "the best one"


@pytest.mark.parametrize("part", ["language", "decoder"])
def test_a_dry_run_writes_nothing_beside_the_data(tiny_model, data, tmp_path, monkeypatch, part):
    bare = shutil.copytree(data, tmp_path / "bare", ignore=shutil.ignore_patterns("codes-*", ".codes-*"))
    monkeypatch.chdir(tmp_path)
    before = tree(tmp_path)
    changes = [f"tokenizer={tiny_model}", *FEW]
    measured = recipes.train(part, "debug", bare, tmp_path / "run", changes, dry_run=True)
    assert measured.steps == 2
    assert tree(tmp_path) == before


def test_a_part_of_other_codes_is_no_start(tiny_model, data, other_tokenizer, tmp_path):
    changes = [f"tokenizer={other_tokenizer}", f"start={tiny_model}", *FEW]
    with pytest.raises(RecipeError, match="learnt the codes of another tokenizer"):
        recipes.train("decoder", "debug", data, tmp_path / "run", changes, progress=False)
    assert not (tmp_path / "run").exists()


def test_parts_of_other_tokenizers_are_not_joined(tiny_model, run, other_tokenizer, tmp_path):
    for parts in ((other_tokenizer, tiny_model, tiny_model), (other_tokenizer, tiny_model, run)):
        with pytest.raises(ModelError, match=r"the language in .* learnt the codes of another tokenizer"):
            assemble(*parts, tmp_path / "made")
    assert not (tmp_path / "made").exists()
    alone = shutil.copytree(run / "model", tmp_path / "alone")
    language = shutil.copytree(tiny_model / "language", tmp_path / "language")
    with pytest.raises(ModelError, match=r"the decoder in .* learnt"):
        assemble(other_tokenizer, language, alone, tmp_path / "made")
    assert assemble(tiny_model, tiny_model, alone, tmp_path / "made").index["name"] == "made"


def test_parts_that_do_not_tell_are_joined_with_a_warning(tiny_model, tmp_path, caplog):
    bare = {part: shutil.copytree(tiny_model / part, tmp_path / f"bare-{part}") for part in ("language", "decoder")}
    with caplog.at_level(logging.WARNING, "lantu"):
        assemble(tiny_model, bare["language"], bare["decoder"], tmp_path / "made")
    told = [record.getMessage() for record in caplog.records]
    assert ["not checked" in text for text in told] == [True, True]


def test_a_control_stays_with_its_decoder(tiny_model, data, tmp_path):
    changes = [f"tokenizer={tiny_model}", f"start={tiny_model}", *FEW]
    recipes.train("control", "debug", data, tmp_path / "control", changes, progress=False)
    config = ControlNetwork.load(tmp_path / "control" / "model").config
    assert config.decoder == identity.weights_digest(tiny_model / "decoder")
    assert assemble(tiny_model, tiny_model, tiny_model, tmp_path / "made", control=tmp_path / "control").controlled
    other = PixelDecoder.load(tiny_model / "decoder")
    other.out.linear.bias += 1.0
    other.config = other.config.model_copy(update={"tokenizer": config.tokenizer})
    other.save(tmp_path / "decoder")
    with pytest.raises(ModelError, match="trained beside another decoder"):
        assemble(tiny_model, tiny_model, tmp_path / "decoder", tmp_path / "other", control=tmp_path / "control")


def test_one_resolver_takes_runs_models_names_and_folders(tiny_model, run, monkeypatch):
    monkeypatch.setenv("LANTU_MODELS", str(tiny_model.parent))
    assert part_folder(run, "decoder") == part_folder(run / "model", "decoder") == run / "model"
    for source in (tiny_model, str(tiny_model), tiny_model.name, tiny_model / "tokenizer"):
        assert part_folder(source, "tokenizer").samefile(tiny_model / "tokenizer")
    for source in (run, run / "model"):
        with pytest.raises(ModelError, match="holds a decoder, not a tokenizer"):
            part_folder(source, "tokenizer")


def test_the_shipped_tokenizer_keeps_its_digest():
    """Codes beside data, and parts, are known by it."""
    digest = identity.codes_digest(part_folder("lantu-emoji", "tokenizer"))
    assert digest == "c1d3c3ff6a1a4b5ffc9f9e1d863e2413209f9219427f48795b5d412b1665e84c"


def test_the_commands_say_so_in_a_line(tiny_model, own_run, data, other_tokenizer, monkeypatch, capsys):
    monkeypatch.setenv("LANTU_MODELS", str(tiny_model.parent))
    train = ["train", "decoder", "--data", str(data), "-o", str(own_run)]
    assert main([*train, "--resume"]) == 0  # neither recipe nor tokenizer need be repeated
    capsys.readouterr()
    for arguments, said in (
        ([*train, "--resume", "--tokenizer", str(other_tokenizer)], "another tokenizer"),
        ([*train, "--resume", "--recipe", "emoji"], "another recipe"),
        ([*train, "--recipe", "debug", "--tokenizer", str(tiny_model)], "resume it with --resume"),
        ([*train[:-1], str(own_run / "new"), "--resume"], "leave out --resume"),
        (["train", "tokenizer", "--data", str(data), "--start", "tiny"], "the tokenizer in"),
    ):
        assert main(arguments) == 2
        told = capsys.readouterr().err
        assert said in told
        assert told.count("\n") == 1
    for tokenizer in (tiny_model.name, str(tiny_model), str(tiny_model / "tokenizer")):
        assert main(["data", "tokenize", str(data), "--tokenizer", tokenizer]) == 0
    export = ["data", "export", str(data), "-o", str(own_run / "x.jsonl")]
    assert main([*export, "--tokenizer", "tiny", "--language", "tiny"]) == 0
    capsys.readouterr()
    assert main([*export, "--tokenizer", str(other_tokenizer), "--language", "tiny"]) == 2
    assert "another tokenizer" in capsys.readouterr().err
