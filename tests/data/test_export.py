import json
import struct
from pathlib import Path

import numpy as np
import pytest
from fake_data import make_data

from lantu.data.codes import tokenize
from lantu.data.export import documents, export
from lantu.errors import DataError
from lantu.tokens import bpe
from lantu.tokens.document import from_ids
from lantu.tokens.vocabulary import Vocabulary
from lantu.types import CodeGrid, Document, Sample

CODES = np.array([[3, 1], [0, 7]])


@pytest.fixture
def language(tmp_path) -> Path:
    codec = bpe.train(["a cat", "一只猫"], 260)
    vocabulary = Vocabulary(codec.size, 8)
    bpe.save(codec, vocabulary, tmp_path / "language")
    config = {"lantu": {"text_size": codec.size, "codebook_size": 8}}
    (tmp_path / "language" / "config.json").write_text(json.dumps(config))
    return tmp_path / "language"


@pytest.fixture
def coded(data) -> Path:
    tokenize(data, lambda images: np.repeat(CODES[None], len(images), 0), "a")
    return data


def read_back(ids, language: Path) -> Document:
    codec = bpe.TextCodec(language)
    return from_ids(ids, Vocabulary(codec.size, 8), codec.decode)


def test_every_caption_is_drawn_and_each_language_captions_once():
    sample = Sample("a", "single", {"en": ("a cat", "cat"), "zh": ("猫",), "fr": ("chat",)})
    grid = CodeGrid(CODES)
    assert list(documents(sample, CODES)) == [
        Document(("a cat", grid), "en"),
        Document(("cat", grid), "en"),
        Document((grid, "a cat"), "en"),
        Document(("猫", grid), "zh"),
        Document((grid, "猫"), "zh"),
        Document(("chat", grid)),  # a caption needs the id of its language
    ]
    assert list(documents(Sample("a", "picture", {"en": ()}), CODES)) == [Document((grid,))]


def test_json_lines_are_read_back(coded, language, tmp_path):
    seen = []
    count = export(coded, "a", language, tmp_path / "o.jsonl", progress=lambda *places: seen.append(places))
    lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert count == len(lines) == 10 * 5
    assert seen[-1] == (10, 10)
    assert lines[5]["key"] == "fake.1"
    assert read_back(lines[5]["ids"], language).parts == ("cat 1", CodeGrid(CODES))
    assert read_back(lines[7]["ids"], language).parts == (CodeGrid(CODES), "cat 1")
    vocabulary = Vocabulary(bpe.TextCodec(language).size, 8)
    assert lines[5]["ids"][lines[5]["answer"]] == vocabulary.special("boi")
    assert lines[7]["ids"][lines[7]["answer"]] == vocabulary.special("en")


def test_parquet_says_the_same(coded, language, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    export(coded, "a", language, tmp_path / "o.jsonl")
    assert export(coded, "a", language, tmp_path / "o.parquet", "parquet") == 50
    lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert parquet.read_table(tmp_path / "o.parquet").to_pylist() == lines


def test_megatron_finds_every_document(coded, language, tmp_path):
    export(coded, "a", language, tmp_path / "o.jsonl")
    assert export(coded, "a", language, tmp_path / "o", "megatron") == 50
    lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    index, ids = (tmp_path / "o.idx").read_bytes(), (tmp_path / "o.bin").read_bytes()
    assert index[:9] == b"MMIDIDX\x00\x00"
    version, kind, sequences, bounds = struct.unpack("<QBQQ", index[9:34])
    assert (version, kind, sequences, bounds) == (1, 4, 50, 51)
    lengths = np.frombuffer(index, np.int32, 50, 34)
    places = np.frombuffer(index, np.int64, 50, 34 + 200)
    assert np.frombuffer(index, np.int64, offset=34 + 600).tolist() == list(range(51))
    for line, length, place in zip(lines, lengths, places, strict=True):
        assert np.frombuffer(ids, np.int32, length, place).tolist() == line["ids"]
    assert len(ids) == 4 * lengths.sum()


def test_an_empty_split_is_exported_empty(tmp_path, language):
    folder = make_data(tmp_path / "data", train=1, val=0)
    tokenize(folder, lambda images: np.repeat(CODES[None], len(images), 0), "a")
    assert export(folder, "a", language, tmp_path / "o", "megatron", "val") == 0
    assert (tmp_path / "o.bin").read_bytes() == b""


def test_what_does_not_fit_is_refused_and_nothing_is_left(coded, data, language, tmp_path):
    out = tmp_path / "new"
    out.mkdir()
    with pytest.raises(DataError, match="no format is called 'csv'"):
        export(coded, "a", language, out / "o", "csv")
    with pytest.raises(DataError, match="no codes 'b'"):
        export(coded, "b", language, out / "o")
    tokenize(data, lambda images: np.full((len(images), 2, 2), 9), "big")
    with pytest.raises(DataError, match=r"picture fake\.0 can't be exported"):
        export(coded, "big", language, out / "o")
    assert not list(out.iterdir())
