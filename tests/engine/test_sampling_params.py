"""The parameters that lantu 0.1 called otherwise: its files, keywords, options and request bodies go on working."""

import json
import shutil

import pytest

from lantu.engine.sampling_params import SamplingParams
from lantu.images.metadata import read_picture
from lantu.models.lantu.folder import LantuFolder
from lantu.server.routes.schemas import Generation

NOW = SamplingParams(num_draft_tokens=4, min_accepted=2)


def test_a_mapping_of_0_1_is_read():
    assert SamplingParams.read({"ahead": 4, "least": 2, "other": 1}) == NOW
    assert SamplingParams.read({"ahead": 9, "num_draft_tokens": 4, "least": 2}) == NOW
    assert SamplingParams.read(NOW.as_dict()) == NOW


def test_keywords_of_0_1_work_and_warn():
    with pytest.warns(DeprecationWarning, match="ahead is now num_draft_tokens") as warned:
        assert SamplingParams(min_accepted=2).change(ahead=4) == NOW
    assert [warning.filename for warning in warned] == [__file__]  # else Python does not show it


def test_a_model_directory_of_0_1_is_opened(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"draw": {"ahead": 4, "least": 2}}))
    assert LantuFolder(folder).settings == NOW


def test_a_body_of_0_1_is_accepted():
    expected = {"num_draft_tokens": 4, "min_accepted": 2}
    assert Generation.model_validate({"prompt": "a cat", "ahead": 4, "least": 2}).sampling_fields() == expected
    assert "ahead" not in Generation.model_json_schema()["properties"]


def test_options_of_0_1_draw_the_same_and_name_the_new_ones(lantu, tmp_path):
    code, _, error = lantu("draw", "a cat", "--seed", 1, "--ahead", 3, "--least", 2, "-o", "old.png")
    assert code == 0
    assert "--ahead is called --num-draft-tokens now" in error
    settings = read_picture(tmp_path / "old.png").settings
    assert (settings["num_draft_tokens"], settings["min_accepted"]) == (3, 2)
    code, _, error = lantu("draw", "a cat", "--seed", 1, "--num-draft-tokens", 3, "--min-accepted", 2, "-o", "new.png")
    assert code == 0
    assert "is called" not in error
    assert (tmp_path / "old.png").read_bytes() == (tmp_path / "new.png").read_bytes()


def test_a_dial_of_0_1_can_be_set(capsys):
    from lantu.commands.options import parse_overrides

    assert parse_overrides(["ahead=4", "least=2"]) == {"num_draft_tokens": 4, "min_accepted": 2}
    assert "the setting ahead is called num_draft_tokens now" in capsys.readouterr().err
