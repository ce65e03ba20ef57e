"""The card of the shipped model lists its words, and its script writes them."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from lantu.data.styles import STYLES

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "models" / "lantu-emoji"


@pytest.fixture(scope="module")
def card():
    spec = importlib.util.spec_from_file_location("lantu_card", ROOT / "scripts" / "card.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def known():
    return json.loads((MODEL / "words.json").read_text(encoding="utf-8"))


def written(card, monkeypatch, capsys, tmp_path, *more, model=MODEL):
    shares = {"score": 0.5, "en": 0.25, "zh": 0.75, "template": 0.625, "free": 0.375}
    suite = {
        "score": 0.5,
        "round_trip": 0.8,
        "ceiling": 1.0,
        "n": 128,
        "details": dict.fromkeys(("score", "round_trip"), shares),
    }
    scores = dict.fromkeys(("single", "language", "caption"), suite)
    (tmp_path / "scores.json").write_text(json.dumps(scores))
    (tmp_path / "steps").write_text("| decoder |\n")
    (tmp_path / "made").write_text("By hand.\n")
    files = [str(tmp_path / name) for name in ("scores.json", "steps", *more)]
    monkeypatch.setattr("sys.argv", ["card.py", str(model), *files])
    card.main()
    return capsys.readouterr().out


def test_the_card_lists_what_the_model_knows(card, known):
    text = (MODEL / "README.md").read_text(encoding="utf-8")
    index = json.loads((MODEL / "model_index.json").read_text(encoding="utf-8"))
    assert card.words(known, index["data"]) in text
    assert all(name in text for language in ("en", "zh") for name in known["names"][language])


def test_a_new_card_says_what_its_data_was(card, monkeypatch, capsys, tmp_path):
    text = written(card, monkeypatch, capsys, tmp_path)
    assert all(STYLES[style].attribution in text for style in ("noto", "twemoji"))
    assert STYLES["fxemoji"].attribution not in text
    assert "| single | 50.0%, 41.5% to 58.5% | 25.0% | 75.0% | 80.0% | 100.0% | 62% |" in text
    assert "62.5%, in free wording that training\nnever has 37.5%" in text.replace("training never", "training\nnever")
    assert "count above four" in text
    assert "story.sh" in text
    assert "By hand." in written(card, monkeypatch, capsys, tmp_path, "made")


def test_it_says_how_many_pixels_are_made_of_how_many(card, monkeypatch, capsys, tmp_path):
    from lantu.models.lantu.upscaler.config import UpscalerConfig
    from lantu.models.lantu.upscaler.network import Upscaler

    model = shutil.copytree(MODEL, tmp_path / "model", ignore=shutil.ignore_patterns("upscaler"))
    assert "renders them\nat 128x128. " in written(card, monkeypatch, capsys, tmp_path, model=model)
    Upscaler(UpscalerConfig(width=16, layers=1)).save(model / "upscaler")
    text = written(card, monkeypatch, capsys, tmp_path, model=model)
    assert "renders them\nat 128x128, and convolutions make 256x256 of these. " in text


def test_of_things_anywhere_it_says_so(card, known):
    data = {"styles": ["streamline"], "placement": "anywhere"}
    text = card.words(known | {"counts": 6}, data)
    assert "counts from two to six" in text
    assert "Streamline or outlined" in text
    assert "starry night" in text
