"""What the public API takes in more than one form."""

import numpy as np
import pytest

import lantu
from lantu.errors import ImageError, LantuError


@pytest.fixture(scope="module")
def model(tiny_model):
    return lantu.load(tiny_model, "cpu")


def parts_of(answer):
    return [part if isinstance(part, str) else part.codes.tolist() for part in answer]


def test_a_text_or_a_picture_alone_is_a_turn(model):
    picture = model.draw("a cat", seed=1)
    for alone in ("draw a cat", picture, picture.image):
        listed = model.chat([alone], seed=3)
        assert parts_of(model.chat(alone, seed=3)) == parts_of(listed)
        later = model.chat(["and now?"], before=[[alone], listed], seed=4)
        assert parts_of(model.chat("and now?", before=[alone, listed], seed=4)) == parts_of(later)


def test_a_size_may_be_written_as_the_command_writes_it(model):
    wide = model.draw("a cat", seed=1, size=(48, 32))
    for size in ("48x32", [48, 32], np.array([48, 32])[[0, 1]].tolist(), (np.int64(48), np.int64(32))):
        assert np.array_equal(model.draw("a cat", seed=1, size=size).codes, wide.codes)
    assert next(iter(model.stream("a cat", seed=1, size="48x32"))).preview.size == (48, 32)
    assert model.draw("a cat", seed=1, size="1:1").image.size == (32, 32)


@pytest.mark.parametrize("size", [128, "big", (32,), (32, 32, 3), (32.5, 32), ("32", "32")])
def test_a_size_that_cant_be_read_is_refused(model, size):
    for draw in (model.draw, model.stream):
        with pytest.raises(LantuError, match="can't be read"):
            draw("a cat", size=size)


def test_a_size_that_no_picture_has_is_refused_as_before(model):
    with pytest.raises(ImageError, match="33x32"):
        model.draw("a cat", size="33x32")
