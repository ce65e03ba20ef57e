"""The pretrained denoisers that codes can condition: what each class of diffusers wants, in one table.

    class                     published in  context (per token)     pooled  time ids  spatial branch
    UNet2DConditionModel      unet/         cross_attention_dim     SDXL    SDXL      added to conv_in, 3x3
    SanaTransformer2DModel    transformer/  caption_channels        -       -         added to patch_embed
    PixArtTransformer2DModel  transformer/  caption_channels        -       size      added to pos_embed
    SD3Transformer2DModel     transformer/  joint_attention_dim     yes     -         added to pos_embed
    FluxTransformer2DModel    transformer/  joint_attention_dim     yes     -         added to x_embedder, packed 2x2
    ZImageTransformer2DModel  transformer/  cap_feat_dim            -       -         added to all_x_embedder

The spatial branch adds features of the codes to what a network's first layer makes of the noisy latents. On a UNet this
is the same as further input channels of conv_in, and leaves the published tensors as they are. How each is called:
``lantu.models.diffusers.calls``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lantu.errors import ModelError
from lantu.files.untrusted import Fields, shown

Config = Mapping[str, Any]
MAX_WIDTH, MAX_LAYERS, MAX_SAMPLE = 1 << 16, 256, 1024
MAX_POSITIONS = 1 << 28  # numbers in a table of position embeddings, which is computed as the network is made


@dataclass(frozen=True)
class NetworkKind:
    """A class of diffusers.

    Attributes:
        name: of the class, ``_class_name`` in its config.json.
        folder: of the published pipeline, where it lies.
        context: the config's entry for the width of one token of context.
        inlet: the module to whose output the spatial branch is added.
        pooled: the config's entry for the width of the pooled vector; "" for none.
        packed: latents a side that a patch has where the config doesn't say: those of Flux come packed.
    """

    name: str
    folder: str
    context: str
    inlet: str
    pooled: str = ""
    packed: int = 0

    def patch(self, config: Config) -> int:
        """Latents a side of one token; 1 for a UNet."""
        if self.packed:
            return self.packed
        return 1 if self.folder == "unet" else int(config.get("patch_size", 2))

    def channels(self, config: Config) -> int:
        """Channels of its latents."""
        return int(config["in_channels"]) // (self.packed**2 or 1)

    def inner(self, config: Config) -> int:
        """Channels of what the inlet makes of the latents."""
        if self.folder == "unet":
            return int(config["block_out_channels"][0])
        if "dim" in config:
            return int(config["dim"])
        return int(config["num_attention_heads"]) * int(config["attention_head_dim"])


KINDS = (
    NetworkKind("UNet2DConditionModel", "unet", "cross_attention_dim", "conv_in"),
    NetworkKind("SanaTransformer2DModel", "transformer", "caption_channels", "patch_embed"),
    NetworkKind("PixArtTransformer2DModel", "transformer", "caption_channels", "pos_embed"),
    NetworkKind("SD3Transformer2DModel", "transformer", "joint_attention_dim", "pos_embed", "pooled_projection_dim"),
    NetworkKind(
        "FluxTransformer2DModel", "transformer", "joint_attention_dim", "x_embedder", "pooled_projection_dim", 2
    ),
    NetworkKind("ZImageTransformer2DModel", "transformer", "cap_feat_dim", "all_x_embedder.2-1"),
)
NAMES = tuple(kind.name for kind in KINDS)
# Entries that would make a network want inputs that codes don't give.
REFUSED = (
    *("encoder_hid_dim_type", "class_embed_type", "num_class_embeds", "time_cond_proj_dim", "siglip_feat_dim"),
    *("quantization_config", "dual_cross_attention", "center_input_sample"),
)


def kind_of(config: Config, where: str) -> NetworkKind:
    """The kind of a network by its config.json, once its numbers are in range.

    Args:
        where: the file's name, for messages.

    Raises:
        ModelError: it is of a class that codes can't condition, or a number is out of range.
    """
    name = config.get("_class_name")
    kind = next((kind for kind in KINDS if kind.name == name), None)
    if kind is None:
        raise ModelError(f"{where} names {shown(name)}, which codes can't condition", f"known are {', '.join(NAMES)}")
    fields = Fields(config, where)
    for entry in REFUSED:
        if config.get(entry):
            fields.refuse(entry, "empty")
    check_numbers(config, where)
    widths = [kind.context, "in_channels", *([kind.pooled] if kind.pooled else [])]
    for entry in widths:
        fields.whole(entry, 1, MAX_WIDTH)
    if kind.folder == "unet":
        if not fields.wholes("block_out_channels", 1, MAX_WIDTH):
            fields.refuse("block_out_channels", "a list of widths")
        if config.get("addition_embed_type") not in (None, "text_time"):
            fields.refuse("addition_embed_type", "text_time or null")
    elif kind.name == "ZImageTransformer2DModel":
        if fields.wholes("all_patch_size", 1, 64) != (2,) or fields.wholes("all_f_patch_size", 1, 64) != (1,):
            fields.refuse("all_patch_size", "[2], with all_f_patch_size [1]")
        fields.whole("dim", 1, MAX_WIDTH)
    else:
        fields.whole("num_attention_heads", 1, MAX_WIDTH)
        fields.whole("attention_head_dim", 1, MAX_WIDTH)
        if kind.name == "SanaTransformer2DModel" and config.get("guidance_embeds"):
            fields.refuse("guidance_embeds", "false: SANA-Sprint is sampled in another way")
    if kind.packed and config["in_channels"] % kind.packed**2:
        fields.refuse("in_channels", f"a multiple of {kind.packed**2}")
    if kind.folder == "transformer" and "patch_size" in config:
        fields.whole("patch_size", 1, 64)
    if type(config.get("sample_size")) is int:
        fields.whole("sample_size", 1, MAX_SAMPLE)
    return kind


def check_numbers(config: Config, where: str) -> None:
    """Refuse numbers that would build a huge network. Raises ModelError."""
    fields = Fields(config, where)
    for name, value in config.items():
        for each in numbers_in(value):
            most = MAX_LAYERS if "layers" in name or name.endswith("_blocks") else MAX_WIDTH
            if name in ("sample_size", "pos_embed_max_size"):
                most = MAX_SAMPLE
            if type(each) is int and not -1 <= each <= most:
                fields.refuse(name, f"a number up to {most}")
        if isinstance(value, list | tuple) and len(value) > MAX_LAYERS:
            fields.refuse(name, f"a list of {MAX_LAYERS} entries at most")
    sides = [config[name] for name in ("sample_size", "pos_embed_max_size") if type(config.get(name)) is int]
    heads, width = config.get("num_attention_heads"), config.get("attention_head_dim")
    if sides and type(heads) is int and type(width) is int and max(sides) ** 2 * heads * width > MAX_POSITIONS:
        fields.refuse("sample_size", "one whose positions fit in memory")


def numbers_in(value: Any) -> list[Any]:
    """A value, or those of a list and of the lists in it."""
    if isinstance(value, list | tuple):
        return [inner for each in value[:MAX_LAYERS] for inner in numbers_in(each)]
    return [value]
