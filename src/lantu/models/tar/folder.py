"""What a Tar directory says of itself, read without loading a weight.

    tar/
      config.json, model.safetensors, tokenizer.json …   csuhan/Tar-1.5B or -7B as published
      ta_tok/config.json, ta_tok/model.safetensors       csuhan/TA-Tok, saved as safetensors
      sana/                                              csuhan/Tar-SANA-600M-1024px as published, and
      sana/negative_prompt_embeds.safetensors            its negative_prompt_embeds.pth, saved as safetensors

docs/families.md has the lines that save them so: lantu reads no pickle.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lantu.engine.sampling_params import FOUND, PASSES, PREFIXES
from lantu.errors import ModelError
from lantu.files.untrusted import Fields, read_json
from lantu.models.plain.decoders import NOT_FOLLOWED
from lantu.models.plain.description import Description
from lantu.models.plain.folder import PlainFolder
from lantu.models.published.folder import count
from lantu.weights import arrays, manifest

TA_TOK, SANA, NEGATIVE = "ta_tok", "sana", "negative_prompt_embeds.safetensors"
MODEL_TYPES = ("qwen2", "llava_qwen")  # the second is what Tar was trained as; it computes the same
TEXT = ("model.embed_tokens.", "model.layers.", "model.norm.", "lm_head.")  # of the language model, without its eyes
LAYOUT: dict[str, Any] = {  # of Tar's t2i_inference_sana.py; it drafts without guidance, SANA renders with it
    "name": "Tar",
    "licence": "unclear: its repository names none",
    "source": "arXiv:2506.18898, github.com/csuhan/Tar: t2i_inference_sana.py",
    "chat": [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "{prompt}"},
    ],
    "prompt": "{chat}<im_start><S0>",
    "codes": {"token": "<I{}>", "size": 65536},
    "grid": {"default": [27, 27], "others": [[13, 13], [9, 9]]},
    "patch": 37,
    "sampling": {"temperature": 1.0, "top_p": 0.95, "top_k": 1200, "steps": 20, "render_guidance": 4.0},
}


def recognise(folder: Path) -> bool:
    """Whether a directory has Tar's parts."""
    try:
        return (folder / TA_TOK).is_dir() and read_json(folder / "config.json").get("model_type") in MODEL_TYPES
    except (OSError, ValueError):
        return False


@dataclass(frozen=True)
class TarFolder(PlainFolder):
    """A Tar directory; see ``lantu.models.spec.ModelFolder``.

    Raises:
        ModelError: a config can't be read.
    """

    @cached_property
    def description(self) -> Description:
        """How Tar draws, with as many codes as its TA-Tok has."""
        return Description.of({**LAYOUT, "codes": {**LAYOUT["codes"], "size": self.quantizer["codebook_size"]}})

    @cached_property
    def tokenizer(self) -> dict[str, Any]:
        """TA-Tok's settings, as its checkpoint has them."""
        return arrays.read_config(self.path / TA_TOK)

    @cached_property
    def quantizer(self) -> dict[str, Any]:
        """Settings of its codebook."""
        found: Any = self.tokenizer
        for name in ("bottleneck", "args", "regularizer", "args"):
            found = found.get(name) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            raise ModelError(f"{self.path / TA_TOK}/config.json has no settings of a codebook", "save it again")
        Fields(found, f"{TA_TOK}/config.json").whole("codebook_size", 2, 1 << 16)
        return found

    @cached_property
    def config(self) -> dict[str, Any]:
        """The language model's config.json, as a Qwen2's."""
        return {**super().config, "model_type": "qwen2"}

    @cached_property
    def pixels(self) -> int:
        """Pixels a side of all pictures: what SANA was trained on."""
        folder = self.path / SANA
        denoiser = Fields(arrays.read_config(folder / "transformer"), f"{SANA}/transformer/config.json")
        vae = Fields(arrays.read_config(folder / "vae"), f"{SANA}/vae/config.json")
        levels = len(vae.wholes("encoder_block_out_channels", 1, 1 << 16))
        return denoiser.whole("sample_size", 1, 1024) << (min(levels, 10) - 1)

    @property
    def unused_params(self) -> tuple[str, ...]:  # pyrefly: ignore[bad-override]
        """Tar drafts without guidance, and SANA has a sampler of its own."""
        return ("guidance", "contrast", *NOT_FOLLOWED["pipeline"], *PASSES, *FOUND, *PREFIXES)

    @property
    def patch(self) -> int:
        """Pixels a side of a code, rounded down: SANA's latents have no cell for a code."""
        return max(1, self.pixels // self.grid[0])

    @cached_property
    def decoder(self) -> Path:
        """The folder of SANA."""
        return self.path / SANA

    def weight_files(self) -> Iterator[Path]:
        """The safetensors files of all parts."""
        yield from super().weight_files()
        yield from arrays.shard_paths(self.path / TA_TOK)

    def check(self) -> "TarFolder":
        """Itself, once the language model's tensors are those that config.json asks for, and all parts are there.

        Raises:
            ModelError: a tensor is missing, unknown, or of another shape or type; or a part is missing.
        """
        manifest.read_foreign(self.path)
        for part in (self.decoder / "model_index.json", self.decoder / NEGATIVE):
            if not part.is_file():
                raise ModelError(f"{part} is missing", "docs/families.md says where it comes from")
        _ = self.pixels, arrays.entries(self.path / TA_TOK)
        return self

    def describe(self) -> dict[str, Any]:
        """What there is to know without loading it, as JSON."""
        return {**super().describe(), "pixels": f"{self.pixels}x{self.pixels}"}

    def parameters(self) -> dict[str, int]:
        """How many numbers each part has, from the headers of its files."""
        return {**super().parameters(), "ta_tok": count(arrays.entries(self.path / TA_TOK))}
