"""The directory of a latent diffusion model in the format of diffusers' ``StableDiffusionPipeline``, from JSON alone.

NAME/
  model_index.json     the class of each part; of lantu's own models also name, licence, "draw", cost and checksums
  tokenizer/  text_encoder/  unet/  vae/  scheduler/     as diffusers and transformers write them

``vae/`` may also hold the two files of a tiny autoencoder (``lantu.models.diffusers.tiny_autoencoder``).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lantu.diffusion.latent_codes import LEVELS, LatentCodes
from lantu.engine.sampling_params import SamplingParams, renamed
from lantu.errors import LantuError, ModelError
from lantu.files import WEIGHTS, FolderKind, sha256
from lantu.files.untrusted import Fields, check_regular, read_json
from lantu.models.diffusers.folder import PUBLISHED
from lantu.models.lantu.counting import count
from lantu.models.published.folder import PublishedFolder, sampled
from lantu.models.spec import Grid
from lantu.rivals.latent_diffusion.names import CLASS, PARTS, SCHEDULER, STEMS, TINY
from lantu.weights import arrays
from lantu.weights.architecture import MAX_WIDTH

if TYPE_CHECKING:
    from lantu.models.estimate import Memory

INDEX = "model_index.json"
OPTIONAL_ENTRIES = ("license", "data", "scores")
PARAMS = SamplingParams(guidance=7.5, steps=50)  # of the pipeline
UNUSED = (
    *("contrast", "temperature", "top_k", "top_p", "num_draft_tokens", "min_accepted"),
    *("render_guidance", "sampler", "refine", "refine_steps", "shots", "num_codes"),
)
MAX_SIDE = 1024  # positions a side of a latent
KIND = FolderKind(
    "a latent diffusion model",
    (INDEX,),
    (
        *(INDEX, "README.md", "words.json", "related.json", SCHEDULER),
        *WEIGHTS.within("tokenizer"),
        *WEIGHTS.within("text_encoder"),
        *(f"{part}/{name}" for part in ("unet", "vae") for name in PUBLISHED),
        *(f"vae/{name}" for name in (*TINY, "LICENSE", "README.md")),
    ),
    ("_class_name", CLASS),
)


@dataclass(frozen=True)
class LatentDiffusionFolder(PublishedFolder):
    """See ``lantu.models.spec.ModelFolder``.

    Raises:
        ModelError: a part is missing, or its sizes can't be read.
    """

    abilities = ("drawing", "filling")
    unused_params = UNUSED
    config_name = INDEX
    architecture = "UNet2DConditionModel"
    kind = KIND
    about = (
        "Text encoder and external diffusion after Rombach et al. 2022: a UNet with cross-attention denoises the\n"
        "latents of an autoencoder, in the format of Stable Diffusion."
    )

    def __post_init__(self):
        needed = (INDEX, SCHEDULER, "unet/config.json", "text_encoder/config.json", "tokenizer/tokenizer_config.json")
        missing = [name for name in needed if not (self.path / name).is_file()]
        if missing:
            raise ModelError(f"{self.path} lacks {', '.join(missing)}", "fetch it again")
        _ = self.latent_codes

    def read(self, name: str) -> dict[str, Any]:
        """One of its JSON files. Raises ModelError."""
        try:
            return read_json(self.path / name)
        except (OSError, ValueError) as problem:
            raise ModelError(f"{self.path / name} can't be read as JSON ({problem})", "fetch it again") from problem

    @cached_property
    def index(self) -> dict[str, Any]:
        """The content of model_index.json."""
        return self.read(INDEX)

    @property
    def name(self) -> str:
        """The name in the index, else that of the folder."""
        name = self.index.get("name")
        return name if isinstance(name, str) and name else super().name

    @property
    def licence(self) -> str:  # pyrefly: ignore[bad-override]
        """Of the weights, where the index says it."""
        found = self.index.get("license")
        return found if isinstance(found, str) else "that of the model: see its card"

    @property
    def settings(self) -> SamplingParams:  # pyrefly: ignore[bad-override]
        """The default sampling parameters. Raises ModelError where the index has one that can't be used."""
        given = self.index.get("draw", {})
        if not isinstance(given, dict) or not set(renamed(given)) <= set(PARAMS.as_dict()):
            raise ModelError(f'"draw" in {self.path / INDEX} are no sampling parameters', "restore it")
        try:
            return SamplingParams.read({**PARAMS.as_dict(), **given})
        except LantuError as problem:
            raise ModelError(f'"draw" in {self.path / INDEX}: {problem.message}', problem.hint) from problem

    @property
    def drawn(self) -> str:
        """What a picture takes, in words."""
        return f"{self.settings.steps} steps of the denoiser, each twice with guidance; no ids"

    @cached_property
    def latent_codes(self) -> LatentCodes:
        """How the numbers of a latent are codes."""
        unet = Fields(self.read("unet/config.json"), str(self.path / "unet/config.json"))
        channels = unet.whole("in_channels", 1, MAX_WIDTH)
        if channels != unet.whole("out_channels", 1, MAX_WIDTH):
            what = f"the UNet in {self.path} reads {channels} channels, and predicts others"
            raise ModelError(what, "give a model that draws from words alone")
        if all((self.path / "vae" / name).is_file() for name in TINY):
            return LatentCodes(channels, 8)
        vae = Fields(self.read("vae/config.json"), str(self.path / "vae/config.json"))
        levels = "block_out_channels" if vae.given("block_out_channels") else "encoder_block_out_channels"
        return LatentCodes(channels, 2 ** (len(vae.wholes(levels, 1, MAX_WIDTH)) - 1))

    @property
    def grid(self) -> Grid:
        """Height and width in codes."""
        unet = Fields(self.read("unet/config.json"), str(self.path / "unet/config.json"))
        side = unet.whole("sample_size", 1, MAX_SIDE) * self.latent_codes.side
        return side, side

    @property
    def patch(self) -> int:
        """Pixels a side of a code."""
        return self.latent_codes.patch

    @property
    def codebook_size(self) -> int:
        """Values that a number of a latent may have."""
        return LEVELS

    def weight_files(self) -> Iterator[Path]:
        """The safetensors of all parts. Raises OSError or ValueError."""
        for part in PARTS:
            tiny = [self.path / part / name for name in TINY]
            if part == "vae" and all(path.is_file() for path in tiny):
                yield from tiny
            else:
                yield from arrays.shard_paths(self.path / part, STEMS[part])

    @cached_property
    def digest(self) -> str:
        """Names these weights and settings, whatever the folder is called: 16 hex digits."""
        folders = [self.path / part for part in (*PARTS, "tokenizer", "scheduler")]
        files = [path for folder in folders for path in sorted(folder.glob("*.json"))]
        check_regular(files)
        try:
            return sampled(sha256(*files), self.weight_files())
        except (OSError, ValueError) as problem:
            raise ModelError(f"no weights can be read in {self.path} ({problem})", arrays.HINT) from problem

    def parameters(self) -> dict[str, int]:
        """How many numbers each part has, from the headers of its files. Raises ModelError."""
        try:
            counts = [(path.parent.name, count(path)) for path in self.weight_files()]
        except (OSError, ValueError) as problem:
            raise ModelError(f"no weights can be read in {self.path} ({problem})", arrays.HINT) from problem
        return {part: sum(number for where, number in counts if where == part) for part in PARTS}

    def memory(self, device: str) -> "Memory":
        """Bytes that drawing a picture takes, in float32."""
        from lantu.models.estimate import Memory, convolution_bytes

        numbers, (height, width) = self.parameters(), self.grid
        working = convolution_bytes(width * self.patch, height * self.patch)
        drafting = 4 * (numbers["text_encoder"] + numbers["unet"])
        return Memory(language=drafting, caches=working // 8, decoder=4 * numbers["vae"], working=working)

    def check(self) -> "LatentDiffusionFolder":
        """This folder, once the tensors of its parts are those that their configs ask for; no weights are read.

        Raises:
            ModelError: they aren't.
        """
        from lantu.rivals.latent_diffusion import network

        _ = self.name, self.settings
        network.check(self.path)
        return self

    def describe(self) -> dict[str, Any]:
        """Facts that need no weights, as JSON."""
        facts = {**super().describe(), "steps": self.settings.steps, "learnt": ["filling"]}
        return facts | {key: self.index[key] for key in OPTIONAL_ENTRIES if key in self.index}
