import numpy as np
import pytest

from lantu.evaluation.metrics import frechet, interval, psnr, words_in


def test_psnr():
    black = np.zeros((2, 4, 4, 3), np.uint8)
    other = black.copy()
    other[1] = 255
    assert psnr(black, other).tolist() == pytest.approx([100, 0])
    assert psnr(black, black + np.uint8(16))[0] == pytest.approx(20 * np.log10(255 / 16))


def test_frechet_of_known_distributions():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, (4000, 3)), rng.normal((1, 0, 2), 2, (4000, 3))
    assert frechet(first, second) == pytest.approx(5 + 3, abs=0.5)
    assert frechet(first, first) == pytest.approx(0, abs=1e-6)


def test_frechet_agrees_with_the_root_of_the_covariances():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(30, 5)), rng.normal(size=(40, 5)) @ rng.normal(size=(5, 5))
    c1, c2 = np.cov(first.T), np.cov(second.T)
    root = np.sqrt(np.linalg.eigvals(c1 @ c2).real).sum()
    expected = np.square(first.mean(0) - second.mean(0)).sum() + np.trace(c1) + np.trace(c2) - 2 * root
    assert frechet(first, second) == pytest.approx(expected)


def test_interval():
    assert interval(0.5, 100) == pytest.approx((0.404, 0.596), abs=1e-3)
    assert interval(1.0, 10)[1] == 1
    assert interval(0.0, 0) == (0, 1)


@pytest.mark.parametrize(
    ("caption", "found"),
    [
        ("two Dogs and a box of strawberries", {"dog", "strawberry"}),
        ("a hot dog, and an owl", {"hot dog", "owl"}),
        ("a doghouse", set()),
        ("wolves and mice", {"wolf", "mouse"}),
        ("左边一只猫头鹰", {"猫头鹰"}),
        ("一只猫和一只猫头鹰", {"猫", "猫头鹰"}),
        ("", set()),
    ],
)
def test_words(caption, found):
    assert words_in(caption, ["dog", "hot dog", "owl", "strawberry", "wolf", "mouse", "猫", "猫头鹰"]) == found


def test_no_words():
    assert words_in("a cat", []) == set()
