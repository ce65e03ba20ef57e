import numpy as np
import pytest
from fake_gallery import THINGS, concept, make_gallery

from lantu.data.anywhere import SHARES, anywhere
from lantu.data.backgrounds import ALL, BACKGROUNDS, FURTHER, paint
from lantu.data.captions import say
from lantu.data.phrases import PHRASES
from lantu.data.scenes import Composer
from lantu.errors import DataError
from lantu.types import Placed


@pytest.fixture(scope="module")
def layouts():
    return [anywhere(np.random.default_rng(seed)) for seed in range(1500)]


def centre(box):
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def test_things_stand_anywhere_in_sizes_from_a_quarter_to_the_whole_and_never_overlap(layouts):
    boxes = [box for layout in layouts for box in layout.slots]
    sides = [x1 - x0 for x0, _, x1, _ in boxes]
    assert min(sides) > 0.18
    assert max(sides) > 0.97
    assert len({round(x0, 2) for x0, *_ in boxes}) > 60
    for layout in layouts:
        for number, (x0, y0, x1, y1) in enumerate(layout.slots):
            assert 0 <= x0 < x1 <= 1 + 1e-9
            assert 0 <= y0 < y1 <= 1 + 1e-9
            assert x1 - x0 == pytest.approx(y1 - y0)
            assert all(
                x1 <= a0 + 1e-9 or a1 <= x0 + 1e-9 or y1 <= b0 + 1e-9 or b1 <= y0 + 1e-9
                for a0, b0, a1, b1 in layout.slots[:number]
            )


def test_what_a_layout_says_is_so(layouts):
    true = {
        "left": lambda a: a[2] <= 0.5 + 1e-9,
        "right": lambda a: a[0] >= 0.5 - 1e-9,
        "top": lambda a: a[3] <= 0.5 + 1e-9,
        "bottom": lambda a: a[1] >= 0.5 - 1e-9,
        "top left": lambda a: a[2] <= 0.5 >= a[3],
        "bottom right": lambda a: a[0] >= 0.5 <= a[1],
        "middle": lambda a: all(abs(0.5 - one) < 0.07 for one in centre(a)),
        "big": lambda a: a[2] - a[0] > 0.85,
        "tiny": lambda a: a[2] - a[0] < 0.4,
        "beside": lambda a, b: a[2] <= b[0] + 1e-9,
        "above": lambda a, b: a[3] <= b[1] + 1e-9,
        "between": lambda a, b, c: a[2] <= b[0] + 1e-9 and b[2] <= c[0] + 1e-9,
        "stacked": lambda a, b, c: a[3] <= b[1] + 1e-9 and b[3] <= c[1] + 1e-9,
        "diagonal": lambda a, b: a[2] <= b[0] and a[3] <= b[1],
        "other diagonal": lambda a, b: a[0] >= b[2] and a[3] <= b[1],
        "roof": lambda a, b, c: a[3] <= b[1] and a[3] <= c[1] and b[2] <= c[0],
    }
    seen = {layout.relation for layout in layouts}
    assert true.keys() <= seen
    for layout in layouts:
        if layout.relation in true:
            assert true[layout.relation](*layout.slots), layout


def test_two_to_six_of_one_thing(layouts):
    counted = [layout for layout in layouts if layout.relation == "count"]
    assert {len(layout.slots) for layout in counted} == {2, 3, 4, 5, 6}
    assert all(layout.same for layout in counted)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_phrase_of_every_layout_can_be_said(layouts, language):
    keys = list(THINGS)
    for layout in {layout.relation: layout for layout in layouts}.values():
        things = tuple(concept(key) for key in keys[: len(layout.slots)])
        for phrase in PHRASES[language][layout.relation]:
            text = say(phrase, things[:1] * len(things) if layout.same else things, language)
            assert text
            assert not set("{}") & set(text)


def test_a_composer_places_anywhere_and_the_former_scenes_stay_what_they_were():
    gallery = make_gallery()
    free = Composer(gallery, 64, placement="anywhere")
    samples = [free.sample("train", index)[0] for index in range(250)]
    assert {placed.box for sample in samples for placed in sample.objects}.isdisjoint({(1 / 8, 1 / 8, 7 / 8, 7 / 8)})
    assert {sample.background for sample in samples} > set(FURTHER)
    assert free.sample("val", 3)[0] == Composer(gallery, 64, placement="anywhere").sample("val", 3)[0]
    slots = [Composer(gallery, 64).sample("train", index)[0] for index in range(60)]
    assert {sample.background for sample in slots} <= set(BACKGROUNDS)
    # As version 0.1 composed it.
    assert slots[3].objects == (
        Placed("1F436", "fluent-flat", (0.25, 0.0, 0.75, 0.5)),
        Placed("1F388", "fluent-flat", (0.25, 0.5, 0.75, 1.0)),
    )
    assert slots[7].captions["zh"] == (
        "扁平风格的一个沙漏",
        "平面风格：一个沙漏",
        "画一个沙漏，扁平风格",
        "扁平风格，一个沙漏",
    )
    with pytest.raises(DataError, match="choose from slots, anywhere"):
        Composer(gallery, 64, placement="nowhere")


def test_every_share_draws_a_layout_that_has_phrases():
    for _, draw in SHARES:
        for seed in range(20):
            relation = draw(np.random.default_rng(seed)).relation
            assert all(relation in phrases for phrases in PHRASES.values())


@pytest.mark.parametrize("name", [name for name in ALL if ALL[name].drawn])
def test_sceneries_are_alike_at_every_size(name):
    small, large = paint(name, 32), paint(name, 64)
    assert np.abs(large.reshape(32, 2, 32, 2, 3).mean((1, 3)) - small).mean() < 6
    assert np.ptp(small, axis=(0, 1)).max() > 10
