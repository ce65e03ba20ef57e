"""Batches from other processes are those of a thread, in order; errors come as they are."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from lantu.data.build import build_folder
from lantu.errors import DataError
from lantu.recipes.picture_batches import Changes, CodedBatches, PictureBatches
from lantu.training.batches import Batches
from lantu.training.clock import Clock
from lantu.training.feeding import Fed, Updates, workers_for
from lantu.training.progress import describe, validated


class Numbers:
    """Its batches are their own numbers; the seventh fails."""

    def batch(self, step, size):
        if step == 7:
            raise DataError("picture 7 is corrupt", "build again")
        return torch.tensor([step, size])


class Numbered:
    feeder = Numbers()
    batch = feeder.batch


class Thread:
    feeder = None


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for number, size in enumerate([(32, 32)] * 6 + [(24, 40)] * 6):
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(folder / f"{number}.png")
    return build_folder(folder, tmp_path_factory.mktemp("data") / "data", size=32, val=0, workers=1)


def test_other_processes_make_the_same_batches_in_order():
    with Fed(Numbered(), 4, 2, 1, 4, 0, 1, workers=1) as fed:
        taken = [fed.take() for _ in range(2)]
        assert torch.stack([*taken[0], *taken[1]]).tolist() == [[2, 4], [3, 4], [4, 4], [5, 4]]
        with pytest.raises(DataError, match=r"^picture 7 is corrupt: build again$"):
            fed.take()


def test_an_updates_batches_are_those_of_the_thread(data):
    source = PictureBatches(data, 32, 8, 0, Changes(moved=2, tinted=0.5, plain=0.5))
    copied = pickle.loads(pickle.dumps(source))

    class Pictured:
        feeder, batch = source, staticmethod(source.batch)

    updates = Updates(copied, 3, 2, 5, 8, 1, 2)
    with Batches(Pictured(), 3, 2, 5, 8, 1, 2) as batches:
        for index in range(len(updates)):
            expected = batches.take()
            assert all(torch.equal(*pair) for pair in zip(updates[index], expected, strict=True))


def test_codes_are_opened_again_not_sent(data, tmp_path):
    rows = np.zeros((12, 2 + 16), np.uint16)
    for index, (height, width) in enumerate(PictureBatches(data, 32, 8, 0, Changes()).train.shapes // 8):
        rows[index, :2] = height, width
        rows[index, 2 : 2 + height * width] = index
    np.save(tmp_path / "codes.npy", rows)
    from lantu.data.grids import Grids

    grids = {"train": Grids(np.load(tmp_path / "codes.npy", mmap_mode="r")), "val": np.empty((0, 1, 1), np.uint16)}
    source = CodedBatches(data, grids, 8, 0)
    assert source.portable
    sent = pickle.dumps(source)
    assert str(tmp_path / "codes.npy").encode() in sent or b"codes.npy" in sent
    for step in range(4):
        first, second = source.batch(step, 4), pickle.loads(sent).batch(step, 4)
        assert torch.equal(first.pixels, second.pixels)
        assert torch.equal(first.codes, second.codes)
        assert (first.codes.flatten(1) == first.codes[:, :1, 0]).all()  # each picture has codes of its own


def test_processes_are_for_gpus_and_for_tasks_that_can_be_sent():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert workers_for(None, cpu, Numbered(), 1) == 0
    assert workers_for(3, cpu, Numbered(), 1) == 3
    assert 1 <= workers_for(None, cuda, Numbered(), 1) <= 16
    assert workers_for(None, cuda, Thread(), 1) == 0


def test_waiting_for_data_is_told(monkeypatch):
    now = iter([0.0, 0.0, 3.0, 4.0, 4.0, 4.0])
    monkeypatch.setattr("lantu.training.clock.time.monotonic", lambda: next(now))
    clock = Clock(0)
    with clock.waiting():
        pass
    assert clock.waited_share == 0.75
    assert "waits for data 75% of the time" in describe({"waiting": 0.75})
    assert describe({"waiting": 0.05}) == ""


def test_the_newest_validation_stays_to_be_seen():
    log = [
        {"step": 1, "val_loss": 0.5, "val_psnr": 18.0},
        {"step": 2, "val_loss": 0.25, "val_psnr": 19.23},
        {"step": 3},
    ]
    assert validated(log) == {"val_loss": 0.25, "val_psnr": 19.23}
    assert describe(validated(log)) == "validation 0.2500  PSNR 19.2 dB"
    assert validated(log[2:]) == {}


@pytest.mark.parametrize("size", [1, 2])
def test_other_pictures_come_up_in_batches_that_are_too_small_to_be_divided(data, size):
    grids = {
        split: np.full((12, 4, 4), number, np.uint16) for number, split in enumerate(("train", "val", "rehearsed"))
    }
    plain = build_plain(data)
    source = CodedBatches(plain, grids, 8, 0, plain, 0.2)
    kinds = [int(source.batch(step, size).codes[0, 0, 0]) for step in range(50)]
    assert kinds.count(2) == 10
    mixed = PictureBatches(plain, 32, 8, 0, Changes(), str(plain), 0.2)
    assert all(len(mixed.batch(step, size)) == size for step in range(10))
    whole = PictureBatches(plain, 32, 8, 0, Changes(), str(plain), 0.9)
    assert len(whole.batch(0, 1)) == 1


def build_plain(data):
    folder, rng = data.parent / "squares", np.random.default_rng(1)
    folder.mkdir(exist_ok=True)
    for number in range(12):
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(folder / f"{number}.png")
    return build_folder(folder, data.parent / "plain", size=32, val=0, workers=1)
