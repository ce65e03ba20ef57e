"""Sampling parameters: what they may be, and that they stay plain numbers."""

import json
from fractions import Fraction

import numpy as np
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
        {"refine": 2e-6},  # a second pass would plan millions of steps
        {"refine": 5e-324},
        {"refine": -0.1},
        {"steps": True},
        {"steps": np.float32(3)},
        {"temperature": np.float64("nan")},
        {"temperature": np.bool_(True)},
    ],
)
def test_out_of_range(setting):
    with pytest.raises(LantuError, match=f"{next(iter(setting))} can't be"):
        SamplingParams(**setting)


def test_sensible_strengths_of_a_second_pass():
    assert [SamplingParams(refine=strength).refine for strength in (0, 0.01, 0.3, 1)] == [0, 0.01, 0.3, 1]


def test_numbers_of_other_libraries_become_plain_ones():
    params = SamplingParams(steps=np.int64(8), temperature=np.float32(0.5), guidance=Fraction(3, 2)).change(
        top_k=np.uint8(9)
    )
    assert params == SamplingParams(steps=8, temperature=0.5, guidance=1.5, top_k=9)
    assert {type(value) for value in params.as_dict().values()} == {int, float, str}
    assert SamplingParams.read(json.loads(json.dumps(params.as_dict()))) == params
