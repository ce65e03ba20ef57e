"""Tar in lantu against transformers' generate and diffusers' SanaPipeline, on tiny random weights."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from guided_generate import generated
from lantu.engine.drafting import draft
from lantu.errors import AbilityError, ImageError, LantuError, ModelError
from lantu.models import registry
from lantu.models.tar.folder import TarFolder
from lantu.models.tar.parts import TarParts
from tiny_plain import CODES, TEXT
from tiny_tar import SCALES

PROMPT = "a red cat"
FIRST = TEXT + len(SCALES)
PARAMS = {"steps": 3, "render_guidance": 4.0}


@pytest.fixture(scope="module")
def parts(tar):
    return TarParts(TarFolder(tar).check())


def features_of(folder, codes_hw: np.ndarray) -> torch.Tensor:
    """What TA-Tok makes of codes (1, N, D), from its tensors under their published names."""
    from transformers import Siglip2VisionConfig, Siglip2VisionModel

    state = load_file(folder / "ta_tok" / "model.safetensors")
    book = state["bottleneck.regularizer.embedding.weight"] @ state["bottleneck.regularizer.embedding_proj.weight"].T
    book = F.normalize(book + state["bottleneck.regularizer.embedding_proj.bias"], dim=-1)
    patches = F.linear(book[torch.from_numpy(codes_hw).flatten()], *(state[f"bottleneck.out_linear.{each}"] for each in ("weight", "bias")))  # fmt: skip  # noqa: E501
    width, channels = state["decode_task_layer.0.weight"].shape[0], patches.shape[1]
    sizes = {"patch_size": 1, "num_hidden_layers": 2, "num_channels": channels, "hidden_size": width}
    model = Siglip2VisionModel(Siglip2VisionConfig(**sizes)).eval()
    prefix = "decoder.vision_model."
    model.load_state_dict({name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)})
    mask = torch.ones(1, len(patches), dtype=torch.int32)
    hidden = model(patches[None], mask, torch.tensor([codes_hw.shape])).last_hidden_state
    inner = torch.tanh(hidden @ state["decode_task_layer.0.weight"].T + state["decode_task_layer.0.bias"])
    return inner @ state["decode_task_layer.2.weight"].T + state["decode_task_layer.2.bias"]


def painted(folder, codes_hw: np.ndarray, seed: int) -> np.ndarray:
    """The picture of diffusers' own pipeline."""
    from diffusers import SanaPipeline

    pipeline = SanaPipeline.from_pretrained(folder / "sana", text_encoder=None, tokenizer=None)
    pipeline.set_progress_bar_config(disable=True)
    features = features_of(folder, codes_hw)
    negative = load_file(folder / "sana" / "negative_prompt_embeds.safetensors")["negative"][None]
    if len(codes_hw) != 27:
        side = 27 // len(codes_hw)
        grid = negative.unflatten(1, (27, 27)).permute(0, 3, 1, 2)
        negative = F.avg_pool2d(grid, side).flatten(2).transpose(1, 2)
    found = pipeline(
        prompt_embeds=features,
        prompt_attention_mask=torch.ones(features.shape[:2], dtype=torch.int16),
        negative_prompt_embeds=negative,
        negative_prompt_attention_mask=torch.ones(negative.shape[:2], dtype=torch.int16),
        negative_prompt=None,
        num_inference_steps=3,
        guidance_scale=4.0,
        width=32,
        height=32,
        use_resolution_binning=False,
        generator=torch.Generator().manual_seed(seed),
    )
    return np.asarray(found.images[0])


def test_codes_are_those_of_transformers(tar, parts):
    from transformers import AutoTokenizer

    said = [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": PROMPT}]
    text = AutoTokenizer.from_pretrained(tar).apply_chat_template(said, tokenize=False, add_generation_prompt=True)
    for scale, side in enumerate((27, 13, 9)):
        settings = parts.folder.settings.change(temperature=0)
        request = parts.layout.draw(PROMPT, (side, side), 0, settings)
        assert request.limit == side * side
        wanted = generated(tar, f"{text}<im_start><S{scale}>", "a", range(FIRST, FIRST + CODES), 12, 1.0)
        assert draft(parts.drafter, [replace(request, limit=12)]) == [wanted]


@pytest.mark.parametrize("side", [27, 13, 9])
@torch.inference_mode()
def test_pixels_are_those_of_diffusers(tar, parts, side):
    codes = np.random.default_rng(0).integers(0, CODES, (2, side, side))
    found = parts.render(codes, [3, 4], parts.folder.settings.change(**PARAMS))
    torch.testing.assert_close(parts.renderer.features(codes[:1]), features_of(tar, codes[0]), atol=1e-5, rtol=1e-5)
    wanted = painted(tar, codes[0], 3)
    assert wanted.std() > 5
    assert np.abs(found[0].astype(int) - wanted).max() <= 1
    np.testing.assert_array_equal(found[1:], parts.render(codes[1:], [4], parts.folder.settings.change(**PARAMS)))
    assert (found[0] != found[1]).any()


def test_it_is_recognised_and_told_of(tar, parts):
    assert registry.family_of(tar).name == "tar"
    told = parts.folder.describe()
    assert (told["pixels"], told["grid"], told["codebook"]) == ("32x32", "27x27", CODES)
    assert set(told["parameters"]) == {"language", "decoder", "ta_tok"}
    assert parts.layout.grid_of((32, 32)) == (27, 27)
    settings = parts.folder.settings
    for ask, error, match in (
        (lambda: parts.layout.grid_of((64, 64)), ImageError, "32x32"),
        (lambda: parts.layout.draw(PROMPT, (27, 27), 0, settings.change(guidance=2)), LantuError, "guidance"),
        (lambda: parts.encode(np.zeros((1, 32, 32, 3), np.uint8)), AbilityError, "no encoder"),
    ):
        with pytest.raises(error, match=match):
            ask()


def test_a_language_model_saved_with_its_eyes_is_one_too(tar, tmp_path, parts):
    """Tar was trained as a Llava; what its language model does not need is left alone."""
    folder = shutil.copytree(tar, tmp_path / "tar")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "llava_qwen"}))
    state = load_file(folder / "model.safetensors")
    save_file({**state, "model.vision_tower.weight": torch.zeros(2)}, folder / "model.safetensors")
    other = TarParts(TarFolder(folder).check())
    request = parts.layout.draw(PROMPT, (9, 9), 0, parts.folder.settings)
    assert draft(other.drafter, [replace(request, limit=5)]) == draft(parts.drafter, [replace(request, limit=5)])


@pytest.mark.parametrize(
    ("file", "name", "shape"),
    [
        ("ta_tok/model.safetensors", "decode_task_layer.2.bias", None),
        ("ta_tok/model.safetensors", "decode_task_layer.2.bias", 3),
        ("ta_tok/model.safetensors", "decoder.vision_model.encoder.layers.1.mlp.fc1.weight", None),
        ("sana/transformer/diffusion_pytorch_model.safetensors", "proj_out.bias", None),
        ("sana/transformer/diffusion_pytorch_model.safetensors", "proj_out.bias", 3),
        ("sana/vae/diffusion_pytorch_model.safetensors", "decoder.conv_in.bias", None),
    ],
)
def test_a_tensor_that_is_missing_or_of_another_shape_is_named(tar, tmp_path, file, name, shape):
    folder = shutil.copytree(tar, tmp_path / "damaged")
    state = load_file(folder / file)
    del state[name]
    save_file(state | ({name: torch.zeros(shape)} if shape else {}), folder / file)
    with pytest.raises(ModelError, match=name.removeprefix("decoder.vision_model.").replace(".", r"\.")) as found:
        _ = TarParts(TarFolder(folder).check()).renderer
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("file", "content", "match"),
    [
        ("ta_tok/config.json", "{}", "settings of a codebook"),
        ("sana/model_index.json", '{"_class_name": ["pipeline", "Mine"]}', "class of its own"),
        ("sana/model_index.json", '{"_class_name": "AutoencoderDC"}', "takes no features"),
        ("sana/model_index.json", '{"_class_name": "DDPMPipeline"}', "takes no features"),
        ("sana/transformer/config.json", '{"_class_name": "SanaTransformer2DModel", "sample_size": -1}', "sample_size"),
        ("sana/negative_prompt_embeds.safetensors", None, "negative_prompt_embeds"),
        ("config.json", '{"model_type": "qwen2"}', "vocab_size"),
    ],
)
def test_what_does_not_fit_is_named(tar, tmp_path, file, content, match):
    folder = shutil.copytree(tar, tmp_path / "damaged")
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_text(content)
    with pytest.raises(ModelError, match=match) as found:
        _ = TarParts(TarFolder(folder).check()).renderer
    assert "\n" not in str(found.value)
