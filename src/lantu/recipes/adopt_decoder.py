"""``lantu adopt decoder``: a pretrained diffusion model and an image tokenizer, whose codes it is to render."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lantu.errors import ModelError, RecipeError
from lantu.files import check_apart
from lantu.files.untrusted import read_bytes
from lantu.models import hub, registry
from lantu.models.diffusers.adopt import Choices, TokenizerCodes, adopt
from lantu.models.diffusers.folder import NETWORKS, SCHEDULER, VAE
from lantu.models.diffusers.pretrained import PretrainedConfig
from lantu.models.lantu.components import is_pretrained
from lantu.models.recognising import pipeline
from lantu.recipes.codes import check_cells, load_tokenizer
from lantu.tokens.vocabulary import MAX_PATCH

PARTS = (*NETWORKS, VAE, SCHEDULER)  # of a pipeline; its text encoders stay behind
UNSAID = "unknown: see the model's card"
MAX_CARD = 5_000_000  # bytes


@dataclass(frozen=True)
class Adopted:
    """What was made: the decoder's config, and the size of its pictures on the tokenizer's own grid."""

    config: PretrainedConfig
    size: int
    licence: str


def adopt_decoder(
    source: str, tokenizer: str | Path, out: str | Path, size: int | None = None, vae: str | None = None, **how: Any
) -> Adopted:
    """Write a decoder's folder; see ``lantu.models.diffusers.adopt.adopt``.

    Args:
        source: a published pipeline's folder, or its id on the Hugging Face hub.
        tokenizer: a run, a model or a folder: the image tokenizer whose codes the decoder is to render.
        size: pixels a side of its pictures; by default the size that the pipeline was trained on.
        vae: another autoencoder, by folder or hub id.
        how: see ``Choices``.

    Raises:
        RecipeError: the codes' grid doesn't divide the size.
        ModelError, DiskError: as of ``adopt``; or the source is something else, such as an adopted decoder, or holds
            ``out``.
    """
    from lantu.models.diffusers.sizes import native_size

    codes = load_tokenizer(tokenizer)
    check_cells(codes, "an adopted decoder")
    folder, other = hub.locate(source, PARTS), hub.locate(vae) if vae else None
    if (folder / "config.json").is_file() and is_pretrained(folder):
        raise ModelError(f"{source} is adopted already", "train it: lantu train decoder --recipe adopted --start DIR")
    # A pipeline first: Stable Diffusion's is a model of a family here, too.
    found = pipeline(folder) or registry.what(folder)
    if found and found.kind != "pipeline":
        raise ModelError(f"{source} is {found.what}, not a pipeline of diffusers", found.then)
    check_apart(out, {"pipeline": folder, **({"autoencoder": other} if other else {})})
    side = codes.config.size // codes.config.patch
    size = size or native_size(folder, other)
    if size % side or size // side > MAX_PATCH:
        raise RecipeError(f"{size} pixels for {side} codes a side", f"give a multiple of {side}: --size PIXELS")
    licence = how.pop("licence", "") or licence_of(folder) or UNSAID
    choices = Choices(patch=size // side, origin=source, licence=licence, **how)
    given = TokenizerCodes(codes.quantizer.vectors().detach().float(), codes.codes_digest())
    return Adopted(adopt(folder, given, Path(out), choices, other), size, licence)


def licence_of(folder: Path) -> str:
    """What the card of a published model says of its licence; "" where it says nothing."""
    try:
        text = read_bytes(folder / "README.md", MAX_CARD).decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""
    if not text.startswith("---"):
        return ""
    head = text[3:].partition("\n---")[0]
    lines = (line.partition(":") for line in head.splitlines())
    said = {name.strip(): value.strip().strip("\"'") for name, _, value in lines}
    name = said.get("license", "")
    return said.get("license_name", name) if name in ("", "other") else name
