"""Training a pretrained decoder: only what should learn does, killed runs go on exactly, pictures follow codes."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lantu import recipes
from lantu.data.build import build_folder
from lantu.diffusion.sample import sample
from lantu.errors import RecipeError
from lantu.images import to_tensor
from lantu.models.diffusers.pretrained import Pretrained
from lantu.models.lantu.components import load_decoder
from lantu.models.lantu.tokenizer.config import TokenizerConfig
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.recipes.adopt_decoder import adopt_decoder
from lantu.recipes.pretrained_decoder import Task, adopted
from lantu.training.config import override

pytest.importorskip("diffusers")


@pytest.fixture(scope="session")
def start(tiny_model, tmp_path_factory):
    """An adopted Stable Diffusion with random weights."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "models" / "diffusers"))
    from tiny_pipelines import write

    folder = tmp_path_factory.mktemp("adopted")
    write("sd", folder / "sd")
    adopt_decoder(str(folder / "sd"), tiny_model, folder / "decoder", size=32, width=32, layers=1)
    return folder / "decoder"


def settings(tiny_model, start, *more):
    return [f"tokenizer={tiny_model / 'tokenizer'}", f"start={start}", "loop.steps=8", "loop.batch_size=4", *more]


def train(tiny_model, start, data, out, *more, **how):
    return recipes.train(
        "decoder", "adopted-debug", data, out, settings(tiny_model, start, *more), device="cpu", progress=False, **how
    )


def weights(folder):
    """All weights of a decoder, its LoRA beside the network's own."""
    network = Pretrained.load(folder, merged=False).network
    return {name: value.clone() for name, value in network.state_dict().items()}


def changed(before, after):
    """The parts of which some weights differ."""
    names = [name for name in after if name not in before or not torch.equal(after[name], before[name])]
    return {"lora" if ".lora_" in name else name.split(".")[0] for name in names if ".base_layer." not in name}


@pytest.mark.parametrize(
    ("trained", "learns"),
    [("adapter", {"adapter"}), ("lora", {"adapter", "lora"}), ("all", {"adapter", "network"})],
)
def test_only_what_should_learn_does(tiny_model, start, captioned_data, tmp_path, trained, learns):
    train(tiny_model, start, captioned_data, tmp_path / "run", f"trained={trained}", "network_share=1.0")
    assert changed(weights(start), weights(tmp_path / "run" / "model")) == learns
    published = "unet/diffusion_pytorch_model.safetensors"
    same = (start / published).read_bytes() == (tmp_path / "run" / "model" / published).read_bytes()
    assert same == (trained != "all")


def test_a_killed_run_continues_exactly(tiny_model, start, captioned_data, tmp_path):
    def losses(folder):
        return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]

    how = ("trained=lora", "loop.log_every=1", "loop.steps=9")
    train(tiny_model, start, captioned_data, tmp_path / "whole", *how)
    train(tiny_model, start, captioned_data, tmp_path / "killed", *how, "loop.minutes=0")
    assert len(losses(tmp_path / "killed")) < 9
    recipes.train(
        "decoder",
        "adopted-debug",
        captioned_data,
        tmp_path / "killed",
        ["loop.minutes=null"],
        resume=True,
        device="cpu",
        progress=False,
    )
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    ours, theirs = weights(tmp_path / "killed" / "model"), weights(tmp_path / "whole" / "model")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_checkpoints_hold_what_is_trained_alone(tiny_model, start, captioned_data, tmp_path):
    train(tiny_model, start, captioned_data, tmp_path / "run")
    checkpoint = next((tmp_path / "run" / "checkpoints").glob("step-*"))
    from lantu.weights.arrays import entries

    assert all(name.startswith("model/adapter.") for name in entries(checkpoint / "weights"))


@pytest.mark.slow
def test_one_stage_goes_on_from_another_and_draws(tiny_model, start, captioned_data, tmp_path):
    from lantu.pipeline import Model
    from lantu.recipes.assemble import assemble

    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    train(tiny_model, start, captioned_data, first, "trained=lora")
    train(tiny_model, first, captioned_data, second, "trained=lora")
    assert changed(weights(first / "model"), weights(second / "model")) == {"adapter", "lora"}
    train(tiny_model, second, captioned_data, third, "trained=all")
    assert not (third / "model" / "lora").exists()
    model = assemble(tiny_model, tiny_model, second, tmp_path / "model", draw={"steps": 2, "guidance": 2.0})
    assert np.asarray(Model(model).draw("a cat", seed=1).image).std() > 1


def test_diffusers_reads_the_lora(tiny_model, start, captioned_data, tmp_path):
    from diffusers import UNet2DConditionModel

    train(tiny_model, start, captioned_data, tmp_path / "run", "trained=lora", "network_share=1.0", "loop.lr=0.01")
    folder = tmp_path / "run" / "model"
    theirs = UNet2DConditionModel.from_pretrained(folder / "unet")
    given = (torch.randn(1, 4, 8, 8), 500, torch.randn(1, 16, 24))
    with torch.no_grad():
        before = theirs(*given).sample
        theirs.load_lora_adapter(folder / "lora", prefix="unet", use_safetensors=True)
        ours = Pretrained.load(folder).network.network
        torch.testing.assert_close(ours(*given).sample, theirs(*given).sample, atol=1e-5, rtol=1e-4)
        assert (theirs(*given).sample - before).abs().max() > 1e-3


def test_wrong_starts_are_refused(tiny_model, start, captioned_data, tmp_path):
    with pytest.raises(RecipeError, match="adopt decoder"):
        Task(override(adopted(), [f"tokenizer={tiny_model / 'tokenizer'}"]), captioned_data)
    with pytest.raises(RecipeError, match="lantu's own"):
        train(tiny_model, tiny_model, captioned_data, tmp_path / "run")
    with pytest.raises(RecipeError, match="--recipe adopted"):
        recipes.train("decoder", "debug", captioned_data, tmp_path / "run", settings(tiny_model, start), device="cpu")


COLOURS = np.array([[220, 30, 30], [30, 200, 40], [40, 60, 220], [240, 230, 60]], np.uint8)


def tokenizer_of_colours(folder):
    """An image tokenizer of four codes, one for each colour in its order."""
    torch.manual_seed(0)
    sizes = {"width": 32, "encoder_layers": 0, "decoder_layers": 1, "codebook_size": 4, "code_width": 4}
    tokenizer = ImageTokenizer(TokenizerConfig(size=32, patch=16, **sizes))
    plain = to_tensor(COLOURS[:, None, None].repeat(32, 1).repeat(32, 2))
    tokenizer(plain.repeat(2, 1, 1, 1))  # the first batch sets the codebook
    tokenizer.quantizer.set_codebook(tokenizer.encoder(plain)[:, 0])
    tokenizer.save(folder)
    return tokenizer.encode(plain)[:, 0, 0].tolist()


@pytest.mark.slow
def test_its_loss_falls_and_its_pictures_follow_the_codes(tmp_path):
    """A UNet of pixels with random weights learns four codes that are four colours."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "models" / "diffusers"))
    from tiny_pipelines import ddim, unet

    rng = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for number in range(64):
        cells = COLOURS[rng.integers(4, size=(2, 2))]
        Image.fromarray(cells.repeat(16, 0).repeat(16, 1)).save(tmp_path / "pictures" / f"{number}.png")
    build_folder(tmp_path / "pictures", tmp_path / "data", size=32)
    order = tokenizer_of_colours(tmp_path / "tokenizer")
    assert sorted(order) == [0, 1, 2, 3]
    network = unet(in_channels=3, out_channels=3, sample_size=16, block_out_channels=(16, 32))
    network.save_pretrained(tmp_path / "published" / "unet")
    ddim(prediction_type="v_prediction").save_pretrained(tmp_path / "published" / "scheduler")
    adopt_decoder(str(tmp_path / "published"), tmp_path / "tokenizer", tmp_path / "decoder", width=32, layers=1)
    named = [f"tokenizer={tmp_path / 'tokenizer'}", f"start={tmp_path / 'decoder'}", "trained=all", "network_share=1.0"]
    loop = {"steps": 200, "batch_size": 16, "lr": 3e-3, "ema_decay": 0.95, "ema_every": 1}
    named += [f"loop.{name}={value}" for name, value in loop.items()]
    train = {"device": "cpu", "progress": False}
    recipes.train("decoder", "adopted-debug", tmp_path / "data", tmp_path / "run", named, **train)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.5 * losses[0]
    colours = np.array([[[0, 1], [2, 3]], [[3, 3], [1, 0]], [[2, 0], [0, 2]]])
    drawn = sample(load_decoder(tmp_path / "run" / "model"), np.array(order)[colours], [1, 2, 3], 10)
    cells = drawn.reshape(3, 3, 2, 8, 2, 8).mean((3, 5)).transpose(0, 2, 3, 1)
    distances = np.square(cells[..., None, :] - (COLOURS / 127.5 - 1)).sum(-1)
    assert (distances.argmin(-1) == colours).mean() > 0.9
