import numpy as np

from lantu.evaluation.foreground import around, background, box_of, foreground, label, patches


def graded(height=96, width=128):
    rows = np.linspace(0, 1, height)[:, None, None]
    colours = (1 - rows) * (110, 180, 245) + rows * (255, 255, 255)
    return np.broadcast_to(colours, (height, width, 3)).round().astype(np.uint8).copy()


def test_a_graded_background_is_found_behind_a_thing_at_the_rim():
    image = graded()
    image[20:70, :40] = (200, 30, 30)
    assert np.abs(background(image) - graded()).max() < 4
    assert box_of(foreground(image)) == (0, 20, 40, 70)


def test_nothing_is_on_an_empty_picture():
    assert not foreground(graded()).any()


def test_connected_patches_through_corners():
    mask = np.zeros((6, 7), bool)
    mask[0, 0] = mask[1, 1] = mask[2, 0] = True
    mask[4:, 5:] = True
    labels = label(mask)
    assert len(np.unique(labels)) == 3
    assert labels[0, 0] == labels[1, 1] == labels[2, 0] != labels[5, 6]
    assert not labels[~mask].any()


def test_a_long_way_round_is_one_patch():
    spiral = np.zeros((9, 9), bool)
    spiral[0, :] = spiral[:, 8] = spiral[8, :] = spiral[2:, 0] = spiral[2, :7] = True
    assert len(np.unique(label(spiral))) == 2


def test_specks_are_left_out():
    mask = np.zeros((40, 40), bool)
    mask[2:22, 3:23] = True
    mask[30:36, 30:40] = True
    mask[39, 0] = True
    assert patches(mask) == [(3, 2, 23, 22), (30, 30, 40, 36)]
    assert patches(mask, 0.5) == [(3, 2, 23, 22)]
    assert around(patches(mask)) == (3, 2, 40, 36)
