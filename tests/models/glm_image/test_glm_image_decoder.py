"""GLM-Image's decoder in lantu against ``GlmImagePipeline``: pixels of codes, quoted text, sketches, damaged parts."""

import json
import shutil

import numpy as np
import pytest
import torch

from lantu.errors import LantuError, ModelError
from lantu.models.glm_image import decoder as decoders
from lantu.models.glm_image.config import Config
from lantu.models.glm_image.decoder import Decoder

QUOTED = "a sign that says \"OPEN\" and “left”, 'on' the 「right」"


@pytest.fixture(scope="session")
def decoder(glm_image):
    return Decoder(glm_image, Config.read(glm_image))


def grid(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Codes (1, h, w)."""
    return np.random.default_rng(seed).integers(0, 128, (1, height, width))


def rendered(theirs, codes_hw, latents, prompt: str, steps: int, guidance: float) -> np.ndarray:
    """(H, W, 3) uint8 of the pipeline, whose latents are given."""
    height, width = codes_hw.shape
    ids = theirs._upsample_token_ids(torch.from_numpy(codes_hw).flatten(), height, width)
    size = {"height": height * 32, "width": width * 32}
    options = {"num_inference_steps": steps, "guidance_scale": guidance, "output_type": "pil"}
    made = theirs(prompt=prompt, prior_token_ids=ids, latents=torch.from_numpy(latents)[None], **size, **options)
    return np.asarray(made.images[0])


@pytest.mark.parametrize("prompt", ["a red cat", QUOTED])
@pytest.mark.parametrize(("steps", "guidance"), [(3, 1.5), (2, 1.0)])
def test_pixels_are_those_of_the_pipeline(theirs, decoder, prompt, steps, guidance):
    codes = grid(2, 3)
    wanted = rendered(theirs, codes[0], decoder.noise((2, 3), 7), prompt, steps, guidance)
    (picture,) = decoder.decode(codes, [7], [prompt], steps, guidance)
    np.testing.assert_allclose(picture.astype(int), wanted, rtol=0, atol=1)
    assert wanted.std() > 10


def test_seeds_codes_and_quoted_text_matter_but_no_other_words(decoder):
    def draw(codes, seed, prompt):
        return decoder.decode(codes, [seed], [prompt], 2, 1.5).tobytes()

    plain = draw(grid(2, 2), 1, "a cat")
    assert plain == draw(grid(2, 2), 1, "the blue dog")
    others = [draw(grid(2, 2), 2, "a cat"), draw(grid(2, 2, 5), 1, "a cat"), draw(grid(2, 2), 1, 'a cat "OPEN"')]
    assert len({plain, *others}) == 4


def test_pictures_rendered_together_are_those_rendered_alone(decoder):
    codes = np.concatenate([grid(2, 2, 1), grid(2, 2, 2)])
    prompts = ["a cat", QUOTED]
    both = decoder.decode(codes, [3, 4], prompts, 2, 1.5)
    for place in range(2):
        one = slice(place, place + 1)
        alone = decoder.decode(codes[one], [3 + place], prompts[one], 2, 1.5)
        np.testing.assert_array_equal(both[one], alone)


def test_numbers_that_are_not_finite_are_refused(glm_image):
    damaged = Decoder(glm_image, Config.read(glm_image))
    damaged.pipeline.transformer.proj_out.weight.data[0] = float("nan")
    with pytest.raises(ModelError, match="not finite"):
        damaged.decode(grid(2, 2), [0], [""], 1, 1.0)


@pytest.fixture
def damaged(glm_image, tmp_path):
    return shutil.copytree(glm_image, tmp_path / "damaged")


@pytest.mark.parametrize(
    ("part", "change", "match"),
    [
        ("transformer", {"num_layers": 3}, "transformer_blocks.2.* is missing"),
        ("transformer", {"num_layers": 1}, "transformer_blocks.1.* does not ask for"),
        ("transformer", {"time_embed_dim": 8}, r"is \[.*\], in config.json \["),
        ("transformer", {"attention_head_dim": 1 << 14}, "in config.json"),  # terabytes
        ("vae", {"layers_per_block": 2}, "resnets.1.*missing"),
        ("vae", {"down_block_types": ["NoBlock"] * 4}, "can.t build .*NoBlock"),
        ("text_encoder", {"d_ff": 38}, r"\[37, 32\], in config.json \[38, 32\]"),
    ],
)
def test_parts_that_do_not_fit_their_configs_are_named(damaged, part, change, match):
    path = damaged / part / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=match) as found:
        decoders.check(damaged)
    assert "\n" not in str(found.value)


def test_versions_of_diffusers_that_draw_magenta_are_refused(glm_image, monkeypatch):
    monkeypatch.setattr("diffusers.__version__", "0.41.0")
    with pytest.raises(LantuError, match=r"diffusers 0\.41\.0 .*pip install"):
        decoders.check(glm_image)


@pytest.mark.parametrize("file", ["scheduler/scheduler_config.json", "tokenizer/tokenizer_config.json"])
def test_missing_files_are_named(damaged, file):
    path = damaged / file
    shutil.rmtree(path.parent)
    with pytest.raises(ModelError, match=path.parent.name):
        decoders.check(damaged)
