"""The recipe of masked diffusion."""

import numpy as np
import torch

from lantu import recipes
from lantu.models.masked.network import MaskedTransformer
from lantu.recipes import masked
from lantu.training.logs import read_log


def test_about_a_third_of_the_codes_is_left_and_never_all():
    rng = np.random.default_rng(0)
    masks = np.array([masked.mask(16, rng) for _ in range(2000)])
    assert masks.any(1).all()
    assert abs(masks.mean() - 2 / np.pi) < 0.05  # the mean of cos(π/2 · r), rounded up


def test_it_learns_and_is_exported(tiny_model, captioned_data, tmp_path):
    changes = [f"tokenizer={tiny_model}/tokenizer", "loop.steps=24", "loop.batch_size=8", "loop.log_every=6"]
    summary = recipes.train("language", "masked-debug", captioned_data, tmp_path, changes, progress=False, device="cpu")
    assert summary.reason == "finished"
    losses = [line["loss"] for line in read_log(tmp_path)]
    assert losses[-1] < 0.9 * losses[0]
    assert list((tmp_path / "samples").glob("*.png"))
    trained = MaskedTransformer.load(tmp_path / "model")
    assert all(torch.isfinite(value).all() for value in trained.state_dict().values())
