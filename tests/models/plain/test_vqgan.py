"""VQ-GANs of every publisher's names against the reference implementations, on tiny random weights."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from lantu.errors import ModelError
from lantu.models.plain.vqgan import VqGan
from lantu.weights import tensors
from tiny_plain import CODES, vqgan

GRID = np.random.default_rng(0).integers(0, CODES, (2, 4, 4))
LEVELS = 3


@pytest.fixture(scope="module")
def janus_vq(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vq")
    vqgan(folder)
    return folder


@pytest.fixture(scope="module")
def wanted(janus_vq):
    """What transformers decodes."""
    from transformers.models.janus.modeling_janus import JanusVQVAE

    model = JanusVQVAE.from_pretrained(janus_vq).eval()
    with torch.inference_mode():
        return model.decode(torch.from_numpy(GRID).flatten(1)).numpy()


def llamagen(name: str) -> str:
    """A tensor's name in LlamaGen."""
    name = re.sub(r"\.mid\.(\w+)", lambda match: f".mid.{['block_1', 'attn_1', 'block_2'].index(match[1])}", name)
    return re.sub(r"\.up\.(\d+)\.block", r".conv_blocks.\1.res", name).replace(".up.", ".conv_blocks.")


def taming(name: str) -> str:
    """A tensor's name in taming-transformers, which counts levels from the highest resolution."""
    return re.sub(r"decoder\.up\.(\d+)", lambda match: f"decoder.up.{LEVELS - 1 - int(match[1])}", name)


@pytest.mark.parametrize("publisher", ["transformers", "llamagen", "taming"])
def test_one_network_under_any_names(publisher, janus_vq, wanted, tmp_path):
    state = tensors.load(janus_vq)
    folder = janus_vq
    if publisher != "transformers":
        folder = tmp_path
        state = {(llamagen if publisher == "llamagen" else taming)(name): value for name, value in state.items()}
        if publisher == "llamagen":
            state["quantize.codebook_used"] = torch.zeros(8)
        else:  # its vectors are used as they are
            codes = state["quantize.embedding.weight"]
            state |= {"quantize.embedding.weight": F.normalize(codes, dim=-1), "loss.logvar": torch.zeros(1)}
        save_file({name: value.contiguous() for name, value in state.items()}, folder / "vqgan.safetensors")
    decoder = VqGan(folder)
    assert (decoder.patch, decoder.codebook_size) == (4, CODES)
    found = decoder.pixels(GRID)
    assert wanted.std() > 0.1
    np.testing.assert_allclose(found, wanted, atol=3e-6)
    np.testing.assert_array_equal(decoder.pixels(GRID[1:]), found[1:])
    assert decoder.pixels(GRID[:, :2, :3]).shape == (2, 3, 8, 12)


@pytest.mark.parametrize("attention", [True, False])
def test_a_vq_model_of_diffusers_is_one(attention, tmp_path):
    from diffusers import VQModel

    up = ("AttnUpDecoderBlock2D" if attention else "UpDecoderBlock2D", "UpDecoderBlock2D")
    sizes = {"block_out_channels": (32, 64), "latent_channels": 16, "num_vq_embeddings": CODES, "vq_embed_dim": 8}
    down = ("DownEncoderBlock2D", "DownEncoderBlock2D")
    model = VQModel(up_block_types=up, down_block_types=down, mid_block_add_attention=attention, **sizes).eval()
    torch.manual_seed(0)
    for parameter in model.parameters():
        parameter.data.normal_(std=0.1)
    model.save_pretrained(tmp_path)
    with torch.inference_mode():
        codes = model.quantize.get_codebook_entry(torch.from_numpy(GRID).flatten(), (2, 4, 4, 8))
        wanted = model.decode(codes, force_not_quantize=True).sample.numpy()
    found = VqGan(tmp_path).pixels(GRID)
    np.testing.assert_allclose(found, wanted, atol=3e-6)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            lambda state: state.pop("decoder.up.1.block.0.conv2.bias"),
            r"up_blocks\.1\.resnets\.0\.conv2\.bias is missing",
        ),
        (lambda state: state.update({"decoder.conv_in.bias": torch.zeros(3)}), r"conv_in\.bias is \[3\]"),
        (lambda state: state.update({"decoder.extra": torch.zeros(3)}), r"decoder\.extra is a tensor"),
        (lambda state: state.pop("quantize.embedding.weight"), "no VQ-GAN"),
        (lambda state: state.pop("post_quant_conv.weight"), r"post_quant_conv\.weight is missing"),
        (lambda state: state.update({"decoder.up.9.block.0.conv1.weight": torch.zeros(3)}), "is missing"),
    ],
)
def test_what_is_wrong_is_named(change, match, janus_vq, tmp_path):
    state = tensors.load(janus_vq)
    change(state)
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"model_type": "janus_vqgan"}')
    with pytest.raises(ModelError, match=match) as found:
        VqGan(tmp_path)
    assert "\n" not in str(found.value)


def test_a_folder_has_one_file_of_weights(tmp_path):
    with pytest.raises(ModelError, match="0 safetensors files"):
        VqGan(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="damaged"):
        VqGan(tmp_path)
