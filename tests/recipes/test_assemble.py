"""Parts become a model, or a clear error."""

import json
import shutil

import pytest

from lantu import recipes
from lantu.errors import DiskError, ModelError, RecipeError
from lantu.recipes.assemble import assemble, together


def test_parts_become_a_model_with_a_card(tiny_model, tmp_path):
    card = tmp_path / "card.md"
    card.write_text("# mine\n")
    parts = [tiny_model / part for part in ("tokenizer", "language", "decoder")]
    model = assemble(*parts, tmp_path / "mine", licence="Apache-2.0", card=card, draw={"guidance": 5.0})
    assert model.name == "mine"
    assert model.settings.guidance == 5.0
    assert model.index["license"] == "Apache-2.0"
    assert (model.path / "README.md").read_text() == "# mine\n"
    again = assemble(*parts, tmp_path / "mine")
    assert again.digest == model.digest


def test_parts_of_other_codes_are_refused_and_nothing_is_left(tiny_model, tmp_path):
    decoder = tmp_path / "decoder"
    shutil.copytree(tiny_model / "decoder", decoder)
    config = json.loads((decoder / "config.json").read_text())
    (decoder / "config.json").write_text(json.dumps(config | {"codebook_size": 99}))
    with pytest.raises(ModelError, match="codebooks of different sizes"):
        assemble(tiny_model / "tokenizer", tiny_model / "language", decoder, tmp_path / "mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["decoder"]


def test_a_missing_part_is_named(tiny_model, tmp_path):
    with pytest.raises(ModelError, match="no trained language"):
        assemble(tiny_model / "tokenizer", tmp_path, tiny_model / "decoder", tmp_path / "mine")


def test_unknown_parts_and_recipes_are_named(tmp_path):
    with pytest.raises(RecipeError, match="tokenizer, language, decoder"):
        recipes.names("painter")
    with pytest.raises(RecipeError, match="choose one of"):
        recipes.train("decoder", "nothing", tmp_path, tmp_path)
    for part in set(recipes.PARTS) - {"rival"}:  # whose recipes are called as their systems
        assert {"debug", "emoji"} <= set(recipes.names(part))


def test_a_model_lists_the_words_of_its_data(tiny_model, tmp_path):
    import csv

    from PIL import Image

    from lantu.data.build import build_folder
    from lantu.pipeline import Model

    with (tmp_path / "table.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "caption"])
        for number in range(8):
            Image.new("RGB", (32, 32), (30 * number, 0, 0)).save(tmp_path / f"{number}.png")
            rows.writerow([f"{number}.png", "a red square"])
    data = tmp_path / "data"
    build_folder(tmp_path / "table.csv", data, size=32)
    made = assemble(tiny_model, tiny_model, tiny_model, tmp_path / "made", data=data)
    model = Model(made)
    assert model.parts.layout.warnings("please draw two red squares") == []
    assert [one.word for one in model.parts.layout.unknown_words("a red circle")] == ["circle"]
    for tar in data.glob("*.tar"):
        tar.unlink()
    made = assemble(tiny_model, tiny_model, tiny_model, tmp_path / "made", data=data)  # as before there were lists
    assert Model(made).parts.layout.warnings("a red circle") == []


def test_only_a_model_is_replaced_by_a_model(tiny_model, tmp_path, monkeypatch):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("thesis")
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.json").write_text("{}")
    (tmp_path / "file").write_text("thesis")
    parts = [tiny_model] * 3
    monkeypatch.chdir(precious)
    for out in (precious, ".", "..", run, tmp_path / "file", tmp_path):
        with pytest.raises(DiskError):
            assemble(*parts, out)
    made = assemble(*parts, tmp_path / "made")
    (made.path / "decoder" / "notes.txt").write_text("thesis")
    with pytest.raises(DiskError, match=r"decoder/notes\.txt"):
        assemble(*parts, made.path)
    files = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert {"thesis.txt", "file", "notes.txt"} <= files
    assert (run / "checkpoints").is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "made", "precious", "run"]


def test_a_model_is_not_replaced_by_its_own_parts(tiny_model, tmp_path):
    made = assemble(*[tiny_model] * 3, tmp_path / "made").path
    for out in (made, made / "decoder" / "new"):
        with pytest.raises(DiskError, match="the decoder that it is made of"):
            assemble(tiny_model, tiny_model, made, out)
    assert not (made / "decoder" / "new").exists()


def test_errors_name_the_model_and_not_the_folder_that_is_being_written(tiny_model, tmp_path):
    with pytest.raises(ModelError, match="tiny is no pretrained decoder"):
        assemble(*[tiny_model] * 3, tmp_path / "made", refiner=tiny_model)
    parts = shutil.copytree(tiny_model, tmp_path / "parts")
    (parts / "decoder/model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match=r"/made/decoder"):
        assemble(*[parts] * 3, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_a_card_stays_until_another_is_given(tiny_model, tmp_path):
    made = assemble(*[tiny_model] * 3, tmp_path / "made").path
    (made / "README.md").write_text("# written by hand\n")
    assemble(*[tiny_model] * 3, made)
    assert (made / "README.md").read_text() == "# written by hand\n"
    (tmp_path / "card.md").write_text("# another\n")
    assemble(*[tiny_model] * 3, made, card=tmp_path / "card.md")
    assert (made / "README.md").read_text() == "# another\n"
    with pytest.raises(ModelError, match="can't read the card"):
        assemble(*[tiny_model] * 3, made, card=tmp_path / "none.md")


def test_only_files_of_a_model_directory_are_copied(lantu, tiny_model, tmp_path):
    parts = tmp_path / "parts"
    shutil.copytree(tiny_model, parts)
    (parts / "language/pytorch_model.bin").write_bytes(b"a pickle")
    (parts / "language/.model.0123456789abcdef.safetensors").write_bytes(b"half")
    (tmp_path / "secret.json").write_text("{}")
    (parts / "decoder/notes.json").symlink_to(tmp_path / "secret.json")
    command = ["assemble", "--tokenizer", parts, "--language", parts, "--decoder", parts, "-o", "out"]
    code, _, err = lantu(*command)
    assert code == 0, err
    lines = [line for line in err.splitlines() if "not copied" in line]
    assert len(lines) == 2
    assert lines[0].endswith("pytorch_model.bin")
    assert lines[1].endswith("notes.json")
    assert not list((tmp_path / "out").rglob("*.bin"))
    assert not list((tmp_path / "out").rglob(".*"))
    assert not (tmp_path / "out/decoder/notes.json").exists()
    assert lantu(*command)[0] == 0  # what was assembled can be replaced
    (parts / "decoder/config.json").unlink()
    (parts / "decoder/config.json").symlink_to(tmp_path / "secret.json")
    code, _, err = lantu(*command)
    assert code == 2
    assert "link that leaves its folder" in err


def test_what_a_model_that_went_on_learning_knows_is_known_together():
    def words(name, counts=None):
        content = {
            "names": {"en": [name], "zh": []},
            "words": {"en": [], "zh": [f"{name}字"]},
            "emoji": {name: [name, name]},
        }
        return content | ({"counts": counts} if counts else {})

    related = {"en": {"zebra": ["cat"], "puppy": ["dog"]}, "zh": {}, "emoji": {"zebra": ["z", "z"], "x": ["x", "x"]}}
    newer = {"en": {"puppy": ["hound"], "cat": ["zebra"]}, "zh": {"小": ["大"]}, "emoji": {}}
    known, near = together([words("cat", 4), related], [words("zebra", 6), newer])
    assert known["names"]["en"] == ["cat", "zebra"]
    assert known["counts"] == 6
    assert near == {"en": {"puppy": ["hound"]}, "zh": {"小": ["大"]}, "emoji": {"x": ["x", "x"]}}
    assert "counts" not in together([words("cat", 4), related], [words("zebra"), {}])[0]
    assert together([words("cat"), related], [words("horse"), {}])[1]["en"] == related["en"]
    assert together((), [words("cat"), newer]) == [words("cat"), newer]
