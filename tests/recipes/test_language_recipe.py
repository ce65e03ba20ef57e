"""Documents of the language recipe, and its loss."""

import numpy as np
import pytest
import torch
from overrides import settings
from PIL import Image

from lantu.data.build import build_folder
from lantu.data.packing import PADDED, apart, one_each, pack
from lantu.data.styles import naming
from lantu.errors import RecipeError
from lantu.models.lantu.language.model import make
from lantu.recipes import language as recipe
from lantu.recipes import train
from lantu.recipes.captions import learnable, shortened
from lantu.recipes.corpus import Corpus
from lantu.recipes.documents import Captioned
from lantu.recipes.language_task import edges_of
from lantu.recipes.next_token import next_token_losses, split_losses
from lantu.tokens import bpe
from lantu.tokens.vocabulary import Vocabulary
from lantu.training.config import override
from lantu.types import Sample

VOCABULARY = Vocabulary(300, 16)


@pytest.fixture(scope="module")
def language():
    return make(VOCABULARY, width=32, layers=2, heads=2, grid=(2, 2)).eval()


def documents():
    rng = np.random.default_rng(0)
    return [rng.integers(0, VOCABULARY.size, length).astype(np.int32) for length in (9, 5, 7, 12)]


def tensors(packed):
    return {name: torch.from_numpy(value) for name, value in packed._asdict().items()}


def test_packed_and_unpacked_documents_have_the_same_losses(language):
    pad = VOCABULARY.special("pad")
    with torch.no_grad():
        apart, targets_apart = next_token_losses(language, **tensors(one_each(documents(), pad)))
        together, targets_together = next_token_losses(language, **tensors(pack(documents(), 24, pad)))
    assert (targets_apart >= 0).sum() == (targets_together >= 0).sum() == sum(len(d) - 1 for d in documents())
    torch.testing.assert_close(apart.sort(descending=True)[0].sum(), together.sum())
    torch.testing.assert_close(
        apart[targets_apart >= 0].sort()[0], together[targets_together >= 0].sort()[0], atol=1e-5, rtol=1e-4
    )


def test_it_is_the_loss_that_transformers_computes(language):
    document = documents()[0]
    ids = torch.from_numpy(document.astype(np.int64))[None]
    with torch.no_grad():
        expected = language(input_ids=ids, labels=ids).loss
        losses, targets = next_token_losses(language, **tensors(one_each([document], 0)))
    torch.testing.assert_close(losses.sum() / (targets >= 0).sum(), expected)


def test_losses_of_learnt_ids_are_those_of_all(language):
    rows = tensors(one_each(documents(), VOCABULARY.special("pad")))
    learnt = torch.rand(rows["ids"].shape, generator=torch.Generator().manual_seed(0)) < 0.3
    with torch.no_grad():
        every, _ = next_token_losses(language, **rows)
        some, targets = next_token_losses(language, **rows, learnt=learnt)
    foretold = (learnt & (rows["segments"] >= 0)).roll(-1, 1)
    foretold[:, -1] = False  # what rolled round from the front: nothing comes before it
    assert torch.equal(targets >= 0, foretold)
    torch.testing.assert_close(some[foretold], every[foretold])
    assert not some[~foretold].any()


def test_a_long_document_among_short_ones_does_not_pad_them_all(language):
    pad, rng = VOCABULARY.special("pad"), np.random.default_rng(0)
    short = [rng.integers(0, VOCABULARY.size, 8).astype(np.int32) for _ in range(15)]
    long = rng.integers(0, VOCABULARY.size, 120).astype(np.int32)
    assert apart(short, pad).ids.shape == (15, 8)
    laid = apart([*short, long], pad)
    assert laid.ids.shape == (2, 120)
    assert laid.ids.size <= PADDED * sum(map(len, [*short, long]))
    with torch.no_grad():
        losses, _ = next_token_losses(language, **tensors(laid))
        expected, _ = next_token_losses(language, **tensors(one_each([*short, long], pad)))
    torch.testing.assert_close(losses.sum(), expected.sum())


@pytest.fixture(scope="module")
def codec():
    return bpe.train(["a red cat", "a dog", "一只猫"], 300)


def test_long_captions_are_cut_and_those_of_other_languages_teach_drawing(codec):
    long = "a red cat " * 50
    samples = [
        Sample("a", "picture", {"en": ("a dog", long), "fr": ("un chat", "un chien")}),
        Sample("b", "picture", {"zh": ("一只猫",)}),
    ]
    learnt, lines = learnable(samples, codec, 20)
    assert learnt[1] is samples[1]
    assert learnt[0].captions["fr"] == ("un chat", "un chien")
    assert learnt[0].captions["en"][0] == "a dog"
    assert long.startswith(learnt[0].captions["en"][1])
    assert 10 < len(codec.encode(learnt[0].captions["en"][1])) <= 20
    assert lines == [
        f"1 captions longer than 20 ids are cut, e.g. after “…{learnt[0].captions['en'][1][-40:]}”; to keep all: "
        f"--set longest={len(codec.encode(long))}",
        "2 captions in 'fr' teach drawing alone: it writes en and zh",
    ]


def test_a_cut_leaves_no_part_of_a_character(codec):
    text = "龘" * 30  # three bytes each, and an id a byte
    assert len(codec.encode(text)) == 90
    assert shortened(text, codec, 20) == "龘" * 6
    assert shortened(text, codec, 90) is text


def test_data_without_validation_with_long_and_foreign_captions_trains(tiny_model, tmp_path, capsys):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(4):
        Image.new("RGB", (32, 32), (60 * number, 0, 0)).save(pictures / f"{number}.png")
    rows = [f"0.png,{'a cat ' * 2000},un chat", "1.png,a dog,", "2.png,,un chien", "3.png,,"]
    (pictures / "captions.csv").write_text("file,caption,caption_fr\n" + "\n".join(rows))
    data = build_folder(pictures, tmp_path / "data", size=32, val=0)
    changes = [f"tokenizer={tiny_model}/tokenizer", "loop.steps=2", "loop.batch_size=4", "asked=1"]
    for part, more in (("language", ["captioning=0.5"]), ("decoder", [])):
        some = [change for change in changes if part == "language" or not change.startswith("asked")]
        done = train(part, "debug", data, tmp_path / part, [*some, *more], progress=False, device="cpu")
        assert done.reason == "finished"
    told = capsys.readouterr().err
    assert "warning: 1 captions longer than 512 ids are cut" in told
    assert "2 captions in 'fr' teach drawing alone" in told
    task = recipe.Task(override(recipe.debug(), [*changes[:1], "row=120", "longest=400"]), data)
    corpus = task.setup.corpus
    texts = [text for sample in corpus.samples for captions in sample.captions.values() for text in captions]
    assert max(len(corpus.encode(text)) for text in texts) == 120 - 32 - 16
    assert task.batch(0, 4)[0]["ids"].shape[1] == 120
    with pytest.raises(RecipeError, match="no room for a picture"):
        recipe.Task(override(recipe.debug(), [*changes[:1], "row=20"]), data)


class Pictured:
    """One picture, of which nothing is known but a caption."""

    grids = np.zeros((1, 2, 2), np.uint16)
    samples = (Sample("a", "picture", {"ru": ("рыжий кот",)}),)
    grid, order, all_grids = (2, 2), None, [(2, 2)]


def test_a_caption_in_any_language_is_learnt_but_written_only_in_two(codec):
    corpus = Corpus(Pictured(), codec, Vocabulary(codec.size, 16), 20, 1.0, 0)
    made = [Captioned(corpus, 0.5, 0.2).document(0, position) for position in range(40)]
    assert {len(document.parts) for document in made} == {1, 2}
    assert all(document.parts[0] == "рыжий кот" for document in made if len(document.parts) == 2)
    assert corpus.caption(0, np.random.default_rng(0)) == ("", "")
    ids, _ = corpus.ids(next(document for document in made if len(document.parts) == 2))
    assert "рыжий кот" in codec.decode([one for one in ids.tolist() if one < codec.size])


def test_things_alone_and_names_of_styles_are_shown_as_often_as_one_asks(tiny_model, scene_data):
    changes = [f"tokenizer={tiny_model}/tokenizer", f"start={tiny_model}", "captioning=0", "dropped=0"]
    plain = recipe.Task(settings(recipe.debug(), *changes), scene_data).setup.corpus
    task = recipe.Task(settings(recipe.debug(), *changes, "single=0.5", "counted=0.25", "named=0.5"), scene_data)
    shown: dict[str, list[float]] = {"plain": [], "more": []}
    counted: dict[str, list[float]] = {"plain": [], "more": []}
    named: dict[str, list[float]] = {"plain": [], "more": []}
    for name, corpus in (("plain", plain), ("more", task.setup.corpus)):
        for position in range(400):
            rng = np.random.default_rng((1, position))
            index = corpus.picture(position % len(corpus.samples), rng)
            text, language = corpus.caption(index, rng)
            (style,) = {one.style for one in corpus.samples[index].objects}
            shown[name].append(len(corpus.samples[index].objects) == 1)
            counted[name].append(corpus.samples[index].kind == "count")
            named[name].append(bool(naming(style, language).search(text)))
    for shares, wanted, left in ((shown, 0.5, 0.25), (counted, 0.25, 0.25), (named, 0.5, 0.5)):
        usual, more = (np.mean(shares[name]) for name in ("plain", "more"))
        assert 0.02 < usual < 0.7
        assert more == pytest.approx(wanted + left * usual, abs=0.1)
    assert task.setup.validation is None or task.setup.validation.named == 0
    with pytest.raises(RecipeError, match="no pictures of one known thing"):
        Corpus(Pictured(), plain.codec, plain.vocabulary, 20, 0.0, 0, single=0.5)
    with pytest.raises(RecipeError, match="no pictures of several"):
        Corpus(Pictured(), plain.codec, plain.vocabulary, 20, 0.0, 0, counted=0.5)
    with pytest.raises(RecipeError, match="add up to more than 1"):
        settings(recipe.debug(), "single=0.6", "counted=0.5")


@pytest.mark.parametrize(("shares", "size"), [((0.8, 0.2), 2), ((0.5, 0.5), 1), ((0.1, 0.3, 0.6), 1), ((1.0,), 3)])
def test_every_share_of_a_batch_comes_up_however_small_the_batch(shares, size):
    counts = np.zeros(len(shares))
    for step in range(600):
        edges = edges_of(shares, step, size)
        assert (edges[0], edges[-1]) == (0, size)
        assert edges == sorted(edges)
        counts += np.diff(edges)
    np.testing.assert_allclose(counts / counts.sum(), shares, atol=0.02)


def test_a_batch_that_has_all_shares_is_divided_by_itself():
    for step in range(5):
        assert edges_of((0.25, 0.75), step, 8) == [0, 2, 8]


def test_a_kind_of_which_there_is_nothing_has_no_loss():
    losses, targets = torch.ones(3), torch.tensor([-1, 5, 6])
    assert split_losses(losses, targets, VOCABULARY).keys() == {"text"}
    assert split_losses(losses, torch.full((3,), -1), VOCABULARY) == {}
