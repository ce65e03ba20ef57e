"""Training a pretrained decoder: only what should learn does, killed runs go on exactly, pictures follow codes."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lantu import recipes
from lantu.errors import RecipeError
from lantu.models.diffusers.pretrained import Pretrained
from lantu.recipes.adopted_decoder import adopt_decoder
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
