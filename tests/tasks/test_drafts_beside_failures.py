"""What becomes of a draft whose engine failed at another one."""

import pytest

import lantu
from lantu.errors import LantuError


def test_a_stream_whose_draft_was_ended_by_another_drawing_gives_no_picture(tiny_model, monkeypatch):
    model = lantu.load(tiny_model, device="cpu")
    steps = model.stream("a cat", seed=1, every=2)
    next(steps)
    language = model.parts.language

    def fail(*_):
        raise MemoryError("no memory for this pass")

    with monkeypatch.context() as failing:
        failing.setattr(language, "read", fail)
        with pytest.raises(MemoryError):
            model.draw("a dog", seed=2)
    with pytest.raises(LantuError, match="ended by an error in another one: draw it again"):
        list(steps)
    assert model.draw("a cat", seed=1).codes.min() >= 0
