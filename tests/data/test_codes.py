import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fake_data import make_data

from lantu.data.codes import codes_path, load_codes, tokenize
from lantu.data.shards import read_index, write_index
from lantu.errors import DataError


def encode(images):
    """(B, 8, 8, 3) → (B, 2, 3): the picture's number, then 65535."""
    codes = np.full((len(images), 2, 3), 65535, np.int64)
    codes[:, 0, 0] = images[:, 0, 0, 0]
    return codes


def test_every_split_is_encoded_in_order(data):
    seen = []
    tokenize(data, encode, "a", batch=4, progress=lambda done, total: seen.append((done, total)))
    codes = load_codes(data, "a", "train")
    assert codes.shape == (10, 2, 3)
    assert codes.dtype == np.uint16
    assert codes[:, 0, 0].tolist() == list(range(10))
    assert (codes[:, 1] == 65535).all()
    assert len(load_codes(data, "a", "val")) == 3
    assert seen == [(4, 13), (8, 13), (10, 13), (13, 13), (13, 13)]
    assert not list(data.glob("*.part"))


def test_a_killed_run_goes_on(data):
    calls = []

    def failing(images):
        calls.append(len(images))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return encode(images)

    with pytest.raises(KeyboardInterrupt):
        tokenize(data, failing, "a", batch=4)
    part = codes_path(data, "a", "train").with_suffix(".part")
    with part.open("ab") as file:
        file.write(b"torn")
    again = []
    tokenize(data, lambda images: again.append(len(images)) or encode(images), "a", batch=4)
    assert sum(again) == 1 + 2 + 1 + 3  # each split's first picture tells the grid; 8 of 10 were done
    assert load_codes(data, "a", "train")[:, 0, 0].tolist() == list(range(10))
    tokenize(data, failing, "a")  # all is there: nothing is encoded
    assert len(calls) == 4


def test_an_empty_split_has_no_codes(tmp_path):
    folder = make_data(tmp_path, train=2, heldout=0)
    tokenize(folder, encode, "a")
    assert len(load_codes(folder, "a", "heldout")) == 0


def test_codes_that_are_missing_or_of_other_data_are_refused(data):
    with pytest.raises(DataError, match="no codes 'a' of train"):
        load_codes(data, "a", "train")
    np.save(codes_path(data, "a", "train"), np.zeros((9, 2, 3), np.uint16))
    with pytest.raises(DataError, match="codes of 9 pictures, not 10"):
        load_codes(data, "a", "train")
    codes_path(data, "a", "train").write_bytes(b"no array")
    with pytest.raises(DataError, match="can't be read"):
        load_codes(data, "a", "train")


@pytest.mark.parametrize("codes", [np.zeros((4, 2)), np.full((4, 2, 2), 65536), np.full((4, 2, 2), -1)])
def test_codes_that_do_not_fit_are_our_fault(data, codes):
    first = np.zeros((1, 2, 2), np.int64)
    with pytest.raises(ValueError, match="codes"):
        tokenize(data, lambda images: first if len(images) == 1 else codes, "a", batch=4)


def test_two_processes_that_need_the_same_codes_share_the_work(data):
    encoded = []

    def slow(images):
        time.sleep(0.05)
        encoded.append(len(images))
        return encode(images)

    with ThreadPoolExecutor(2) as pool:
        for job in [pool.submit(tokenize, data, slow, "a", 4) for _ in range(2)]:
            job.result()
    assert load_codes(data, "a", "train")[:, 0, 0].tolist() == list(range(10))
    assert sum(encoded) == 10 + 3 + 2  # each split's first picture once more, to tell the grid


def test_codes_belong_to_their_data(data, tmp_path):
    tokenize(data, encode, "a", batch=4)
    other = make_data(tmp_path / "other", train=10, val=3)
    write_index(other, read_index(other) | {"digest": "another"})
    for path in data.glob("codes-a*"):
        shutil.copy(path, other)
    with pytest.raises(DataError, match="are of other data"):
        load_codes(other, "a", "train")
    with pytest.raises(DataError, match="are of other data"):
        tokenize(other, encode, "a")


def test_codes_without_a_note_are_compared_with_pictures(data):
    tokenize(data, encode, "a", batch=4)
    note = data / "codes-a.json"
    note.unlink()
    tokenize(data, encode, "a")  # lantu 0.1 made none: they fit, and are taken
    assert note.exists()
    note.unlink()
    codes = load_codes(data, "a", "train")[::-1].copy()
    codes[:, 1] = 7
    np.save(codes_path(data, "a", "train"), codes)
    with pytest.raises(DataError, match="not those of its pictures: move codes-a"):
        tokenize(data, encode, "a")
    assert np.array_equal(np.load(codes_path(data, "a", "train")), codes)
    codes_path(data, "a", "train").unlink()
    codes_path(data, "a", "train").with_suffix(".part").write_bytes(codes[:6].tobytes())
    with pytest.raises(DataError, match="not those of its pictures"):
        tokenize(data, encode, "a")
