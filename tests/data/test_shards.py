import gc
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fake_data import image, make_data, sample

from lantu.data.shards import Shards, gallery_of, read_index, shard_path, write_index, write_shard
from lantu.errors import DataError


def test_pictures_and_descriptions_come_back_as_they_were(data):
    shards = Shards(data, "train")
    assert len(shards) == 10
    assert [shards.sample(i) for i in range(10)] == [sample(i) for i in range(10)]
    assert all(np.array_equal(shards.image(i), image(i, 8)) for i in range(10))


def test_images_come_in_the_order_asked_for(data):
    images = Shards(data, "train").images(np.array([7, 0, 7, 9]))
    assert images.shape == (4, 8, 8, 3)
    assert images.dtype == np.uint8
    assert images[:, 0, 0, 0].tolist() == [7, 0, 7, 9]


def test_many_threads_may_read(data):
    shards = Shards(data, "train")
    with ThreadPoolExecutor(8) as pool:
        firsts = list(pool.map(lambda i: int(shards.images([i % 10])[0, 0, 0, 0]), range(200)))
    assert firsts == [i % 10 for i in range(200)]


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
def test_the_webdataset_library_reads_it(data):
    webdataset = pytest.importorskip("webdataset")
    paths = [str(shard_path(data, "train", shard)) for shard in range(3)]
    stream = webdataset.WebDataset(paths, shardshuffle=False).decode("rgb8").to_tuple("__key__", "png", "json")
    rows = list(stream)
    del stream
    gc.collect()  # the library leaves the tars to the collector, which would warn in a later test
    assert [key for key, _, _ in rows] == [f"{i:07d}" for i in range(10)]
    assert all(np.array_equal(pixels, image(i, 8)) for i, (_, pixels, _) in enumerate(rows))
    assert rows[3][2]["captions"]["zh"] == ["猫3"]


def test_a_tar_has_the_same_bytes_every_time(tmp_path):
    pictures = [(0, sample(0), image(0, 8))]
    write_shard(tmp_path / "a.tar", pictures)
    write_shard(tmp_path / "b.tar", pictures)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_a_shard_that_fails_leaves_nothing(tmp_path):
    def pictures():
        yield 0, sample(0), image(0, 8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shard(tmp_path / "a.tar", pictures())
    assert not list(tmp_path.iterdir())


def test_an_empty_split_is_a_split(tmp_path):
    shards = Shards(make_data(tmp_path, train=1, val=0), "val")
    assert len(shards) == 0
    assert shards.images([]).shape == (0, 8, 8, 3)


def test_what_is_missing_or_torn_is_named(data):
    with pytest.raises(DataError, match="no data in"):
        Shards(data / "nowhere", "train")
    with pytest.raises(DataError, match=r"no split 'test'.*train, val"):
        Shards(data, "test")
    shard_path(data, "train", 1).unlink()
    with pytest.raises(DataError, match=r"train-00001\.tar can't be read"):
        Shards(data, "train").image(5)
    np.save(data / "val.npy", np.zeros((2, 5), np.int64))
    with pytest.raises(DataError, match="damaged"):
        Shards(data, "val")
    (data / "val.npy").write_bytes(b"no array")
    with pytest.raises(DataError, match="can't be read"):
        Shards(data, "val")


def test_a_corrupt_picture_or_description_is_named(data):
    path = shard_path(data, "train", 0)
    content = bytearray(path.read_bytes())
    _, offset, _, text, _ = np.load(data / "train.npy")[2].tolist()
    content[offset + 40 : offset + 60] = bytes(20)
    content[text] = ord("?")
    path.write_bytes(content)
    shards = Shards(data, "train")
    with pytest.raises(DataError, match="picture 2 of train is corrupt"):
        shards.images([1, 2])
    with pytest.raises(DataError, match="picture 2 of train has no description"):
        shards.sample(2)
    assert shards.sample(3) == sample(3)


def test_an_index_that_says_nothing_is_refused(data):
    (data / "index.json").write_text("{")
    with pytest.raises(DataError, match="can't be read"):
        read_index(data)
    (data / "index.json").write_text(json.dumps({"size": 8}))
    with pytest.raises(DataError, match="lacks digest, settings, splits"):
        read_index(data)


def test_the_gallery_is_found(data, tmp_path):
    with pytest.raises(DataError, match="no gallery"):
        gallery_of(data)
    write_index(data, read_index(data) | {"gallery": str(tmp_path / "gallery")})
    with pytest.raises(DataError, match="is missing"):
        gallery_of(data)
    (tmp_path / "gallery").mkdir()
    assert gallery_of(data) == tmp_path / "gallery"
