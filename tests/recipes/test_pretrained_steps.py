"""Pretrained decoders that are taught to render in few steps, on tiny ones that diffusers has just written."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("diffusers")

from lantu import recipes
from lantu.diffusion.schedules import DDPMSchedule, FlowSchedule
from lantu.errors import RecipeError
from lantu.models.diffusers import lora
from lantu.models.diffusers.path import StraightPath
from lantu.models.diffusers.pretrained import Pretrained
from lantu.recipes import pretrained_consistency, pretrained_matching
from lantu.recipes.adopt_decoder import adopt_decoder
from lantu.recipes.pretrained_steps import STUDENT
from lantu.training import checkpoint
from lantu.training.config import override
from lantu.types import MASK_CODE
from lantu.weights.arrays import entries

TINY = ["loop.steps=6", "loop.batch_size=4", "loop.log_every=2", "loop.decay_fraction=0", "loop.lr=0.003"]


@pytest.fixture(scope="session")
def starts(tiny_model, tmp_path_factory):
    """Name → the folder of an adopted pipeline with random weights, made when first asked for."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "models" / "diffusers"))
    from tiny_pipelines import write

    made = {}

    def get(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            write(name, folder / name)
            adopt_decoder(str(folder / name), tiny_model, folder / "decoder", size=32, width=32, layers=1)
            made[name] = folder / "decoder"
        return made[name]

    return get


def settings(tiny_model, start, *more):
    return [f"tokenizer={tiny_model / 'tokenizer'}", f"start={start}", *TINY, *more]


def train(name, tiny_model, start, data, out, *more, **how):
    changes = settings(tiny_model, start, *more)
    return recipes.train("decoder", name, data, out, changes, device="cpu", progress=False, **how)


def task(module, tiny_model, start, data, *more):
    return module.Task(override(module.debug(), settings(tiny_model, start, "loop.device=cpu", *more)), data)


def weights(folder):
    """All weights of a decoder, its LoRA beside the network's own."""
    network = Pretrained.load(folder, merged=False).network
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("parameterisation", ["eps", "v", "flow", "x0"])
def test_a_network_that_knows_the_noise_gives_the_picture_at_every_time(parameterisation):
    """Whatever it predicts, and on whatever schedule, its clean estimate on the straight path is the picture."""
    schedule = FlowSchedule(train_steps=1000, shift=3.0) if parameterisation == "flow" else DDPMSchedule.scaled_linear()
    picture, noise = torch.randn(2, 3, 4, 4, 4).unbind()
    times = torch.tensor([0.02, 0.5, 0.97])
    t = times[:, None, None, None]
    seen = []

    def network(x_t, timestep, codes):
        scale = torch.tensor([schedule.scale(each) for each in times.tolist()])[:, None, None, None]
        torch.testing.assert_close(x_t, scale * (t * picture + (1 - t) * noise))
        seen.append(timestep)
        alpha, sigma = scale * t, scale * (1 - t)
        predictions = {"eps": noise, "v": alpha * noise - sigma * picture, "flow": noise - picture, "x0": picture}
        return predictions[parameterisation]

    path = StraightPath(schedule, parameterisation, 16)
    clean = path.clean(network)(t * picture + (1 - t) * noise, times, torch.zeros(3, 2, 2))
    torch.testing.assert_close(clean, picture, atol=1e-3, rtol=1e-3)
    assert seen[0].diff().lt(0).all()
    assert path.times(4) == [
        max(schedule.times(4, 16)[0], 1e-3 if parameterisation == "eps" else 0),
        *schedule.times(4, 16)[1:],
    ]


@pytest.mark.parametrize("name", ["sd", "sdxl", "sd3", "sana"])
def test_lcm_lora_begins_as_the_teacher_and_only_the_lora_learns(starts, tiny_model, captioned_data, name):
    made = task(pretrained_consistency, tiny_model, starts(name), captioned_data, "guidance=[1,1]")
    batch, generator = made.batch(0, 2), torch.Generator()
    x, codes, times = made._encode(batch), batch.codes, torch.tensor([0.3, 0.7])
    with torch.no_grad():
        teacher, student, slow = (made._predict(name)(x, times, codes) for name in (None, STUDENT, "slow"))
    assert torch.equal(teacher, student)
    assert torch.equal(teacher, slow)
    made.loss("model", batch, 0, generator.manual_seed(1))[0].backward()
    student_weights = dict(made.variants.module(STUDENT).named_parameters())
    with_gradients = {key for key, value in made.model.named_parameters() if value.grad is not None}
    assert len(with_gradients) == len(student_weights) > 0
    assert all(".lora_" in key and ".student." in key for key in with_gradients)
    assert any(value.grad.abs().sum() > 0 for value in student_weights.values())


def test_the_teacher_is_guided_by_the_masked_grid(starts, tiny_model, captioned_data):
    made = task(pretrained_consistency, tiny_model, starts("sd"), captioned_data, "guidance=[3,3]")
    batch = made.batch(0, 2)
    x, times = made._encode(batch), torch.tensor([0.3, 0.7])
    with torch.no_grad():
        plain, masked = (
            made._predict(None)(x, times, codes) for codes in (batch.codes, torch.full_like(batch.codes, MASK_CODE))
        )
        found = made._teacher(batch.codes, torch.Generator())(x, times, batch.codes)
    torch.testing.assert_close(found, masked + 3 * (plain - masked), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("lcm_lora-debug", ()),
        pytest.param("lcm_lora-debug", ("trained=all",), marks=pytest.mark.slow),
        pytest.param("pretrained_matching-debug", ("alone=1",), marks=pytest.mark.slow),
        pytest.param("pretrained_matching-debug", ("alone=1", "trained=all"), marks=pytest.mark.slow),
    ],
)
def test_a_decoder_is_taught_and_a_killed_run_ends_the_same(starts, tiny_model, captioned_data, tmp_path, name, more):
    start = starts("sd")
    whole = train(name, tiny_model, start, captioned_data, tmp_path / "whole", *more)
    assert whole.reason == "finished"
    model = tmp_path / "whole" / "model"
    before, after = weights(start), weights(model)
    learnt = {key for key, value in after.items() if key not in before or not torch.equal(value, before[key])}
    if "trained=all" in more:
        assert {key.partition(".")[0] for key in learnt} == {"network", "adapter"}
    else:
        same = "unet/diffusion_pytorch_model.safetensors"
        assert (model / same).read_bytes() == (start / same).read_bytes()
        assert all(".lora_" in key for key in learnt if ".base_layer." not in key)
        kept = entries(checkpoint.numbered(tmp_path / "whole" / "checkpoints")[0] / "weights")
        assert all("lora_" in key for key in kept)
    train(name, tiny_model, start, captioned_data, tmp_path / "parts", *more, "loop.steps=4")
    parts = train(name, tiny_model, start, captioned_data, tmp_path / "parts", *more, resume=True)
    assert parts.last["loss"] == whole.last["loss"]
    resumed = weights(tmp_path / "parts" / "model")
    assert all(torch.equal(value, after[key]) for key, value in resumed.items())


def test_diffusers_pipeline_loads_the_lora_and_draws_what_it_should(starts, tiny_model, captioned_data, tmp_path):
    import diffusers

    start = starts("sdxl")
    train("lcm_lora-debug", tiny_model, start, captioned_data, tmp_path / "run", "loop.lr=0.03")
    model = tmp_path / "run" / "model"
    unet = diffusers.UNet2DConditionModel.from_pretrained(model / "unet")
    vae = diffusers.AutoencoderKL.from_pretrained(model / "vae")
    scheduler = diffusers.DDIMScheduler.from_pretrained(model / "scheduler")
    parts = {"vae": vae, "unet": unet, "scheduler": scheduler, "text_encoder": None, "tokenizer": None}
    pipeline = diffusers.StableDiffusionXLPipeline(**parts, text_encoder_2=None, tokenizer_2=None)
    added = {"text_embeds": torch.randn(1, 20), "time_ids": torch.randn(1, 6)}
    given = (torch.randn(1, 4, 8, 8), 500, torch.randn(1, 16, 24))
    with torch.no_grad():
        before = unet(*given, added_cond_kwargs=added).sample
        pipeline.load_lora_weights(model / "lora")
        theirs = pipeline.unet(*given, added_cond_kwargs=added).sample
        ours = Pretrained.load(model).network.network(*given, added_cond_kwargs=added).sample
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    assert (theirs - before).abs().max() > 1e-3


def test_a_lora_that_the_decoder_had_goes_on_taking_effect(starts, tiny_model, captioned_data, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    train("adopted-debug", tiny_model, starts("sd"), captioned_data, first, "trained=lora", "network_share=1.0")
    made = task(pretrained_consistency, tiny_model, first / "model", captioned_data)
    student = made.variants.module(STUDENT)
    with torch.no_grad():
        for value in student.parameters():
            value += 0.05 * torch.randn(value.shape, generator=torch.Generator().manual_seed(0))
    made.export(second)
    given = (torch.randn(1, 4, 8, 8), torch.tensor([500.0]), torch.arange(16).view(1, 4, 4))
    with torch.no_grad():
        wanted = made.variants.use(STUDENT)(*given)
        found, teacher = Pretrained.load(second).network(*given), Pretrained.load(first / "model").network(*given)
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-3)
    assert (found - teacher).abs().max() > 1e-2


def test_the_students_loss_falls(starts, tiny_model, captioned_data):
    """Slowly: a teacher of random weights has no simple path, and a LoRA moves little of it."""
    changes = ("guidance=[1,1]", "rank=8", "path=3", "dropped=0", "spoilt=0", "hidden=0")
    made = task(pretrained_consistency, tiny_model, starts("sd-v"), captioned_data, *changes)
    batch = made.batch(0, 4)

    def loss(seed):
        return made.loss("model", batch, 0, torch.Generator().manual_seed(seed))[0]

    with torch.no_grad():
        before = np.mean([loss(seed).item() for seed in range(3)])
    optimizer = torch.optim.AdamW(made.variants.module(STUDENT).parameters(), lr=3e-3)
    for step in range(15):
        optimizer.zero_grad()
        loss(step % 3).backward()
        optimizer.step()
        made.after_step(step)
    with torch.no_grad():
        after = np.mean([loss(seed).item() for seed in range(3)])
    assert after < before - 1e-5


def test_what_cannot_be_taught_is_refused(starts, tiny_model, captioned_data):
    for module in (pretrained_consistency, pretrained_matching):
        with pytest.raises(RecipeError, match="lantu's own"):
            task(module, tiny_model, tiny_model, captioned_data)
        with pytest.raises(RecipeError, match="adopt decoder"):
            task(module, tiny_model, "", captioned_data)


def test_two_loras_side_by_side_do_what_both_do():
    torch.manual_seed(0)
    first = {"a.lora_A.weight": torch.randn(2, 5), "a.lora_B.weight": torch.randn(3, 2)}
    second = {
        f"{name}.lora_{half}.weight": torch.randn(*((4, 5) if half == "A" else (3, 4)))
        for name in "ab"
        for half in "AB"
    }
    both = lora.joined(first, second)
    product = {name: both[f"{name}.lora_B.weight"] @ both[f"{name}.lora_A.weight"] for name in "ab"}
    parts = [state["a.lora_B.weight"] @ state["a.lora_A.weight"] for state in (first, second)]
    torch.testing.assert_close(product["a"], sum(parts))
    torch.testing.assert_close(product["b"], second["b.lora_B.weight"] @ second["b.lora_A.weight"])
    assert len({value.shape[0] for name, value in both.items() if "lora_A" in name}) == 1
    assert lora.joined({}, second).keys() == second.keys()
