import numpy as np
import pytest
from toy_scenes import LABELS, ToyNetwork, sprite

from lantu.errors import DataError
from lantu.evaluation.retrieval import SIDE, Retrieval, crop, fingerprint, sprite_crop


@pytest.fixture(scope="module")
def retrieval():
    return Retrieval.from_sprites(ToyNetwork(), LABELS, sprite)


def test_each_drawing_is_its_own_nearest(retrieval):
    crops = np.stack([sprite_crop(sprite(*label)) for label in LABELS])
    for label, cosines in zip(LABELS, retrieval.compare(crops), strict=True):
        guess = retrieval.nearest(cosines)
        assert (guess.concept, guess.style) == label
        assert guess.similarity == pytest.approx(1, abs=1e-4)


def test_among_one_concept_the_style_is_found(retrieval):
    (cosines,) = retrieval.compare(sprite_crop(sprite("disc", "blue"))[None])
    guess = retrieval.nearest(cosines, "cross")
    assert (guess.concept, guess.style) == ("cross", "blue")


def test_descriptions_are_kept_and_made_anew_for_another_gallery(tmp_path):
    calls = []

    def progress(done, total):
        calls.append((done, total))

    first = Retrieval.from_sprites(ToyNetwork(), LABELS, sprite, tmp_path, progress)
    again = Retrieval.from_sprites(ToyNetwork(), LABELS, sprite, tmp_path, progress)
    assert calls == [(len(LABELS), len(LABELS))]
    assert np.array_equal(first.vectors_MS, again.vectors_MS)
    Retrieval.from_sprites(ToyNetwork(), LABELS[1:], sprite, tmp_path, progress)
    assert len(calls) == 2
    assert fingerprint(LABELS, sprite) != fingerprint(LABELS, lambda *label: sprite(*label) // 2)


def test_an_empty_gallery():
    with pytest.raises(DataError, match="empty"):
        Retrieval.from_sprites(ToyNetwork(), [], sprite)


def test_a_crop_is_square_with_a_margin_and_white_around():
    image = np.full((40, 60, 3), 90, np.uint8)
    mask = np.zeros((40, 60), bool)
    image[10:20, 20:50] = mask[10:20, 20:50] = 1
    cut = crop(image, mask, (20, 10, 50, 20))
    assert cut.shape == (SIDE, SIDE, 3)
    assert (cut[:40] == 255).all()
    assert (cut[56:72, 16:-16] <= 3).all()
