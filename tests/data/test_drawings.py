import pytest
from fake_packages import CAT, DOG, SUN, make_cache

from lantu.data.drawings import drawings, plain, squash
from lantu.data.rasterise import rasterise

LABELS = {CAT: "cat face", DOG: "dog face", SUN: "sun", "1F408": "cat"}


@pytest.fixture
def cache(tmp_path):
    return make_cache(tmp_path)


def test_codes_are_the_same_however_they_are_written():
    assert plain("2764-fe0f") == plain("2764") == "2764"
    assert plain("1f43b-200d-2744-fe0f") == plain("1F43B-200D-2744")


def test_names_are_the_same_however_they_are_written():
    assert squash("Père-Noël") == squash("pere noel") == "perenoel"


def test_an_icon_set_with_codes_is_read_by_code(cache):
    drawn = drawings("noto", LABELS, cache)
    assert set(drawn) == {CAT, DOG}
    assert b'viewBox="0 0 16 16"' in drawn[CAT]
    assert rasterise(drawn[CAT], 16)[8, 8].tolist() == [255, 0, 0, 255]


def test_an_icon_set_without_codes_is_matched_by_names(cache):
    drawn = drawings("noto-v1", LABELS, cache)
    # "kitty" is what a sister set calls the cat's face.
    assert set(drawn) == {CAT, SUN}
    assert b"circle" in drawn[CAT]


def test_the_present_name_goes_before_the_character_name(cache):
    assert b"path" in drawings("noto-v1", LABELS, cache)[SUN]


def test_a_folder_of_files_is_read_by_code(cache):
    drawn = drawings("fluent-3d", LABELS, cache)
    assert set(drawn) == {SUN}
    assert drawn[SUN][8:12] == b"WEBP"
