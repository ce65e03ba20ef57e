"""The recipe of masked diffusion: its masks and batches, and a run of seconds that learns, resumes and is exported."""

import json

import numpy as np
import pytest
from PIL import Image

from lantu.data.build import build_folder
from lantu.engine.drafting import MASK_ID
from lantu.models.masked.native import MaskedLanguage
from lantu.recipes import masked, train
from lantu.training.config import override


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Sixteen pictures of two kinds, red and blue, of the tiny model's size."""
    folder, out = tmp_path_factory.mktemp("pictures"), tmp_path_factory.mktemp("data") / "data"
    for number in range(16):
        colour = "red" if number % 2 else "blue"
        Image.new("RGB", (32, 32), colour).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(f"a {colour} square")
    build_folder(folder, out, size=32)
    return out


@pytest.fixture
def settings(tiny_model):
    return [f"tokenizer={tiny_model}/tokenizer", "loop.batch_size=8"]


def test_shares_of_masks_follow_the_cosine_schedule():
    rng = np.random.default_rng(0)
    counts = np.array([masked.mask(16, rng).sum() for _ in range(4000)])
    assert (counts.min(), counts.max()) == (1, 16)
    assert abs(counts.mean() - (16 * 2 / np.pi + 0.5)) < 0.3  # the mean of cos(π/2 · r), and of rounding up


def test_a_batch_masks_what_it_asks_for_and_is_a_function_of_its_step(data, settings):
    task = masked.Task(override(masked.debug(), settings), data)
    batch, again = task.batch(3, 8), task.batch(3, 8)
    assert all(np.array_equal(batch[name], again[name]) for name in batch)
    hole, first = task.vocabulary.special("hole"), task.vocabulary.first_code
    codes, targets = batch["ids"][:, :16].numpy(), batch["targets"].numpy()
    assert ((codes == hole) == (targets != masked.IGNORED)).all()
    index = task.pictures.order.indices(3 * 8, 8)
    whole = np.where(codes == hole, targets, codes - first)
    assert (whole == task.pictures.grids[index].reshape(8, -1)).all()
    assert not batch["seen"][batch["ids"] == task.vocabulary.special("pad")].any()


def test_a_run_learns_and_is_exported(data, settings, tmp_path):
    settings = [*settings, "loop.steps=40", "loop.sample_every=0"]
    summary = train("language", "masked-debug", data, tmp_path / "run", settings, progress=False, device="cpu")
    losses = [json.loads(line)["loss"] for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.5 * np.log(32)  # of 32 codes alike
    assert summary.reason == "finished"
    assert any((tmp_path / "run/samples").glob("*.png"))
    language = MaskedLanguage.load(tmp_path / "run/model", precise=True)
    task = masked.Task(override(masked.debug(), settings), data)
    vocabulary = task.vocabulary
    for place, colour in enumerate(("red", "blue")):
        wanted = next(i for i, sample in enumerate(task.corpus.samples) if colour in str(sample.captions))
        prompt = masked.draw_prefix(task.corpus.encode(f"a {colour} square"), 4, 4, vocabulary)
        ids = (range(vocabulary.first_code, vocabulary.size),)
        logits = language.logits([prompt], [[MASK_ID] * 16], ids)[0]
        assert (logits.argmax(-1) == task.pictures.grids[wanted].reshape(-1)).mean() > 0.8, (place, colour)
