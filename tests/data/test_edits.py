"""Pairs before and after an instruction differ by what the instruction says, and by nothing else."""

import numpy as np
import pytest
from fake_gallery import make_gallery

from lantu.data.edits import KINDS, SPLITS, edit, unseen
from lantu.data.scenes import PLACEMENTS, Composer

COUNT = 120


@pytest.fixture(scope="module", params=PLACEMENTS)
def composer(request):
    return Composer(make_gallery(), size=64, snap=8, placement=request.param)


@pytest.fixture(scope="module")
def pairs(composer):
    return {split: [edit(composer, split, index) for index in range(COUNT)] for split in SPLITS}


def placed(sample):
    return {(one.concept, one.style, one.box) for one in sample.objects}


def test_every_kind_comes_up_and_asks_in_both_languages(pairs):
    assert {after.kind for _, (after, _) in pairs["edits"]} == set(KINDS)
    for (before, _), (after, _) in pairs["edits"]:
        assert before.kind == "before"
        assert before.captions["en"]
        for language in ("en", "zh"):
            assert len(after.captions[language]) == 3
            assert not any("{" in text for text in after.captions[language])


def test_what_changes_is_what_is_asked_for(pairs):
    for (before, old), (after, new) in pairs["edits"]:
        gone, come = placed(before) - placed(after), placed(after) - placed(before)
        moved = {one[0] for one in gone} == {one[0] for one in come}
        wanted = {
            "replace": len(gone) == len(come) == 1 and not moved,
            "background": not gone and not come and before.background != after.background,
            "swap": len(gone) == len(come) == 2 and moved,
            "remove": len(gone) == 1 and not come,
            "add": len(come) == 1 and not gone,
            "move": len(gone) == len(come) == 1 and moved,
        }
        assert wanted[after.kind], after
        assert (before.background == after.background) == (after.kind != "background")
        assert not np.array_equal(old, new)


def test_instructions_name_what_they_are_about(pairs, composer):
    concepts = composer.gallery.concepts
    for (before, _), (after, _) in pairs["edits"]:
        for language in ("en", "zh"):
            text = after.captions[language][0]
            names = [concepts[one.concept].names[language] for one in (*before.objects, *after.objects)]
            assert after.kind == "background" or any(name in text for name in names)
            for one in {*placed(after)} - {*placed(before)}:
                if after.kind in ("replace", "add", "swap", "move"):
                    assert concepts[one[0]].names[language] in text


def test_what_is_held_out_comes_out_in_its_split_alone(pairs):
    for split, made in pairs.items():
        for (before, _), (after, _) in made:
            assert not unseen(before.objects)
            assert unseen(after.objects) == (split == "edits-heldout")


def test_a_pair_depends_on_seed_split_and_index_alone(composer, pairs):
    again = edit(Composer(make_gallery(), size=64, snap=8, placement=composer.placement), "edits", 5)
    assert again[1][0] == pairs["edits"][5][1][0]
    assert np.array_equal(again[1][1], pairs["edits"][5][1][1])
    keys = [sample.key for split in SPLITS for pair in pairs[split] for sample, _ in pair]
    assert len(set(keys)) == len(keys)
    assert placed(edit(composer, "edits-val", 5)[0][0]) != placed(pairs["edits"][5][0][0])


def centre(box):
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def test_a_side_is_where_the_thing_comes_to_stand(pairs):
    seen = set()
    for (before, _), (after, _) in pairs["edits"]:
        if after.kind not in ("add", "move"):
            continue
        (new,) = placed(after) - placed(before)
        (x, y), text = centre(new[2]), after.captions["en"][0]
        side = next(side for side in ("left", "right", "top", "bottom") if f"the {side}" in text)
        apart = {"left": 0.5 - x, "right": x - 0.5, "top": 0.5 - y, "bottom": y - 0.5}
        assert apart[side] > 0
        seen.add((after.kind, side))
    assert len(seen) == 8


def test_captions_before_are_true_of_things_anywhere(composer, pairs):
    """Of two things the first is on the left, or above; a thing that moves stands on the side that is said."""
    for (before, _), _ in pairs["edits"]:
        if len(before.objects) == 2:
            first, second = (centre(one.box) for one in before.objects)
            assert first[0] < second[0] or first[1] < second[1]
    if composer.placement == "anywhere":
        boxes = {one.box for (before, _), (after, _) in pairs["edits"] for one in (*before.objects, *after.objects)}
        assert len(boxes) > COUNT  # not the few slots
        assert all(-1e-9 <= edge <= 1 + 1e-9 for box in boxes for edge in box)
        assert len({before.background for (before, _), _ in pairs["edits"]}) > 12
