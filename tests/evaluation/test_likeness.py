"""Pictures are compared with true ones whose captions are known."""

import numpy as np
import pytest

from lantu.evaluation.likeness import Known, Likeness, NetworkEye, PlainEye

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220), "grey": (120, 120, 120)}


def picture(colour: str, seed: int = 0, side: int = 32) -> np.ndarray:
    """A noisy plain picture."""
    noise = np.random.default_rng(seed).integers(-20, 20, (side, side, 3))
    return (np.array(COLOURS[colour]) + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture
def judge():
    pictures = [picture(colour, seed) for colour in COLOURS for seed in (0, 1)]
    known = [Known(f"{colour} {seed}", colour) for colour in COLOURS for seed in (0, 1)]
    return Likeness(PlainEye(), np.stack(pictures), known)


def test_a_picture_of_its_caption_agrees_and_another_does_not(judge):
    drawn = np.stack([picture("red", 5), picture("blue", 5)])
    right, wrong = judge.judge(drawn, [Known("red 0", "red"), Known("red 0", "red")])
    assert right == {"score": 1.0, "nearer": 1.0}
    assert wrong["score"] == 0.0
    assert wrong["nearer"] < 1.0


def test_a_true_picture_does_not_find_itself_where_another_has_its_caption():
    """The odd one of two red pictures is blue: its nearest but itself are the blue ones."""
    pictures = [picture("red", 0), picture("blue", 1), picture("blue", 2), picture("green", 3)]
    captions = ["red", "red", "blue", "green"]
    known = [Known(str(place), caption) for place, caption in enumerate(captions)]
    judge = Likeness(PlainEye(), np.stack(pictures), known)
    assert [verdict["score"] for verdict in judge.judge(np.stack(pictures), known)] == [0.0, 0.0, 1.0, 1.0]


def test_pictures_of_any_size_are_compared(judge):
    assert judge.judge(picture("green", 7, side=80)[None], [Known("", "green")])[0]["score"] == 1.0


def test_where_all_have_one_caption_there_is_nothing_to_tell_apart():
    known = [Known("0", "it"), Known("1", "it")]
    judge = Likeness(PlainEye(), np.stack([picture("red"), picture("blue")]), known)
    assert judge.judge(picture("green")[None], known[:1]) == [{"score": 1.0, "nearer": 1.0}]


def test_distance_is_none_from_itself_and_grows(judge):
    true = np.stack([picture("red", 1)] * 3)
    same, near, far = judge.distance(np.stack([picture("red", 1), picture("red", 9), picture("blue", 9)]), true)
    assert same == pytest.approx(0, abs=1e-3)
    assert same < near < far


def test_edges_tell_directions():
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::16] = 255
    parts = PlainEye().describe(np.stack([stripes, stripes.transpose(1, 0, 2)]))
    histogram = parts["edges"].reshape(2, -1, 8).sum(1)
    assert histogram.argmax(1).tolist() == [0, 4]


def test_a_network_describes_too():
    torch = pytest.importorskip("torch")

    class Net:
        def maps(self, pixels):
            return torch.nn.functional.avg_pool2d(pixels, 16)

        def deep(self, maps):
            return maps.mean((2, 3), keepdim=True).expand(-1, -1, 4, 4)

    eye = NetworkEye(Net())
    parts = eye.describe(np.stack([np.full((128, 128, 3), 255, np.uint8)]))
    assert eye.pooled(parts) == pytest.approx(np.ones((1, 3)))
