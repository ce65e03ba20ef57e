"""A round trip that keeps patches of a fixed grid falls where pictures are moved; one that blurs alike does not."""

import numpy as np
import pytest

from lantu.recipes.moving import distances, moved, worst_fall

PATCH = 8


def cells(pictures):
    """Each cell as its mean colour."""
    B, H, W, C = pictures.shape
    small = pictures.reshape(B, H // PATCH, PATCH, W // PATCH, PATCH, C).mean((2, 4))
    return small.repeat(PATCH, 1).repeat(PATCH, 2).round().astype(np.uint8)


def dimmed(pictures):
    """A loss that is the same everywhere."""
    return (pictures * 0.9).round().astype(np.uint8)


@pytest.fixture
def pictures():
    """Squares that lie on the grid."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (3, 4, 4, 3), np.uint8).repeat(PATCH, 1).repeat(PATCH, 2)


def test_what_depends_on_the_grid_falls_and_what_does_not_stays(pictures):
    noisy = np.clip(pictures + np.random.default_rng(1).normal(0, 4, pictures.shape), 0, 255).astype(np.uint8)
    assert worst_fall(cells, noisy, PATCH) > 10
    assert abs(worst_fall(dimmed, noisy, PATCH)) < 1
    assert worst_fall(dimmed, noisy, 1) is None


def test_pictures_are_moved_with_their_edge_repeated(pictures):
    there = moved(pictures, 3)
    assert there.shape == pictures.shape
    assert np.array_equal(there[:, 3:, 3:], pictures[:, :-3, :-3])
    assert np.array_equal(there[:, 0, 3:], pictures[:, 0, :-3])


@pytest.mark.parametrize(("patch", "expected"), [(1, []), (2, [1]), (4, [1, 2, 3]), (16, [1, 3, 5, 7, 9, 11, 13, 15])])
def test_distances_are_shorter_than_a_cell(patch, expected):
    assert distances(patch) == expected
