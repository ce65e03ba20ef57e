"""A model is scored on, and its settings are chosen by, pictures of a user's own."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from lantu.data.build import build_folder
from lantu.errors import DataError
from lantu.evaluation.trial import OWN
from lantu.models.lantu.folder import LantuFolder
from lantu.pipeline import Model
from lantu.recipes import own, pace, pictures, tuning, variety
from lantu.recipes.assemble import assemble
from lantu.recipes.scores import composer_of, evaluate
from lantu.tokens.document import draw_prefix

PARTS = ("tokenizer", "language", "decoder")


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """No network can be had: colours and edges judge."""

    def refuse(*arguments):
        raise DataError("can't fetch it", "check the network")

    monkeypatch.setattr("lantu.features.efficientnet.load_efficientnet", refuse)
    monkeypatch.setattr("lantu.features.lpips.load_lpips", refuse)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Makes a data folder of ``count`` plain pictures, once each."""

    def make(count: int, captioned: bool = True, size: int = 32):
        place = tmp_path_factory.mktemp("own")
        for number in range(count):
            picture = place / "pictures" / f"{number}.png"
            picture.parent.mkdir(exist_ok=True)
            colour = np.random.default_rng(number).integers(0, 256, 3, np.uint8)
            Image.fromarray(np.broadcast_to(colour, (40, 50, 3))).save(picture)
            if captioned:
                picture.with_suffix(".txt").write_text(f"colour {number}\n颜色{number}号\n", encoding="utf-8")
        return build_folder(place / "pictures", place / "data", size=size, val=0.3, workers=1)

    return make


@pytest.fixture(scope="module")
def data(folders):
    return folders(20)


def parts(model):
    return [model / part for part in PARTS]


@pytest.mark.parametrize("size", [32, 16])
def test_all_suites_of_own_pictures(tiny_model, folders, tmp_path, size):
    scores = evaluate(Model.load(tiny_model), folders(10, size=size), limit=3, out=tmp_path)
    assert tuple(scores) == OWN
    for suite in scores.values():
        assert {"score", "ceiling", "round_trip"} <= set(suite)
        assert all(0 <= suite[name] <= (2 if "unit" in suite else 1) for name in ("score", "ceiling", "round_trip"))
        assert (suite["n"], suite["split"]) == (3, "val")
    assert scores["drawing"]["ceiling"] == scores["caption"]["ceiling"] == 1  # every caption is of one picture
    assert scores["reconstruction"]["details"]["score"]["psnr"] > 0
    assert abs(scores["reconstruction"]["details"]["score"]["moved_db"]) < 20
    assert "fd_colours_and_edges" in scores["drawing"]["details"]["score"]
    assert len(scores["codes"]["notes"]) == 3  # of the network, of LPIPS, and that no two pictures have one caption
    assert scores["variety"]["unit"] == "distance"
    assert {path.name for path in tmp_path.iterdir()} == {"scores.json", "scores.txt", "sheet.png"}
    json.dumps(scores)


def test_the_loss_of_codes_is_that_of_the_model(tiny_model, data):
    """In nats among codes, as the drafting kernels have it, one picture at a time."""
    model = Model.load(tiny_model)
    details = evaluate(model, data, ["codes"], limit=2)["codes"]["details"]["score"]
    album = pictures.Album(data, model.size)
    vocabulary, language = model.parts.vocabulary, model.parts.language
    nats, right = [], []
    for one in album.some(2, 0):
        codes = model.tokenize(Image.fromarray(one.image)).flatten()
        prefix = draw_prefix(model.parts.text.encode(one.prompt), *model.folder.grid, vocabulary)
        for place, code in enumerate(codes):
            ids = [*prefix, *(codes[:place] + vocabulary.first_code)]
            row = language.open(len(ids))
            language.read([row], [ids])
            logits = language.logits([row], (range(vocabulary.first_code, vocabulary.size),))[0].astype(np.float64)
            nats.append(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[code])
            right.append(logits.argmax() == code)
    assert details["nats"] == pytest.approx(np.mean(nats), abs=0.02)
    assert details["score"] == pytest.approx(np.mean(right), abs=0.1)
    assert details["nats_uniform"] == pytest.approx(np.log(32))


def test_what_needs_captions_is_left_out_in_a_line(tiny_model, folders):
    data, model = folders(4, captioned=False), Model.load(tiny_model)
    scores = evaluate(model, data)
    assert tuple(scores) == ("codes", "reconstruction")
    assert any("no captions" in note for note in scores["codes"]["notes"])
    with pytest.raises(DataError, match="--suites codes,reconstruction"):
        evaluate(model, data, ["drawing"])


def test_a_model_without_captions_is_scored_in_limited_time_too(tiny_model, folders):
    scores = evaluate(Model.load(tiny_model), folders(6, captioned=False), limit=3, minutes=1e-6)
    assert set(scores) == {"codes", "reconstruction"}


def test_without_validation_pictures_those_for_training_are_scored_and_that_is_told(tiny_model, folders):
    scores = evaluate(Model.load(tiny_model), folders(1), ["codes", "drawing"])
    assert {suite["split"] for suite in scores.values()} == {"train"}
    assert "validation" in scores["codes"]["notes"][0]


def test_suites_of_scenes_are_no_suites_of_own_pictures(tiny_model, data):
    with pytest.raises(DataError, match="codes, reconstruction, drawing, caption, variety"):
        evaluate(Model.load(tiny_model), data, ["pairs"])


def test_a_model_finds_its_own_pictures_until_they_are_moved(tiny_model, folders, tmp_path):
    data = folders(4)
    model = assemble(*parts(tiny_model), tmp_path / "mine", data=data)
    assert evaluate(Model.load(model.path), suites=["codes"])["codes"]["n"] == 1
    moved = shutil.move(data, data.with_name("moved"))
    with pytest.raises(DataError, match=r"no longer in .*: give their folder: --data DIR"):
        evaluate(Model.load(model.path), suites=["codes"])
    assert evaluate(Model.load(model.path), moved, suites=["codes"])["codes"]["n"] == 1


def test_a_model_that_kept_no_folder_finds_what_the_cache_has(tiny_model, folders, tmp_path, monkeypatch):
    """As 0.1 wrote them."""
    data = folders(4)
    monkeypatch.setenv("LANTU_CACHE", str(tmp_path))
    shutil.copytree(data, tmp_path / "data" / "pictures-32")
    model = assemble(*parts(tiny_model), tmp_path / "mine", data=data)
    del (index := model.index)["data"]["folder"]
    (model.path / "model_index.json").write_text(json.dumps(index))
    assert pictures.own_data(LantuFolder(model.path)) == tmp_path / "data" / "pictures-32"


@pytest.mark.parametrize("told", [{}, {"world": "few"}, {"size": 32}, [1]])
def test_an_index_that_tells_too_little_asks_for_the_data(tiny_model, tmp_path, told):
    model = assemble(*parts(tiny_model), tmp_path / "mine")
    (model.path / "model_index.json").write_text(json.dumps({**model.index, "data": told}))
    with pytest.raises(DataError, match="--data"):
        evaluate(Model.load(model.path), suites=["single"])
    with pytest.raises(DataError, match="--data"):
        composer_of(Model.load(model.path), None)


def test_captions_are_judged_by_their_words(data, tiny_model):
    album = pictures.Album(data, (32, 32))
    two = album.some(2, 0)
    other = [two[1].prompt, two[0].prompt]
    assert [verdict["score"] for verdict in own.judge_words(two, [one.prompt for one in two])] == [1, 1]
    same = two[0].language == two[1].language
    assert not same or [verdict["score"] for verdict in own.judge_words(two, other)] == [0, 0]
    assert own.overlap(own.words("A red cat"), own.words("a cat")) == pytest.approx(0.8)
    assert own.overlap(own.words("一只猫"), own.words("猫")) == pytest.approx(0.5)
    assert own.overlap(own.words(""), own.words("猫")) == 0


@pytest.fixture
def fewer(monkeypatch):
    """Fewer settings are tried, on fewer pictures."""
    monkeypatch.setattr(tuning, "GUIDANCE", (1.5, 1.0))
    monkeypatch.setattr(tuning, "TEMPERATURE", (0.3, 1.0))
    monkeypatch.setattr(tuning, "DECODERS", (("euler", 2), ("consistency", 1)))
    monkeypatch.setattr(tuning, "FEWEST", 4)


def test_settings_are_chosen_and_kept_with_what_was_tried(tiny_model, data, tmp_path, fewer):
    model = assemble(*parts(tiny_model), tmp_path / "mine", data=data, draw=tuning.USUAL)
    told = []
    choice = tuning.tune(model, data, seed=1, progress=lambda done, total: told.append((done, total)))
    index = json.loads((model.path / "model_index.json").read_text())
    assert index["draw"] == {**tuning.USUAL, **choice.settings}
    assert set(choice.settings) == {"guidance", "temperature", "steps", "sampler"}
    assert len(index["tuned"]["drafts"]) == len(tuning.GUIDANCE) * len(tuning.TEMPERATURE)
    assert [one["drawn"] for one in choice.drafts].count(2) == tuning.FINALISTS
    assert LantuFolder(model.path).settings.steps == choice.settings["steps"]
    assert told[-1][0] == told[-1][1]
    assert tuning.tune(model, data, seed=1) == choice
    assert "colours_and_edges" in choice.line()
    assert sum(row[-1] == "chosen" for row in choice.rows()) == 1


def test_settings_that_draw_the_truth_are_chosen(tiny_model, data, monkeypatch):
    """A generator that draws right at one temperature only, and renders well with one sampler only."""
    model = Model.load(tiny_model)
    album = pictures.Album(data, model.size)
    true = {one.prompt: one.image for one in album.some(99, 0, captioned=True)}

    class Fake:
        def __init__(self, model, **told):
            self.told = told

        def draw(self, prompts, seeds):
            images = np.stack([true[prompt] for prompt in prompts])
            wrong = np.stack([np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8) for seed in seeds])
            return images if (self.told["guidance"], self.told["temperature"]) == (2.0, 1.0) else wrong

        def reconstruct(self, images):
            return images if self.told["sampler"] == "consistency" else 255 - images

    monkeypatch.setattr(tuning, "ModelGenerator", Fake)
    monkeypatch.setattr(tuning, "FEWEST", 4)
    choice = tuning.Tuner(model, album, {}, 0, lambda done, total: None, lambda note: None).choose()
    assert choice.settings == {"sampler": "consistency", "steps": 2, "guidance": 2.0, "temperature": 1.0}


def test_settings_that_are_set_stay(tiny_model, data, fewer):
    model = Model.load(tiny_model)
    album = pictures.Album(data, model.size)
    notes: list[str] = []

    def choose(**fixed):
        return tuning.Tuner(model, album, fixed, 0, lambda done, total: None, notes.append).choose()

    assert set(choose(guidance=2.5, steps=3, sampler="euler").settings) == {"temperature"}
    assert set(choose(guidance=2.5, temperature=0.5, sampler="heun").settings) == {"steps"}
    given = {"guidance": 2.5, "temperature": 0.0, "steps": 3}
    assert choose(**given) == tuning.Choice({})
    # Another model may still draw better with them.
    valued = tuning.Tuner(model, album, given, 0, lambda done, total: None, notes.append, valued=True).choose()
    assert valued.settings == {}
    assert valued.value is not None
    assert [one["drawn"] for one in valued.drafts] == [2]


def test_too_few_captions_leave_the_usual_settings_and_say_so(tiny_model, folders):
    model, notes = Model.load(tiny_model), []
    album = pictures.Album(folders(3), model.size)
    choice = tuning.Tuner(model, album, {}, 0, lambda done, total: None, notes.append).choose()
    assert set(choice.settings) == {"steps", "sampler"}
    assert any(note.startswith("can't choose guidance and temperature: 3 pictures") for note in notes)
    notes.clear()
    given = {"guidance": 2.0, "temperature": 0.5}
    assert set(tuning.Tuner(model, album, given, 0, lambda *_: None, notes.append).choose().settings) <= {
        "steps",
        "sampler",
    }
    assert not any("can't choose" in note for note in notes)


def test_few_validation_pictures_are_joined_by_those_for_training(tiny_model, folders):
    model = Model.load(tiny_model)
    tuner = tuning.Tuner(model, pictures.Album(folders(9), model.size), {}, 0, lambda *_: None, lambda note: None)
    chosen = tuner.pictures(32, captioned=True)
    assert len(chosen) == len({one.key for one in chosen}) == tuning.FEWEST


def test_spread_is_none_of_the_same_and_large_of_one_picture():
    rng = np.random.default_rng(0)
    true, other = rng.normal(size=(2, 64, 4))
    assert tuning.spread(true, true) == pytest.approx(0, abs=1e-6)
    assert tuning.spread(other, true) < 0.2 < tuning.spread(np.repeat(other[:1], 64, 0), true)


def test_runs_tell_their_data(data, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"data": str(data)}))
    assert tuning.data_of(tmp_path / "nothing", tmp_path) == data
    (tmp_path / "config.json").write_text(json.dumps({"data": str(tmp_path / "gone")}))
    assert tuning.data_of(tmp_path) is None


def test_references_hold_what_is_asked_for_and_few_of_one_caption(data):
    album = pictures.Album(data, (32, 32))
    asked = album.some(3, 0)
    references = album.references(asked, 10, 1, 0)
    assert references[:3] == asked
    assert len({one.captions for one in references}) == len(references) == 10


def test_variety_is_beside_that_of_true_pictures_of_the_same_caption(tiny_model, tmp_path, monkeypatch):
    """Two labels, each of pictures that differ. Who draws one picture for all seeds has none."""
    for number in range(24):
        rng = np.random.default_rng(number)
        picture = tmp_path / "in" / f"{number}.png"
        picture.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(picture)
        picture.with_suffix(".txt").write_text(["a red box\n", "a blue box\n"][number % 2])
    data = build_folder(tmp_path / "in", tmp_path / "data", size=32, val=0.3, workers=1)
    model = Model.load(tiny_model)
    found = evaluate(model, data, ["variety"], limit=6)["variety"]
    assert found["n"] == 2
    assert found["ceiling"] > 0.3
    assert not any("same caption" in note for note in found["notes"])
    assert found["score"] > 0.01
    low, high = found["interval"]
    assert low <= found["score"] <= high
    monkeypatch.setattr(variety, "draw", lambda exam, one, seed: np.stack([one.image] * variety.SEEDS))
    frozen = evaluate(model, data, ["variety"], limit=6)["variety"]
    assert frozen["score"] == pytest.approx(0, abs=1e-5)
    assert frozen["ceiling"] == found["ceiling"]


def test_with_little_time_fewer_pictures_are_taken_and_that_is_told(tiny_model, data):
    model = Model.load(tiny_model)
    scores = evaluate(model, data, ["codes", "reconstruction", "caption"], limit=6, minutes=1e-6)
    assert [suite["n"] for suite in scores.values()] == [6, pace.LEAST, pace.LEAST]
    assert any("caption: 4 pictures instead of 6" in note for note in scores["caption"]["notes"])
    notes: list[str] = []
    album = pictures.Album(data, model.size)
    hurried = tuning.Tuner(model, album, {}, 0, lambda *_: None, notes.append, 1e-6).choose()
    assert len(hurried.drafts) == 2
    assert any("2 of 12 drafts" in note for note in notes)


def test_changed_pictures_are_told(tiny_model, folders, tmp_path):
    data = shutil.copytree(folders(4), tmp_path / "data")
    model = assemble(*parts(tiny_model), tmp_path / "mine", data=data)
    assert model.index["data"]["source"] == "folder"
    index = json.loads((data / "index.json").read_text())
    (data / "index.json").write_text(json.dumps({**index, "digest": "other"}))
    scores = evaluate(Model.load(model.path), suites=["codes"])
    assert any("have changed since mine was trained" in note for note in scores["codes"]["notes"])
