"""SEED's codes and the pipeline of sequences, in seconds: tokenizer, language model, decoder, a model that draws."""

import json

import numpy as np
import pytest
import torch
from overrides import settings
from PIL import Image

import lantu
from lantu import recipes
from lantu.data.build import build_folder
from lantu.data.shards import Shards
from lantu.errors import RecipeError
from lantu.recipes import decoder, tokenizer_designs
from lantu.recipes.assemble import assemble
from lantu.recipes.caption_alignment import AlignedTokenizer, CaptionWords, numbers_of
from lantu.recipes.codes import load_tokenizer
from lantu.types import MASK_CODE

QUIET = ["loop.sample_every=0", "loop.validate_every=0", "loop.log_every=1", "loop.precision=fp32"]


def train(part, recipe, data, out, *changes, **options):
    return recipes.train(part, recipe, data, out, [*QUIET, *changes], device="cpu", progress=False, **options)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Squares of six colours, of one of two sizes, each with a caption that says both."""
    pictures = tmp_path_factory.mktemp("pictures")
    number = 0
    for colour in ("red", "blue", "green", "white", "yellow", "black"):
        for size, side in (("small", 8), ("large", 24)):
            for copy in range(4):
                image = Image.new("RGB", (32, 32), "grey")
                image.paste(colour, (copy, copy, copy + side, copy + side))
                image.save(pictures / f"{number}.png")
                (pictures / f"{number}.txt").write_text(f"a {size} {colour} square\n")
                number += 1
    return build_folder(pictures, tmp_path_factory.mktemp("data") / "data", size=32, workers=1)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A trained tokenizer of the recipe seed-debug."""
    folder = tmp_path_factory.mktemp("runs") / "tokenizer"
    train("tokenizer", "seed-debug", data, folder, "loop.steps=120", "loop.lr=4e-3", "loop.batch_size=16")
    return folder


@pytest.fixture(scope="module")
def model(run, data, tmp_path_factory):
    """A model of all parts; decoder and language model have learnt next to nothing."""
    folder = tmp_path_factory.mktemp("models")
    parts = {"tokenizer": run}
    for part in ("language", "decoder"):
        train(part, "debug", data, folder / part, "loop.steps=4", f"tokenizer={run}")
        parts[part] = folder / part
    return lantu.load(assemble(**parts, out=folder / "model", data=data).path, device="cpu")


def retrieved(task, step=0):
    """The share of a batch of pictures whose caption is the nearest by their codes, in evaluation."""
    pixels, _, words = task.batch(step, 24)
    task.networks["model"].eval()
    with torch.inference_mode():
        return float(task.aligned.contrast(task.model.rebuild(pixels).features, words)[1])


def test_captions_are_found_by_codes(run, data):
    task = tokenizer_designs.Task(settings(tokenizer_designs.seed_debug(), "start=noise"), data)
    untrained = retrieved(task)
    logged = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    found = [line["retrieved"] for line in logged]
    chance = 1 / 6  # of captions that a batch holds, 12 in all, about 1 in 12 is right
    assert untrained < 2 * chance
    assert np.mean(found[-20:]) > 3 * chance
    assert np.mean(found[-20:]) > 2 * np.mean(found[:5])
    assert logged[-1]["contrast"] < 0.7 * logged[0]["contrast"]


def test_codes_are_causal_after_training(run, data):
    tokenizer = load_tokenizer(run)
    real = torch.from_numpy(Shards(data, "train").images(range(12))).permute(0, 3, 1, 2) / 127.5 - 1
    before = tokenizer.encode(real)
    with torch.no_grad():
        tokenizer.encoder.queries.tokens[5:] += torch.randn(3, 64)
    after = tokenizer.encode(real)
    assert torch.equal(before[..., :5], after[..., :5])
    assert not torch.equal(before, after)
    assert len(before.unique()) > 4  # they have not collapsed


def test_a_run_is_resumed_as_if_unbroken(data, tmp_path):
    # A constant rate, because the number of steps decides where a rate falls.
    changes = ["loop.batch_size=8", "loop.warmup_steps=1", "loop.decay_fraction=0", "quantize_from=4"]
    train("tokenizer", "seed-debug", data, tmp_path / "broken", *changes, "loop.steps=6")
    train("tokenizer", "seed-debug", data, tmp_path / "whole", *changes, "loop.steps=14")
    recipes.train(
        "tokenizer",
        "seed-debug",
        data,
        tmp_path / "broken",
        ["loop.steps=14"],
        resume=True,
        device="cpu",
        progress=False,
    )
    logs = [
        [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("whole", "broken")
    ]
    losses = [{line["step"]: line["loss"] for line in log} for log in logs]
    assert losses[0] == losses[1]


def test_the_whole_pipeline_draws_reads_and_renders(model):
    assert model.info()["codes"] == {"fewest": 2, "most": 8}
    picture = model.draw("a small red square", seed=1, codes=3)
    assert (picture.codes != MASK_CODE).sum() == 3
    assert picture.image.size == (32, 32)
    assert model.tokenize(picture.image).shape == (1, 8)
    assert isinstance(model.caption(picture.image), str)
    steps = list(model.stream("a small red square", seed=1))
    assert [int((step.codes != MASK_CODE).sum()) for step in steps] == [2, 4, 6, 8]


def test_a_decoder_is_resumed_and_goes_on_from_another(model, run, data, tmp_path):
    more = ["loop.steps=2", f"tokenizer={run}"]
    assert train("decoder", "debug", data, tmp_path / "first", *more).step == 2
    resumed = recipes.train(
        "decoder", "debug", data, tmp_path / "first", ["loop.steps=3"], resume=True, device="cpu", progress=False
    )
    assert resumed.step == 3
    assert train("decoder", "debug", data, tmp_path / "second", *more, f"start={model.folder.path}").step == 2
    teacher = [*more, f"start={model.folder.path}"]
    assert train("decoder", "consistency-debug", data, tmp_path / "third", *teacher).step == 2


def test_recipes_that_need_cells_refuse_a_sequence(model, run, data, tmp_path):
    with pytest.raises(RecipeError, match="a control reads one code a cell"):
        train("control", "debug", data, tmp_path / "control", f"tokenizer={run}", f"start={model.folder.path}")


def test_a_decoder_of_another_sequence_is_no_start(model, data, tmp_path):
    other = tmp_path / "tokenizer"
    sizes = ["model.queries=4", "model.nested=1", "loop.steps=2"]
    train("tokenizer", "sequence-debug", data, other, *sizes)
    task = settings(decoder.debug(), f"tokenizer={other}", f"start={model.folder.path}")
    with pytest.raises(RecipeError, match="renders a sequence of 8, this image tokenizer writes a sequence of 4"):
        decoder.Task(task, data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("model.queries=65", "a sequence of 65 codes"),
        ("model.nested=9", "no prefix of 9 codes"),
        ("model.encoder_window=2", "without windows"),
        ("loop.steps=10", "set quantize_from below loop.steps"),
    ],
)
def test_queries_that_do_not_fit_are_refused(data, tmp_path, change, message):
    with pytest.raises(RecipeError, match=message):
        train("tokenizer", "seed-debug", data, tmp_path / "run", change)


def test_pictures_without_captions_are_refused(tmp_path):
    (tmp_path / "pictures").mkdir()
    for number in range(4):
        Image.new("RGB", (32, 32), (60 * number, 0, 0)).save(tmp_path / "pictures" / f"{number}.png")
    data = build_folder(tmp_path / "pictures", tmp_path / "data", size=32, workers=1)
    with pytest.raises(RecipeError, match="no captions in"):
        train("tokenizer", "seed-debug", data, tmp_path / "run")


@torch.no_grad()
def test_equal_captions_are_equally_right():
    torch.manual_seed(0)
    network = AlignedTokenizer.__new__(AlignedTokenizer)
    torch.nn.Module.__init__(network)
    network.width, network.log_factor = 3, torch.nn.Parameter(torch.tensor(3.0))
    network.text = lambda words: torch.nn.functional.one_hot(words[:, 0] - 1, 3).float()
    words = torch.tensor([[1, 0], [2, 0], [1, 0], [0, 0]])
    features = torch.zeros(4, 2, 5)
    features[[0, 2], :, 2], features[1, :, 3], features[3, :, 4] = 1, 1, 1
    loss, found = network.contrast(features, words)
    assert found == 1
    assert loss == pytest.approx(np.log(2) * 2 / 3, abs=1e-4)  # two captions share two pictures
    loss, found = network.contrast(features[[1, 0, 2, 3]], words)
    assert found < 1
    assert loss > 5
    assert network.contrast(features[2:], words[2:])[0] == 0  # a single caption has nothing beside it


def test_words_of_captions_are_a_function_of_the_step(data):
    words = CaptionWords(Shards(data, "train"), 0)
    assert torch.equal(words([0, 1, 2], 5), words([0, 1, 2], 5))
    assert numbers_of("A Cat, 一只猫") == numbers_of("a cat 一只猫")
    assert len(set(numbers_of("a cat 一只猫"))) == 5
    assert min(numbers_of("a cat")) > 0
