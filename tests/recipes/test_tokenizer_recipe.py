"""A tokenizer of which all parts learn, from two data sets, with pictures moved at random."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from overrides import settings
from PIL import Image

from lantu import recipes
from lantu.data.build import build_folder
from lantu.errors import RecipeError
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.recipes import augment, tokenizer, tokenizer_designs
from lantu.training import checkpoint
from lantu.weights import tensors

LEARNT = [
    "frozen=false",
    "model.quantizer=following",
    "model.encoder_layers=1",
    "model.encoder_window=1",
    "model.reach=16",
    "moved=8",
    "encoder_rate=0.2",
    "quantizer_weight=0.25",
    "refit_every=4",
    "beside_share=0.25",
    "loop.sample_every=0",
    "loop.log_every=4",
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two data folders: one of red and one of blue pictures, each with a spot somewhere."""
    made = []
    for name, channel in (("red", 0), ("blue", 2)):
        pictures = tmp_path_factory.mktemp(name)
        for number in range(24):
            image = np.full((32, 32, 3), 40, np.uint8)
            image[..., channel] = 200
            image[number : number + 6, 2 * number % 26 : 2 * number % 26 + 6] = 255 - 5 * number
            Image.fromarray(image).save(pictures / f"{number}.png")
        made.append(build_folder(pictures, tmp_path_factory.mktemp("data") / "data", size=32, workers=1))
    return made


def learnt(folders, *more):
    return [*LEARNT, f"beside={folders[1]}", *more]


def test_a_batch_holds_its_share_of_both_and_is_a_function_of_the_step(folders):
    task = tokenizer.Task(settings(tokenizer.debug(), *learnt(folders)), folders[0])
    batch = task.batch(3, 12)
    assert torch.equal(batch, task.batch(3, 12))
    red = batch[:, 0].mean((1, 2)) > batch[:, 2].mean((1, 2))
    assert red.sum() == 9
    orders = {tuple((task.batch(step, 12)[:, 0].mean((1, 2)) > 0).tolist()) for step in range(6)}
    assert len(orders) > 3  # what is mixed in stands anywhere, so that every judge sees some of it
    task.source.changes = replace(task.source.changes, moved=0)
    assert not torch.equal(batch, task.batch(3, 12))


def test_pictures_move_by_whole_pixels_with_their_edge_repeated():
    ramp = torch.arange(64.0).view(1, 1, 8, 8).expand(40, 3, 8, 8)
    moved = augment.move(ramp, 3, torch.Generator().manual_seed(1))
    found = set()
    for one in moved[:, 0]:
        flipped = bool(one[4, 3] > one[4, 4])
        one = one.flip(1) if flipped else one
        for dy in range(-3, 4):
            for dx in range(-3, 4):
                rows = (torch.arange(8) + dy).clamp(0, 7)
                columns = (torch.arange(8) + dx).clamp(0, 7)
                if torch.equal(one, ramp[0, 0][rows][:, columns]):
                    found.add((dy, dx, flipped))
    assert len(found) > 20
    assert len({flipped for _, _, flipped in found}) == 2


def test_a_share_of_the_pictures_is_mixed_with_a_colour():
    real = torch.linspace(-1, 1, 8).view(1, 1, 1, 8).expand(400, 3, 8, 8)
    tinted = augment.tint(real, 0.25, torch.Generator().manual_seed(0))
    changed = (tinted - real).flatten(1).abs().amax(1) > 1e-6
    assert 0.15 < changed.float().mean() < 0.35
    assert tinted.abs().max() <= 1
    spread = (tinted.amax((2, 3)) - tinted.amin((2, 3))).amin(1)
    assert spread.min() > 0.4  # a quarter of the picture's contrast is always left


def test_a_share_of_the_pictures_is_one_colour_or_a_slope():
    real = torch.rand(400, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    made = augment.flatten(real, 0.25, torch.Generator().manual_seed(0))
    changed = (made != real).flatten(1).any(1)
    assert 0.15 < changed.float().mean() < 0.35
    plain = made[changed]
    assert plain.abs().max() <= 1
    bent = (plain[..., 2:] - 2 * plain[..., 1:-1] + plain[..., :-2]).abs().max()
    assert bent < 1e-5  # straight from edge to edge
    spread = plain.flatten(2).amax(2) - plain.flatten(2).amin(2)
    flat = (spread.amax(1) < 1e-6).float().mean()
    assert 0.3 < flat < 0.7
    assert spread.max() > 1


@pytest.mark.parametrize("way", ["following", "frozen"])
def test_a_run_that_is_resumed_goes_on_exactly(way, folders, tmp_path):
    """Though a resumed one leaves the start out, which its checkpoint makes good."""
    settings = learnt(folders) if way == "following" else ["loop.log_every=4", "loop.sample_every=0"]

    def run(out, *more, resume=False):
        recipes.train("tokenizer", "debug", folders[0], out, [*settings, *more], resume=resume, progress=False)

    run(tmp_path / "whole", "loop.steps=10", "loop.checkpoint_every_s=0", "loop.kept=20")
    saved = tmp_path / "whole" / "checkpoints"
    half = tmp_path / "half" / "checkpoints"
    half.mkdir(parents=True)
    shutil.copy(tmp_path / "whole" / "config.json", tmp_path / "half")
    (saved / checkpoint.name_of(5)).rename(half / checkpoint.name_of(5))  # before the second settling
    run(tmp_path / "half", "loop.steps=10", resume=True)
    first, second = (tensors.load(folder / checkpoint.name_of(10) / "weights") for folder in (saved, half))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    model = ImageTokenizer.load(tmp_path / "half" / "model")
    assert model.config.quantizer == ("following" if way == "following" else "vq")
    options = json.loads((tmp_path / "half" / "config.json").read_text())
    assert options["start"] == "patches"


def test_a_trained_tokenizer_goes_on_with_a_critic(folders, tmp_path):
    settings_ = learnt(folders, "loop.steps=4", "refit_every=0")
    recipes.train("tokenizer", "debug", folders[0], tmp_path / "run", settings_, progress=False)
    more = [*settings_, f"start={tmp_path}/run", "adversarial_weight=0.1"]
    task = tokenizer.Task(settings(tokenizer.debug(), *more), folders[0])
    begun = ImageTokenizer.load(tmp_path / "run" / "model").state_dict()
    assert all(torch.equal(value, begun[name]) for name, value in task.model.state_dict().items())
    recipes.train("tokenizer", "debug", folders[0], tmp_path / "critic", more, progress=False)
    slow = tokenizer.Task(settings(tokenizer.debug(), *more, "encoder_rate=0.2"), folders[0])
    assert {slow.lr_share(name) for name, _ in slow.networks["critic"].named_parameters()} == {1.0}
    assert {slow.lr_share(name) for name, _ in slow.model.named_parameters() if name.startswith("decoder")} == {1.0}
    after = ImageTokenizer.load(tmp_path / "critic" / "model").state_dict()
    assert any(not torch.equal(value, begun[name]) for name, value in after.items())
    with pytest.raises(RecipeError, match="has another encoder_layers: set model"):
        tokenizer.Task(settings(tokenizer.debug(), *more, "model.encoder_layers=2"), folders[0])


def test_the_encoder_waits_until_its_step(folders, tmp_path):
    begun = tokenizer.Task(settings(tokenizer.debug(), *learnt(folders)), folders[0]).model.state_dict()
    for steps, moved in ((6, False), (10, True)):
        more = learnt(folders, "encoder_from=6", f"loop.steps={steps}", "loop.ema_decay=0")
        recipes.train("tokenizer", "debug", folders[0], tmp_path / str(steps), more, progress=False)
        state = tensors.load(tmp_path / str(steps) / "checkpoints" / checkpoint.name_of(steps) / "weights")
        for name in ("encoder.patches.weight", "encoder.out.weight", "quantizer.inner.codebook"):
            assert torch.equal(state[f"model/{name}"], begun[name]) != moved, name
        assert not torch.equal(state["model/decoder.out.linear.weight"], begun["decoder.out.linear.weight"])


def test_the_codebook_is_averaged_like_the_encoder_that_it_belongs_to(folders, tmp_path):
    more = learnt(folders, "loop.steps=12", "loop.ema_decay=0.9", "loop.ema_every=2", "loop.lr=0.02")
    recipes.train("tokenizer", "debug", folders[0], tmp_path / "run", more, progress=False)
    saved = tmp_path / "run" / "checkpoints" / checkpoint.name_of(12)
    name = "model/quantizer.inner.codebook"
    averaged, newest = (tensors.load(saved / kind)[name] for kind in ("average", "weights"))
    assert not torch.equal(averaged, newest)
    exported = ImageTokenizer.load(tmp_path / "run" / "model").quantizer.vectors()
    assert (exported - averaged).abs().max() < (exported - newest).abs().max() / 4  # but for bfloat16


def test_frozen_codes_do_not_settle(folders, tmp_path):
    more = learnt(folders, "frozen=true", "refit_every=2", "loop.steps=4")
    begun = tokenizer.Task(settings(tokenizer.debug(), *more), folders[0]).model.codes_digest()
    recipes.train("tokenizer", "debug", folders[0], tmp_path / "run", more, progress=False)
    assert ImageTokenizer.load(tmp_path / "run" / "model").codes_digest() == begun


def test_the_rate_of_the_first_layer_falls_with_its_inputs(folders):
    task = tokenizer.Task(settings(tokenizer.debug(), *learnt(folders)), folders[0])
    assert task.lr_share("decoder.embed.weight") == 1
    assert task.lr_share("encoder.out.weight") == 0.2
    assert task.lr_share("encoder.patches.weight") == pytest.approx(0.2 * 64 / (16 * 16 * 3))


def test_what_does_not_fit_is_refused(folders):
    with pytest.raises(RecipeError, match="no codes to bring back"):
        settings(tokenizer_designs.fsq(), "refit_every=10")
    with pytest.raises(RecipeError, match="no data to mix in"):
        tokenizer.Task(settings(tokenizer.debug(), "beside_share=0.2"), folders[0])


def test_the_recipe_for_things_anywhere_fits_the_kernels():
    config = tokenizer_designs.anywhere().model
    assert config.grid**2 <= 100
    assert (config.width % 32, config.reach % 8, config.encoder_window) == (0, 0, 1)
