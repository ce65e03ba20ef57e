"""A model of several codes a cell, served: drawings as in the library, and whole cells redrawn."""

import numpy as np
import pytest
from running import serving

from lantu.pipeline import Model


@pytest.fixture(scope="module")
def served(residual_model):
    with serving(residual_model) as running:
        yield running


def test_a_code_of_a_cell_names_the_cell(served, residual_model):
    *_, last = served.events("/v1/lantu/draw", json={"prompt": "a cat", "seed": 3})
    codes = last["picture"]["codes"]
    assert codes == Model.load(residual_model, "cpu").draw("a cat", seed=3).codes.tolist()
    asked = {"prompt": "a dog", "codes": codes, "cells": [[1, 4], [2, 9], [2, 11]], "seed": 1}
    *_, last = served.events("/v1/lantu/redraw", json=asked)
    changed = np.array(last["picture"]["codes"]) != np.array(codes)
    kept = np.ones((4, 12), bool)
    kept[1, 3:6] = kept[2, 9:12] = False
    assert not changed[kept].any()
    assert changed[~kept].any()


def test_codes_of_other_levels_are_refused(served):
    answer = served.post("/v1/lantu/render", json={"codes": [[1, 2, 3]]})
    assert answer.status_code == 400
    assert "one of each level in turn" in answer.text
