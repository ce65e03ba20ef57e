"""The folder that diffusers opens draws what lantu draws, in a process that can't import lantu."""

import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lantu import kernels
from lantu.diffusion import samplers
from lantu.diffusion.decoder import DiffusionDecoder
from lantu.errors import LantuError
from lantu.kernels import Choice
from lantu.models.lantu.decoder.native import NativeDenoiser
from lantu.models.lantu.decoder.network import PixelDecoder
from lantu.models.lantu.export import folder as exporting
from lantu.models.lantu.export.lantu_decoder import LantuDecoder
from lantu.models.lantu.export.lantu_scheduler import LantuScheduler
from lantu.models.lantu.export.pipeline import LantuPipeline, derive, draw_one, seeds_of
from lantu.models.lantu.upscaler.config import UpscalerConfig
from lantu.models.lantu.upscaler.native import NativeUpscaler
from lantu.models.lantu.upscaler.network import Upscaler
from lantu.models.registry import open_folder
from lantu.pipeline import Model
from lantu.tokens import bpe
from lantu.tokens.prompts import Prompts, normalise
from lantu.weights import tensors

FRESH = """
import json, sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "lantu":
            raise ImportError("lantu is not installed here")
sys.meta_path.insert(0, Blocked())
import numpy as np, torch
from diffusers import DiffusionPipeline
torch.set_num_threads(1)
pipe = DiffusionPipeline.from_pretrained(sys.argv[1], trust_remote_code=True)
pipe.set_progress_bar_config(disable=True)
found = {}
for number, call in enumerate(json.load(sys.stdin)):
    output = pipe(**call)
    found[f"codes{number}"] = output.codes
    found[f"images{number}"] = np.stack([np.asarray(image) for image in output.images])
np.savez(sys.argv[2], **found)
assert not [name for name in sys.modules if name.partition(".")[0] == "lantu"]
try:
    DiffusionPipeline.from_pretrained(sys.argv[1])
except ValueError as problem:
    print("refused:", problem)
"""
CALLS = [
    {"prompt": "a cat on the left", "seed": 3, "temperature": 0},
    {"prompt": "一只猫，一只狗 ①", "seed": 3, "temperature": 0, "guidance_scale": 1.5},  # learnt: one row
    {"prompt": "a <|boi|> dog", "seed": 4, "temperature": 0, "height": 16, "width": 48, "num_inference_steps": 3},
    {"prompt": ["a dog 🐱🐱", "a cat"], "seed": [5, 6], "num_images_per_prompt": 2, "render_guidance_scale": 1.5},
    {"prompt": "a dog", "seed": 8, "top_k": 0, "top_p": 0.9, "temperature": 0.7, "guidance_scale": 1},
]
NAMES = {
    "guidance_scale": "guidance",
    "num_inference_steps": "steps",
    "render_guidance_scale": "render_guidance",
    **{name: name for name in ("temperature", "top_k", "top_p")},
}


@pytest.fixture(scope="module")
def path(tiny_model, tmp_path_factory):
    """The tiny model with words for emoji, a learnt guidance scale and float32 weights, which round least."""
    folder = shutil.copytree(tiny_model, tmp_path_factory.mktemp("exported") / "tiny")
    for part in ("language", "decoder"):
        state = {name: value.float() for name, value in tensors.load(folder / part).items()}
        for old in (folder / part).glob("*.safetensors*"):
            old.unlink()
        save_file(state, folder / part / "model.safetensors")
        config = json.loads((folder / part / "config.json").read_text())
        if part == "language":
            config["dtype"] = "float32"
            config["lantu"]["guidance"] = [1.5]
        (folder / part / "config.json").write_text(json.dumps(config))
    names = {"names": {"en": [], "zh": []}, "words": {"en": ["cat"], "zh": []}}
    emoji = {"🐱": ["cat", "猫", "a cat", "cats", "只"]}
    (folder / "words.json").write_text(json.dumps({**names, "emoji": emoji}))
    return folder


@pytest.fixture(scope="module")
def exported(path, tmp_path_factory):
    return exporting.export(open_folder(path), tmp_path_factory.mktemp("diffusers") / "tiny")


@pytest.fixture(scope="module")
def pipe(exported):
    """The pipeline of the folder in this process, by the classes themselves."""
    from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

    index = json.loads((exported / "model_index.json").read_text())
    pipe = LantuPipeline(
        Qwen3ForCausalLM.from_pretrained(exported / "language"),
        PreTrainedTokenizerFast.from_pretrained(exported / "tokenizer"),
        Prompts.from_pretrained(exported / "prompts"),
        LantuDecoder.from_pretrained(exported / "decoder"),
        LantuScheduler.from_pretrained(exported / "scheduler"),
        **{name: index[name] for name in ("ids", "grid", "draw")},
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def drawn_without_lantu(exported, calls, tmp_path):
    """What the folder draws in a process that can't import lantu, and what that printed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", FRESH, str(exported), str(tmp_path / "found.npz")],
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return np.load(tmp_path / "found.npz"), done.stdout


def test_it_draws_what_lantu_draws_where_lantu_is_not_installed(path, exported, tmp_path):
    found, printed = drawn_without_lantu(exported, CALLS, tmp_path)
    assert "trust_remote_code=True" in printed  # without it, it refuses
    model = Model.load(path, "cpu")
    decoder = NativeDenoiser.load(path / "decoder", precise=True)  # else products of bfloat16 round, up to 6 / 255 here
    vars(model.parts)["decoder"] = DiffusionDecoder(decoder, decoder.patch)
    for number, call in enumerate(CALLS):
        overrides = {NAMES[name]: value for name, value in call.items() if name in NAMES}
        size = (call["width"], call["height"]) if "width" in call else None
        prompts = [call["prompt"]] if isinstance(call["prompt"], str) else call["prompt"]
        seeds = call["seed"] if isinstance(call["seed"], list) else [call["seed"]]
        count = call.get("num_images_per_prompt", 1)
        wanted = [
            picture
            for prompt, seed in zip(prompts, seeds, strict=True)
            for picture in model.draw_many(prompt, count, seed=seed, size=size, **overrides)
        ]
        np.testing.assert_array_equal(found[f"codes{number}"], [picture.codes for picture in wanted])
        images = np.stack([np.asarray(picture.image) for picture in wanted]).astype(int)
        assert np.abs(images - found[f"images{number}"]).max() <= 1


def test_an_upscaler_comes_along(path, tmp_path):
    folder = shutil.copytree(path, tmp_path / "large")
    upscaler = Upscaler(UpscalerConfig(width=16, layers=1))
    for parameter in upscaler.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    upscaler.save(folder / "upscaler")
    out = exporting.export(open_folder(folder), tmp_path / "exported")
    call = {"prompt": "a dog", "seed": 4, "temperature": 0, "height": 32, "width": 96, "num_inference_steps": 3}
    found, _ = drawn_without_lantu(out, [call], tmp_path)
    model = Model.load(folder, "cpu")
    decoder = NativeDenoiser.load(folder / "decoder", precise=True)
    vars(model.parts)["decoder"] = DiffusionDecoder(decoder, decoder.patch)
    vars(model.parts)["upscaler"] = NativeUpscaler.load(folder / "upscaler", precise=True)
    wanted = model.draw("a dog", seed=4, temperature=0, size=(96, 32), steps=3)
    np.testing.assert_array_equal(found["codes0"][0], wanted.codes)
    assert np.abs(np.asarray(wanted.image).astype(int) - found["images0"][0]).max() <= 1
    exporting.export(open_folder(path), out)  # of a model without one, in its place
    assert not (out / "upscaler").exists()


def test_every_step_is_shown_and_may_be_changed(pipe):
    seen = []

    def watch(given, step, time, tensors):
        assert given is pipe
        seen.append((step, time, tensors["latents"].shape))
        return {"latents": torch.zeros_like(tensors["latents"])}

    output = pipe("a cat", seed=1, num_inference_steps=2, output_type="pt", callback_on_step_end=watch)
    assert seen == [(0, 0.0, (1, 3, 32, 32)), (1, 0.5, (1, 3, 32, 32))]
    assert (output.images == 0.5).all()
    with pytest.raises(ValueError, match="a callback gets latents"):
        pipe(codes=output.codes, callback_on_step_end=watch, callback_on_step_end_tensor_inputs=["prompt_embeds"])


def test_kinds_of_output_and_codes_as_input(pipe):
    drawn = pipe("a cat", seed=1)
    again, codes = pipe(codes=drawn.codes[0], seed=1, output_type="np", return_dict=False)
    np.testing.assert_array_equal(codes, drawn.codes)
    assert np.abs(again[0] * 255 - np.asarray(drawn.images[0])).max() <= 0.51
    generator = torch.Generator().manual_seed(0)
    assert pipe("a cat", generator=generator).codes.shape == (1, 4, 4)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ({"prompt": " "}, "no prompt"),
        ({"prompt": "a cat", "height": 20}, "no 32x20: make sides multiples of 8, 512 at most"),
        ({"prompt": "a cat", "seed": -1}, "give one seed"),
        ({"prompt": "a cat", "seed": [1, 2]}, "give one seed, or 1"),
        ({"codes": [[99]]}, "from 0 to 31"),
        ({"prompt": "cat " * 9000, "seed": 1}, "shorten the prompt"),
        ({"codes": [[1]], "output_type": "jpeg"}, "choose pil, np or pt"),
    ],
)
def test_bad_arguments(pipe, call, said):
    with pytest.raises(ValueError, match=said):
        pipe(**call)


def test_seeds_are_lantus():
    from lantu.engine.seeds import derive_seeds

    assert derive([7, 9], 6) == [*derive_seeds(7, 3), *derive_seeds(9, 3)]
    drawn = seeds_of(None, torch.Generator().manual_seed(3), 2)
    assert drawn == seeds_of(None, torch.Generator().manual_seed(3), 2)


def test_codes_are_chosen_as_the_kernels_choose():
    rng = np.random.default_rng(0)
    for temperature, top_k, top_p in [(0, 0, 1.0), (1, 0, 1.0), (0.5, 5, 1.0), (2, 9, 0.6), (1, 0, 0.3)]:
        for uniform in rng.random(20):
            logits = rng.normal(size=(1, 40)).astype(np.float32) * 3
            choice = Choice(0, temperature=temperature, top_k=top_k, top_p=top_p, uniform=uniform)
            assert draw_one(logits[0], uniform, temperature, top_k, top_p) == kernels.choose(logits, [choice])[0]


@pytest.mark.parametrize("name", ["euler", "heun", "consistency"])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_scheduler_is_the_sampler(name, steps):
    target = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)
    noise = np.random.default_rng(1).normal(size=target.shape).astype(np.float32)

    def denoise(x, t):
        return (target * t + 0.3 * x).astype(np.float32)

    wanted = samplers.sampler(name)(denoise, noise, samplers.times(steps))
    scheduler, x = LantuScheduler(name), torch.from_numpy(noise)
    scheduler.set_timesteps(steps)
    for time in scheduler.timesteps:
        clean = torch.from_numpy(denoise(x.numpy(), time))
        x = scheduler.step(clean, time, scheduler.scale_model_input(x, time)).prev_sample
    np.testing.assert_allclose(x.numpy(), wanted, atol=1e-5)


def test_the_decoder_is_the_decoder(path, exported):
    ours, theirs = PixelDecoder.load(path / "decoder"), LantuDecoder.from_pretrained(exported / "decoder")
    codes, x = torch.tensor([[[0, 31, -1], [5, -1, 7]]]), torch.randn(1, 3, 16, 24)
    with torch.inference_mode():
        torch.testing.assert_close(theirs(x, 0.25, codes), ours(x, torch.tensor([0.25]), codes))


@pytest.mark.parametrize("text", ["a  cat\n", "一只猫，（左边）…①ﬁ", "Ａ ｃａｔ　１２", "plain", "é🐱!"])
def test_texts_are_normalised_as_lantu_does(text):
    assert normalise(text) == bpe.normalise(text)


def test_the_command(lantu, path, janus, tmp_path):
    code, out, err = lantu("export", "diffusers", "--model", path, "-o", "out", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["folder"] == "out"
    assert lantu("export", "diffusers", "--model", path, "-o", "out")[0] == 0  # over its own
    (tmp_path / "out" / "mine.txt").write_text("mine")
    assert "holds other things" in lantu("export", "diffusers", "--model", path, "-o", "out")[2]
    code, _, err = lantu("export", "diffusers", "--model", janus, "-o", "janus")
    assert (code, err.count("\n")) == (2, 1)
    assert "the export for diffusers takes models of lantu's own; tiny-janus" in err
    assert not (tmp_path / "janus").exists()


def test_samplers_that_are_not_exported(path):
    folder = open_folder(path)
    settings = folder.settings.change(sampler="unipc")
    with pytest.raises(Exception, match="the sampler unipc of tiny isn't exported"):
        exporting.check_settings(SimpleNamespace(settings=settings, name="tiny"))


@pytest.mark.parametrize("changed", [{"refine": 0.3}, {"contrast": 2}, {"shots": 1}])
def test_parameters_that_are_not_exported(path, changed):
    settings = open_folder(path).settings.change(**changed)
    with pytest.raises(LantuError, match="exported"):
        exporting.check_settings(SimpleNamespace(settings=settings, name="tiny"))
