import numpy as np
import pytest
from PIL import Image

from lantu.data.account import account_of
from lantu.data.build import build_folder
from lantu.data.shards import Shards, read_index
from lantu.data.sides import tells_sides


@pytest.mark.parametrize(
    "caption",
    [
        *(
            "a cat on the left",
            "Right-hand side",
            "左边一只猫",
            "кошка слева",
            "el gato a la izquierda",
            "قطة على اليسار",
        ),
        *("a street sign", 'a shirt that says "hi"', "the digit seven", "7", "seven", "A", "写着字的牌子", "3 apples"),
    ],
)
def test_captions_that_a_mirror_would_make_false(caption):
    assert tells_sides(["a cat", caption])


@pytest.mark.parametrize(
    "caption", ["a red shirt", "猫", "一只猫", "рыжий кот", "two apples on a table", "a bright sky"]
)
def test_captions_that_stay_true(caption):
    assert not tells_sides([caption])


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, caption in enumerate(["a cat", "a cat on the left\na cat", "", "一只猫"]):
        pixels = np.zeros((32, 32, 3), np.uint8)
        pixels[:, :16] = 10 * number + 200
        Image.fromarray(pixels).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(caption)
    return folder


def test_mirrored_copies_are_taken_where_captions_allow_it(source, tmp_path):
    data = build_folder(source, tmp_path / "data", 16, val=0, workers=1, flips=True)
    shards = Shards(data, "train")
    found = {shards.sample(index).key: shards.image(index) for index in range(len(shards))}
    assert set(found) == {
        *(f"{number}.png" for number in range(4)),
        *(f"{number}.png mirrored" for number in (0, 2, 3)),
    }
    assert np.array_equal(found["0.png mirrored"], found["0.png"][:, ::-1])
    assert shards.sample(list(found).index("3.png mirrored")).captions == {"zh": ("一只猫",)}
    account = {one["reason"]: one["files"] for one in account_of(read_index(data))}
    assert next(files for reason, files in account.items() if reason.startswith("not mirrored")) == ["1.png"]


def test_crops_keep_the_shape_and_come_again(source, tmp_path):
    made = [build_folder(source, tmp_path / name, 16, val=0, workers=1, crops=2, flips=True) for name in "ab"]
    first, second = (Shards(data, "train") for data in made)
    assert len(first) == 4 + 3 * 5
    assert all(np.array_equal(first.image(index), second.image(index)) for index in range(len(first)))
    assert {first.sample(index).key for index in range(len(first))} >= {"0.png crop 1", "0.png crop 2 mirrored"}


def test_validation_pictures_have_no_copies(source, tmp_path):
    data = build_folder(source, tmp_path / "data", 16, val=0.5, workers=1, crops=2, flips=True)
    assert len(Shards(data, "val")) == 2
