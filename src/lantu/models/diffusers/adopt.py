"""Makes a decoder of a published pipeline of diffusers: its denoiser, autoencoder and scheduler, and a new adapter.

Text encoders stay behind: codes take the place of the text. The published files are copied one by one, unread but for
their headers, so that a model of any size needs no memory.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lantu import files
from lantu.errors import ModelError
from lantu.files.untrusted import Fields, check_regular, open_regular, read_json
from lantu.models.diffusers import folder as folders
from lantu.models.diffusers import modules
from lantu.models.diffusers.conditioning import Adapter, AdapterConfig
from lantu.models.diffusers.kinds import MAX_WIDTH, NAMES, NetworkKind, kind_of
from lantu.models.diffusers.pretrained import PretrainedConfig, read_schedule
from lantu.models.diffusers.vae import TINY, codec_class, codec_sizes
from lantu.models.published.folder import read_optional
from lantu.weights import arrays

# One file, or the index of several; either may be of a variant.
WEIGHTS = re.compile(rf"{folders.STEM}(\.(?P<single>\w+))?\.safetensors(\.index(\.(?P<sharded>\w+))?\.json)?")
HINT = "give a published pipeline of diffusers, with model_index.json, unet/ or transformer/, vae/ and scheduler/"


@dataclass(frozen=True)
class TokenizerCodes:
    """The codes that a decoder is to render.

    Attributes:
        vectors_KE: of each code; the adapter's embedding begins with them.
        digest: of their tokenizer, see ``ImageTokenizer.codes_digest``.
    """

    vectors_KE: Tensor
    digest: str


@dataclass(frozen=True)
class Choices:
    """What may be chosen.

    Attributes:
        patch: pixels a side for one code.
        variant: of the weights' files: "fp16" for ``diffusion_pytorch_model.fp16.safetensors``; "" for the plain ones,
            or, where there are none, the only variant.
        width, layers: of the adapter.
        origin, licence: recorded in config.json.
        seed: of the adapter's weights.
    """

    patch: int
    variant: str = ""
    width: int = 512
    layers: int = 2
    origin: str = ""
    licence: str = ""
    seed: int = 0


def adopt(
    source: Path, codes: TokenizerCodes, out: Path, choices: Choices, vae: Path | None = None
) -> PretrainedConfig:
    """Write the decoder's folder, completely or not at all.

    Args:
        source: a published pipeline's folder.
        vae: another autoencoder of the same latents: a folder of diffusers, or a tiny one's two files.

    Raises:
        ModelError: the folder is incomplete, damaged, of a class that codes can't condition, or doesn't fit the codes.
        DiskError: it can't be written, or ``out`` holds other things.
    """
    modules.require()
    index = read_optional(source / "model_index.json")
    place = folders.network_folder(source)
    about = modules.read_config(place, NAMES, "network")
    kind = kind_of(about, str(place / "config.json"))
    files_of = {place.name: weight_files(place, choices.variant)}
    modules.check(place, about, files_of[place.name].stem)
    vae = vae or folders.autoencoder_folder(source, kind.channels(about))
    codec, channels, factor = "", 3, 1
    if vae is not None:
        codec, (channels, factor) = codec_class(vae), codec_sizes(vae)
        files_of[folders.VAE] = weight_files(vae, choices.variant)
        if codec != TINY:
            modules.check(vae, arrays.read_config(vae), files_of[folders.VAE].stem)
    read_schedule(source)
    check_fit(kind, about, channels, factor, choices.patch)
    ids = time_ids(about, index)
    config = PretrainedConfig(
        patch=choices.patch,
        codebook_size=len(codes.vectors_KE),
        tokenizer=codes.digest,
        network=kind.name,
        codec=codec,
        origin=choices.origin,
        license=choices.licence,
        time_ids=ids,
    )
    adapter = new_adapter(kind, about, ids, codes, choices)
    with files.replacing_folder(out, folders.KIND) as temporary:
        for name, each in files_of.items():
            each.copy(temporary / name)
        copy(source / folders.SCHEDULER / "scheduler_config.json", temporary / folders.SCHEDULER)
        adapter.save(temporary / folders.ADAPTER)
        config.save(temporary)
    return config


def new_adapter(kind: NetworkKind, about: dict[str, Any], ids: int, codes: TokenizerCodes, choices: Choices) -> Adapter:
    """A fresh adapter of the widths that the network wants."""
    pooled = int(about[kind.pooled]) if kind.pooled else pooled_width(about, ids)
    sizes = AdapterConfig(
        codebook_size=len(codes.vectors_KE),
        width=choices.width,
        layers=choices.layers,
        context_width=about[kind.context],
        pooled_width=pooled,
        spatial_width=kind.inner(about),
        spatial_kernel=3 if kind.folder == "unet" else 1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(choices.seed)
        adapter = Adapter(sizes)
    adapter.start_from(codes.vectors_KE, choices.seed)
    return adapter


def check_fit(kind: NetworkKind, about: dict[str, Any], channels: int, factor: int, patch: int) -> None:
    """Refuse an autoencoder of other latents, and codes that paint no whole number of the network's patches.

    Raises:
        ModelError: they don't fit.
    """
    if kind.channels(about) != channels:
        what = f"the {kind.name} denoises {kind.channels(about)} channels, the autoencoder has {channels}"
        raise ModelError(what, "give the pipeline's own autoencoder, or one of the same latents (--vae)")
    unit = factor * kind.patch(about)
    if patch % unit:
        what = f"a code would paint {patch} pixels a side, a patch of the {kind.name} {unit}"
        raise ModelError(what, f"give a size at which it paints a multiple of {unit} (--size)")


def time_ids(about: dict[str, Any], index: dict[str, Any]) -> int:
    """How many numbers about its picture a network is told: 6 for SDXL, 5 for its refiner, else 0."""
    if about.get("addition_embed_type") != "text_time":
        return 0
    return 5 if Fields(index, "model_index.json").flag("requires_aesthetics_score") else 6


def pooled_width(about: dict[str, Any], ids: int) -> int:
    """The width of SDXL's pooled vector: what its embedding of further conditions takes beside the time ids."""
    if not ids:
        return 0
    fields = Fields(about, "the config.json of the network")
    each, total = (fields.whole(name, 1, MAX_WIDTH) for name in ("addition_time_embed_dim", EMBEDDED))
    if total <= ids * each:
        fields.refuse(EMBEDDED, f"more than {ids * each}")
    return total - ids * each


EMBEDDED = "projection_class_embeddings_input_dim"


@dataclass(frozen=True)
class Files:
    """The files of a published folder, and the names under which diffusers opens them without being told a variant."""

    stem: str
    names: dict[Path, str]
    index: dict[str, Any] | None = None

    def copy(self, out: Path) -> None:
        """Copy config.json and the weights into a new folder."""
        for path, name in self.names.items():
            copy(path, out, name)
        if self.index is not None:
            files.write_json(out / arrays.index_of(folders.STEM), self.index)


def weight_files(place: Path, variant: str) -> Files:
    """The files of a published folder, of a variant.

    Raises:
        ModelError: they are missing or damaged.
    """
    if not (place / "config.json").exists():
        names = {place / f"{half}.safetensors": f"{half}.safetensors" for half in ("encoder", "decoder")}
        check_regular(names)
        return Files("", names)
    stem = stem_of(place, variant)
    try:
        where = arrays.weight_map(place, stem)
        paths = arrays.shard_paths(place, stem)
        index = read_json(place / arrays.index_of(stem)) if where is not None else None
    except (OSError, ValueError) as problem:
        raise ModelError(f"can't read the weights in {place} ({problem})", HINT) from problem
    check_regular(paths)
    plain = {path: plain_name(path.name, number, len(paths)) for number, path in enumerate(paths, 1)}
    if index is not None:
        index["weight_map"] = {name: plain[place / file] for name, file in index["weight_map"].items()}
    return Files(stem, {place / "config.json": "config.json", **plain}, index)


def stem_of(place: Path, variant: str) -> str:
    """The beginning of the names of a folder's weights, of the variant that is wanted or the only one.

    Raises:
        ModelError: there are none, or several and none is named.
    """
    found = [WEIGHTS.fullmatch(path.name) for path in place.iterdir()]
    variants = sorted({match["single"] or match["sharded"] or "" for match in found if match})
    if not variants:
        raise ModelError(f"no {folders.STEM}.safetensors in {place}", HINT)
    if variant not in variants:
        if variant or len(variants) > 1:
            known = ", ".join(each or "the plain one" for each in variants)
            raise ModelError(f"no variant {variant!r} of the weights in {place}", f"there are {known}: --variant")
        variant = variants[0]
    return f"{folders.STEM}.{variant}" if variant else folders.STEM


def plain_name(name: str, number: int, total: int) -> str:
    """The name of a shard, or of the only file, without its variant."""
    return f"{folders.STEM}.safetensors" if total == 1 else f"{folders.STEM}-{number:05d}-of-{total:05d}.safetensors"


def copy(path: Path, out: Path, name: str = "") -> None:
    """Copy a regular file into a folder that is being written. Raises ModelError where it can't be read."""
    out.mkdir(parents=True, exist_ok=True)
    try:
        source = open_regular(path)
    except (OSError, ValueError) as problem:
        raise ModelError(f"{path} can't be read ({problem})", HINT) from problem
    with source, (out / (name or path.name)).open("wb") as made:
        shutil.copyfileobj(source, made, 1 << 22)
