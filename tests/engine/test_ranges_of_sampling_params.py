import pytest

from lantu.engine.sampling_params import SamplingParams
from lantu.errors import LantuError


def test_change_keeps_what_is_not_given():
    changed = SamplingParams(guidance=2.0).change(steps=3, guidance=None)
    assert (changed.guidance, changed.steps) == (2.0, 3)


def test_read_takes_only_settings():
    assert SamplingParams.read({"steps": 5, "colour": "red"}) == SamplingParams(steps=5)


def test_a_dictionary_gives_the_same_settings_back():
    settings = SamplingParams(temperature=0.5, top_k=9)
    assert SamplingParams.read(settings.as_dict()) == settings


@pytest.mark.parametrize(
    "setting",
    [
        {"steps": 0},
        {"steps": 2.5},
        {"guidance": float("nan")},
        {"guidance": -1.0},
        {"temperature": float("inf")},
        {"top_k": -1},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"render_guidance": "much"},
    ],
)
def test_out_of_range(setting):
    with pytest.raises(LantuError, match=f"{next(iter(setting))} can't be"):
        SamplingParams(**setting)
