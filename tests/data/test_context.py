"""Documents of several pictures have the thread that their kind says."""

from dataclasses import replace

import numpy as np
from fake_gallery import concept, make_gallery

from lantu.data import context
from lantu.types import CodeGrid, Placed, Role, Sample

CONCEPTS = make_gallery().concepts
BOX = (0.0, 0.0, 1.0, 1.0)


def single(name, style="noto"):
    return Sample(name, "single", {}, (Placed(concept(name).key, style, BOX),), "white")


def grids(count):
    return [np.full((2, 2), number) for number in range(count)]


def test_styles_are_shown_and_not_told():
    made = context.style_document([single("cat"), single("apple")], grids(2), CONCEPTS, "en")
    assert made.parts[::2] == ("a cat", "an apple")
    assert [part.codes[0, 0] for part in made.parts[1::2]] == [0, 1]
    assert context.style_document([single("cat")], grids(1), CONCEPTS, "zh").parts[0] == "猫"


def test_the_same_thing_goes_by_the_same_made_up_word():
    samples = [single("cat"), single("dog"), single("cat", "twemoji")]
    for drawn in (True, False):
        made = context.naming_document(samples, grids(3), CONCEPTS, np.random.default_rng(1), drawn)
        words = [part for part in made.parts if isinstance(part, str)]
        (plan,) = [word for word in words if ";" in word]
        words.remove(plan)
        assert words[0] == words[2] != words[1]
        assert not {"cat", "dog"} & {word.split()[-1] for word in words}
        bare = [word.split()[-1] for word in words]
        assert plan == (f"{bare[0]} cat, {bare[1]}; cat" if drawn else f"cat; cat {bare[0]}, dog")
        assert isinstance(made.parts[0], str) == drawn
        order = made.parts[-3:] if drawn else made.parts[-4:]
        assert order[:2] == (Role("plan"), plan)
        assert (order[2] == CodeGrid(grids(3)[2])) if drawn else (order[2:] == (Role("assistant"), words[0]))


def test_pairs_and_plain_documents():
    before = single("cat")
    pink = replace(before, kind="background", background="pink")
    for after, change in ((replace(before, kind="swap"), "swap"), (pink, "pink background")):
        made = context.pairs_document([(a, a + 1) for a in grids(2)], (before, after), CONCEPTS)
        assert [part.codes[0, 0] for part in made.parts[:3]] == [0, 1, 1]
        becomes = ": pink" if after is pink else ""
        told = f"{change}; cat, white background{becomes}; cat, {after.background} background"
        assert made.parts[3:] == (Role("plan"), told)
    plain = context.plain_document(["a", "b"], grids(2), "en", drawn=False)
    assert [type(part) for part in plain.parts] == [CodeGrid, str, CodeGrid, str]


def test_the_pool_finds_what_shares_something():
    names = ("cat", "dog", "apple", "owl")
    samples = [single(name, style) for style in ("noto", "twemoji") for name in names]
    samples.append(Sample("pair", "scene", {}, (samples[0].objects * 2), "white"))
    pool, rng = context.Pool(samples), np.random.default_rng(0)
    copies = 0
    for _ in range(20):
        assert len({samples[at].objects[0].style for at in pool.of_style(3, rng)}) == 1
        found = pool.of_names(4, rng)
        copies += found[-1] in found[:-1]
        chosen = [samples[at].objects[0].concept for at in found]
        assert chosen[-1] in chosen[:-1]
        assert len(set(chosen)) <= 2
    assert 5 < copies < 20  # now and then the very picture comes back
    assert len(pool.of_style(9, rng)) == 9  # more than there are
