"""Names by which a part's config.json says what the part is."""

from collections.abc import Mapping
from typing import Any

MASKED = "lantu-masked"  # model_type of a language model that drafts by masked diffusion
VQ_DIFFUSION = "lantu-vq-diffusion"  # of one that drafts by discrete diffusion
MASKED_VECTORS = "lantu-masked-vectors"  # of one that drafts vectors in random order
PRETRAINED_CONTROL = "PretrainedControl"  # of the control of such a decoder
MEMORY_BANK = "MemoryBank"  # _class_name of pictures that are found before a drawing
PRETRAINED = "PretrainedDecoder"  # _class_name of a decoder that is a pretrained diffusion model


def part_of(config: Mapping[str, Any]) -> str:
    """The part that a config.json belongs to; "" if unknown."""
    if "quantizer" in config:
        return "tokenizer"
    if "factor" in config:
        return "upscaler"
    if "strengths" in config:
        return "control"
    if "model_type" in config:
        return "language"
    if config.get("_class_name") == MEMORY_BANK:
        return "memory_bank"
    if config.get("_class_name") in (PRETRAINED, PRETRAINED_CONTROL):
        return "decoder" if config["_class_name"] == PRETRAINED else "control"
    return "decoder" if {"patch", "width", "layers", "codebook_size"} <= config.keys() else ""
