"""A pretrained decoder as refiner: a second pass over the drawings of another decoder."""

import json
import shutil

import diffusers
import numpy as np
import pytest
import torch
from tiny_pipelines import write

from lantu.diffusion.sample import Start, sample
from lantu.errors import LantuError, ModelError
from lantu.models.diffusers.adopt import Choices, TokenizerCodes, adopt
from lantu.models.diffusers.pretrained import Pretrained
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.pipeline import Model
from lantu.recipes.assemble import assemble

CODES = np.arange(16).reshape(1, 4, 4)
SIZE = 16  # pixels a side, 4 to a code
REFINED = {"refine": 0.5, "refine_steps": 2}


def adopted(folder, codes, patch):
    """The published folder, the adopted one, and the published parts of a tiny SDXL refiner."""
    parts = write("refiner", folder / "published")
    adopt(folder / "published", codes, folder / "refiner", Choices(patch, width=32, layers=1))
    return folder / "refiner", parts


@pytest.fixture(scope="module")
def refiner(tmp_path_factory):
    vectors = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))
    return adopted(tmp_path_factory.mktemp("refiner"), TokenizerCodes(vectors, "d" * 64), 4)


@pytest.fixture(scope="module")
def model(tiny_model, tmp_path_factory):
    """The tiny model with a refiner of its codes."""
    folder = tmp_path_factory.mktemp("refined")
    tokenizer = ImageTokenizer.load(tiny_model / "tokenizer")
    place, _ = adopted(folder, TokenizerCodes(tokenizer.code_embeddings(), tokenizer.codes_digest()), 8)
    parts = {part: tiny_model / part for part in ("tokenizer", "language", "decoder")}
    return assemble(**parts, out=folder / "model", draw={"steps": 2, "guidance": 1.0}, refiner=place).path


@pytest.mark.parametrize(("strength", "steps", "theirs"), [(0.3, 3, 10), (0.5, 4, 8), (1.0, 4, 4)])
def test_it_denoises_as_diffusers_image_to_image_pipeline_does(refiner, strength, steps, theirs):
    folder, (unet, vae, scheduler) = refiner
    decoder = Pretrained.load(folder).decoder()
    pixels = np.random.default_rng(0).uniform(-1, 1, (1, 3, SIZE, SIZE)).astype(np.float32)
    pipeline = diffusers.StableDiffusionXLImg2ImgPipeline(
        vae, None, None, None, None, unet, scheduler, requires_aesthetics_score=True, add_watermarker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    noise = np.random.default_rng((7, 2)).standard_normal(decoder.noise_shape(4, 4), np.float32)
    with torch.inference_mode():
        context, pooled, _ = decoder.denoiser.network.adapter(torch.from_numpy(CODES))
        latents = decoder.codec.encode(pixels)
        scheduler.set_timesteps(theirs)
        first = scheduler.timesteps[theirs - steps : theirs - steps + 1]
        noised = scheduler.add_noise(latents, torch.from_numpy(noise)[None], first)
        pipeline.prepare_latents = lambda *arguments, **options: noised  # what it would draw its own noise for
        made = pipeline(
            image=latents,
            strength=strength,
            num_inference_steps=theirs,
            prompt_embeds=context,
            pooled_prompt_embeds=pooled,
            guidance_scale=1.0,
            original_size=(SIZE, SIZE),
            target_size=(SIZE, SIZE),
            output_type="pt",
        ).images
    ours = sample(decoder, CODES, [7], steps, start=Start(pixels, strength)) / 2 + 0.5
    np.testing.assert_allclose(ours, made.float().numpy(), atol=2e-4)
    assert ours.std() > 0.01


def test_it_changes_drawings_by_its_strength_and_draws_one_picture_a_seed(model):
    opened = Model.load(model)
    assert opened.folder.settings.refine == 0.3
    plain = opened.draw("a cat", seed=3, refine=0)
    alone = opened.draw("a cat", seed=3, **REFINED)
    assert (plain.codes == alone.codes).all()
    assert np.asarray(plain.image).shape == np.asarray(alone.image).shape
    assert (np.asarray(plain.image) != np.asarray(alone.image)).any()
    beside = opened.draw_all(["a dog", "a cat"], [5, 3], batched=True, **REFINED)[1]
    assert np.array_equal(np.asarray(beside.image), np.asarray(alone.image))
    assert alone.settings["refine"] == 0.5


def test_the_model_without_it_draws_what_the_model_with_it_draws_unrefined(model, tiny_model):
    options = {"seed": 3, "steps": 2, "guidance": 1.0, "top_k": 0}
    before = Model.load(tiny_model).draw("a cat", **options)
    after = Model.load(model).draw("a cat", refine=0, **options)
    assert np.array_equal(np.asarray(before.image), np.asarray(after.image))
    assert Model.load(model).digest != Model.load(tiny_model).digest


def test_previews_are_not_refined(model, monkeypatch):
    opened, calls = Model.load(model), []
    refine = type(opened.parts).refine
    monkeypatch.setattr(type(opened.parts), "refine", lambda *args: calls.append(1) or refine(*args))
    steps = list(opened.stream("a cat", seed=3, **REFINED))
    assert len(steps) > 2
    assert calls == [1]


def test_a_model_without_one_says_so(tiny_model, lantu):
    with pytest.raises(LantuError, match="has no refiner"):
        Model.load(tiny_model).draw("a cat", refine=0.3)
    with pytest.raises(LantuError, match="has no refiner"):
        Model.load(tiny_model).render(CODES[0], refine=0.3)
    code, _, err = lantu("draw", "a cat", "--refine", "0.3")
    assert (code, err.count("\n")) == (2, 1)
    assert "lantu assemble --refiner" in err
    assert "refine can't be 1.5" in lantu("draw", "a cat", "--refine", "1.5")[2]


def test_the_command_refines(model, lantu):
    assert lantu("draw", "a cat", "--model", model, "--seed", 3, "-o", "a.png", "--refine", 0)[0] == 0
    code, _, err = lantu("draw", "a cat", "--model", model, "--seed", 3, "-o", "b.png", "--refine", 0.6)
    assert (code, err) == (0, "")
    from lantu.images import metadata

    assert [metadata.read_picture(name).settings["refine"] for name in ("a.png", "b.png")] == [0.0, 0.6]
    assert lantu("draw", "--like", "b.png", "--model", model, "-o", "c.png")[0] == 0
    assert metadata.describe(metadata.read_picture("c.png")) == metadata.describe(metadata.read_picture("b.png"))
    info = json.loads(lantu("info", "--model", model, "--json")[1])
    assert info["parameters"]["refiner"] > 0


def test_diffusers_opens_the_refiner_of_a_model(model):
    network = diffusers.UNet2DConditionModel.from_pretrained(model / "refiner/unet")
    assert network.config.projection_class_embeddings_input_dim == 60


def test_a_refiner_that_does_not_fit_is_refused(model, tiny_model, refiner, tmp_path):
    parts = {part: tiny_model / part for part in ("tokenizer", "language", "decoder")}
    with pytest.raises(ModelError, match="patch 4, the decoder 8"):
        assemble(**parts, out=tmp_path / "model", refiner=refiner[0])
    with pytest.raises(ModelError, match="no pretrained decoder"):
        assemble(**parts, out=tmp_path / "model", refiner=tiny_model / "decoder")
    copy = shutil.copytree(model, tmp_path / "copy")
    (copy / "refiner/adapter/model.safetensors").unlink()
    with pytest.raises(ModelError, match="refiner/adapter"):
        Model.load(copy)
