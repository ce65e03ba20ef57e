import numpy as np
import pytest
from fake_gallery import STYLES, color, make_gallery

from lantu.data.backgrounds import BACKGROUNDS, paint
from lantu.data.heldout import held_out_pair, held_out_style
from lantu.data.layouts import LAYOUTS
from lantu.data.scenes import SPLITS, Composer
from lantu.types import Placed

COUNT = 150


@pytest.fixture(scope="module")
def composer() -> Composer:
    return Composer(make_gallery(), size=64, snap=8)


@pytest.fixture(scope="module")
def scenes(composer):
    return {split: [composer.sample(split, index) for index in range(COUNT)] for split in SPLITS}


def is_held_out(sample) -> bool:
    concepts = [placed.concept for placed in sample.objects]
    pairs = any(held_out_pair(one, other) for one in concepts for other in concepts)
    return pairs or any(held_out_style(placed.concept, placed.style) for placed in sample.objects)


@pytest.mark.parametrize(("split", "expected"), [("train", False), ("val", False), ("heldout", True)])
def test_what_is_held_out_is_only_in_its_split(scenes, split, expected):
    assert all(is_held_out(sample) == expected for sample, _ in scenes[split])


def test_a_scene_depends_on_seed_split_and_index_alone(composer, scenes):
    again = Composer(make_gallery(), size=64, snap=8)
    for index in (40, 3):
        sample, image = again.sample("train", index)
        assert sample == scenes["train"][index][0]
        assert np.array_equal(image, scenes["train"][index][1])
    other = Composer(make_gallery(), size=64, snap=8, seed=1).sample("train", 3)[0]
    assert len({sample.objects for sample in (other, *(scenes[split][3][0] for split in SPLITS))}) == 4


def test_all_kinds_and_layouts_come_up(composer):
    samples = [composer.sample("train", index)[0] for index in range(600)]
    kinds = [sample.kind for sample in samples]
    assert set(kinds) == {"single", "scene", "count"}
    assert 0.05 < kinds.count("count") / len(kinds) < 0.2
    assert 0.3 < kinds.count("single") / len(kinds) < 0.5
    slots = {tuple(placed.box for placed in sample.objects) for sample in samples}
    assert slots == {layout.slots for _, layout in LAYOUTS}
    assert {len({placed.concept for placed in sample.objects}) for sample in samples if sample.kind == "count"} == {1}
    assert {sample.background for sample in samples} == set(BACKGROUNDS)
    assert 0.4 < [sample.background for sample in samples].count("white") / len(samples) < 0.65


def test_objects_never_overlap_and_stay_within_the_picture(scenes):
    for sample, _ in scenes["train"] + scenes["heldout"]:
        boxes = [placed.box for placed in sample.objects]
        assert all(0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1 for x0, y0, x1, y1 in boxes)
        for number, (x0, y0, x1, y1) in enumerate(boxes):
            assert all(x1 <= a0 or a1 <= x0 or y1 <= b0 or b1 <= y0 for a0, b0, a1, b1 in boxes[:number])


def test_the_picture_shows_each_thing_in_its_box_before_its_background(scenes):
    for sample, image in scenes["train"][:60]:
        assert image.shape == (64, 64, 3)
        outside = np.ones((64, 64), bool)
        for placed in sample.objects:
            x0, y0, x1, y1 = (round(edge * 64) for edge in placed.box)
            assert tuple(image[(y0 + y1) // 2, (x0 + x1) // 2]) == color(placed.concept, placed.style)
            outside[y0:y1, x0:x1] = False
        assert np.array_equal(image[outside], np.round(paint(sample.background, 64))[outside])


@pytest.mark.parametrize(("size", "snap"), [(192, 12), (128, 8), (100, 0)])
def test_every_size_works(size, snap):
    composer = Composer(make_gallery(), size=size, snap=snap)
    for index in range(8):
        sample, image = composer.sample("train", index)
        assert image.shape == (size, size, 3)
        assert image.dtype == np.uint8
        assert sample.objects


def test_without_snapping_things_stand_anywhere_within():
    composer = Composer(make_gallery(), size=64, snap=0)
    boxes = [placed.box for index in range(40) for placed in composer.sample("train", index)[0].objects]
    assert len(set(boxes)) > 40
    assert all(0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1 for x0, y0, x1, y1 in boxes)


def test_only_the_styles_asked_for_are_used():
    composer = Composer(make_gallery(), size=64, snap=8, styles=["twemoji"])
    assert {placed.style for index in range(20) for placed in composer.sample("train", index)[0].objects} == {"twemoji"}
    assert {
        placed.style for sample, _ in [Composer(make_gallery(), 64).sample("val", 0)] for placed in sample.objects
    } <= set(STYLES)


def test_see_through_parts_let_the_background_through():
    gallery = make_gallery()
    half = np.zeros((1, 32, 32, 4), np.uint8)
    half[...] = (0, 0, 0, 128)
    gallery.sprite = lambda concept, style: half[0]
    image = Composer(gallery, size=64).compose([Placed("1F431", "noto", (0.25, 0.25, 0.75, 0.75))], "white")
    assert abs(int(image[32, 32, 0]) - 127) <= 1
    assert image[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_backgrounds_are_named_in_both_languages(name):
    background = BACKGROUNDS[name]
    picture = paint(name, 16)
    assert set(background.words) == {"en", "zh"}
    assert all(background.words.values())
    assert tuple(picture[0, 0]) == background.top
    assert tuple(picture[-1, -1]) == background.bottom
    assert (np.ptp(picture, axis=0).max() > 0) == background.graded
