"""Rotary position embeddings as a config.json declares them (arXiv:2104.09864), with the scalings of transformers.

Shapes: N tokens, K head width, P positions.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lantu.files.untrusted import Fields

AXES = 3  # of multi-dimensional positions: time, row and column (m-RoPE, arXiv:2409.12191)
DEFAULT_BASE = 10_000.0  # transformers' default of rope_theta
MAX_POSITIONS = 1 << 24
COMMON, SECTIONED = {"rope_type", "type", "rope_theta"}, {"partial_rotary_factor", "mrope_section"}
SCALINGS: dict[str, set[str]] = {  # rope_type → fields that it reads
    "default": set(),
    "linear": {"factor"},
    "llama3": {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"},
    "yarn": {
        *("factor", "attention_factor", "beta_fast", "beta_slow"),
        *("mscale", "mscale_all_dim", "original_max_position_embeddings", "truncate"),
    },
}


@dataclass(frozen=True)
class Rotary:
    """The rotary angles of a language model.

    Attributes:
        base: ``rope_theta``.
        width: numbers of a head that are rotated; the others stay.
        head_width: K.
        scaling: a key of ``SCALINGS``.
        fields: the numbers of the scaling.
        sections: how many frequencies each axis of multi-dimensional positions has in turn, time, row, column, time, …;
            empty for positions of one dimension.
    """

    base: float
    width: int
    head_width: int
    scaling: str = "default"
    fields: Mapping[str, float] | None = None
    sections: tuple[int, ...] = ()

    @classmethod
    def of(cls, config: Mapping[str, Any], head_width: int, where: str, sections: tuple[int, ...] = ()) -> "Rotary":
        """What a config declares, as ``rope_parameters`` or, in older directories, as ``rope_scaling``.

        ``unsupported`` has found nothing in it.

        Args:
            where: the config's name in messages.
            sections: of the architecture, where the config has none.

        Raises:
            ModelError: a number is missing or out of range.
        """
        declared = declared_rope(config)
        fields = Fields(declared, where)
        scaling = rope_type(declared)
        share = fields.real("partial_rotary_factor", 0.01, 1) if fields.given("partial_rotary_factor") else 1.0
        width = int(head_width * share)
        if width < 2 or width % 2:
            fields.refuse("partial_rotary_factor", f"an even part of head_dim {head_width}")
        if fields.given("mrope_section"):
            sections = fields.wholes("mrope_section", 0, head_width)
        if sections and sum(sections) != width // 2:
            fields.refuse("mrope_section", f"numbers whose sum is {width // 2}, half the rotated numbers of a head")
        base = fields.real("rope_theta", 1.0, 1e12)
        return cls(base, width, head_width, scaling, read_scaling(scaling, fields), sections)

    @property
    def axes(self) -> np.ndarray | None:
        """(K/2) int64: the axis of the position that each pair of numbers of a head turns by; None for one axis."""
        if not self.sections:
            return None
        axes = np.repeat(np.arange(len(self.sections)) % AXES, self.sections)
        return np.concatenate([axes, np.zeros((self.head_width - self.width) // 2, np.int64)])

    @property
    def order(self) -> np.ndarray | None:
        """(K): the numbers of a head in the order in which the rotated pairs are (i, i + K/2); None if they are so.

        Queries and keys in another order have the same products. So a head of which a part is rotated needs no code of
        its own: the rows of its projections are put in this order, and the pairs behind turn by nothing.
        """
        if self.width == self.head_width:
            return None
        half, kept = self.width // 2, np.arange(self.width, self.head_width)
        first, second = np.split(kept, 2)
        return np.concatenate([np.arange(half), first, np.arange(half, self.width), second])

    def frequencies(self) -> np.ndarray:
        """(K/2) float32: radians a position; 0 where nothing is rotated."""
        half = np.arange(0, self.width, 2, dtype=np.float32) / self.width
        frequencies = SCALE[self.scaling](np.float32(self.base) ** -half, self)
        return np.concatenate([frequencies, np.zeros((self.head_width - self.width) // 2, np.float32)])

    def table(self, length: int) -> np.ndarray:
        """(2, P, K/2) float32: cosine and sine of the angles of the first ``length`` positions."""
        angles = np.arange(length, dtype=np.float32)[:, None] * self.frequencies()
        rotation_2PK = np.stack([np.cos(angles), np.sin(angles)])
        if (factor := self.attention_factor()) != 1:
            rotation_2PK[:, :, : self.width // 2] *= np.float32(factor)
        return rotation_2PK

    def attention_factor(self) -> float:
        """YaRN's factor of cosine and sine (arXiv:2309.00071, section 3.4)."""
        if self.scaling != "yarn":
            return 1.0
        given = self.fields or {}
        if "attention_factor" in given:
            return given["attention_factor"]
        if given.get("mscale") and given.get("mscale_all_dim"):
            return magnitude(given["factor"], given["mscale"]) / magnitude(given["factor"], given["mscale_all_dim"])
        return magnitude(given["factor"], 1.0)


def declared_rope(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The rotary parameters of a config in one mapping: those beside ``rope_parameters``, or ``rope_scaling``, too."""
    nested = config.get("rope_scaling") or config.get("rope_parameters")
    inner = nested if isinstance(nested, Mapping) else {}
    found: dict[str, Any] = {"rope_theta": DEFAULT_BASE}
    for name in ("rope_theta", "partial_rotary_factor"):
        if config.get(name) is not None:
            found[name] = config[name]
    found |= {name: value for name, value in inner.items() if value is not None}
    if rope_type(found) in ("llama3", "yarn"):
        outer = config.get("original_max_position_embeddings")
        found.setdefault("original_max_position_embeddings", config.get("max_position_embeddings"))
        if outer is not None:
            found["original_max_position_embeddings"] = outer
    return found


def rope_type(declared: Mapping[str, Any]) -> Any:
    """The scaling's name; "mrope" of older directories is the default one with sections."""
    kind = declared.get("rope_type", declared.get("type", "default"))
    return "default" if kind == "mrope" else kind


def unsupported(config: Mapping[str, Any], sectioned: bool) -> dict[str, Any]:
    """What a config declares that is not computed here, by name.

    Args:
        sectioned: the architecture has positions of three axes, and may rotate a part of each head; others ignore both
            fields or can't compute them in transformers.
    """
    for name in ("rope_scaling", "rope_parameters"):
        if not isinstance(config.get(name) or {}, Mapping):
            return {name: config[name]}
    declared = declared_rope(config)
    if not isinstance(kind := rope_type(declared), str) or kind not in SCALINGS:
        return {"rope_type": kind}
    if not sectioned and declared.get("partial_rotary_factor", 1) == 1:
        declared = {name: value for name, value in declared.items() if name != "partial_rotary_factor"}
    known = SCALINGS[kind] | (COMMON | SECTIONED if sectioned else COMMON)
    return {name: value for name, value in declared.items() if name not in known}


def read_scaling(scaling: str, fields: Fields) -> dict[str, float]:
    """The numbers of a scaling, checked."""
    if scaling == "default":
        return {}
    found = {"factor": fields.real("factor", 1, 1e6)}
    if scaling in ("llama3", "yarn"):
        name = "original_max_position_embeddings"
        found[name] = fields.whole(name, 1, MAX_POSITIONS)
    if scaling == "llama3":
        found |= {name: fields.real(name, 1e-6, 1e6) for name in ("low_freq_factor", "high_freq_factor")}
        if found["low_freq_factor"] >= found["high_freq_factor"]:
            fields.refuse("high_freq_factor", f"more than low_freq_factor {found['low_freq_factor']:g}")
    if scaling == "yarn":
        fields.real("rope_theta", 1.001, 1e12)
        for name in ("attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim"):
            if fields.given(name):
                found[name] = fields.real(name, 1e-6 if name.startswith("beta") else 0, 1e6)
        if fields.given("truncate"):
            found["truncate"] = float(fields.one_of("truncate", (True, False)))
    return found


def plain(frequencies: np.ndarray, rotary: Rotary) -> np.ndarray:
    """The frequencies as they are."""
    return frequencies


def linear(frequencies: np.ndarray, rotary: Rotary) -> np.ndarray:
    """Position interpolation (arXiv:2306.15595)."""
    assert rotary.fields is not None
    return frequencies / np.float32(rotary.fields["factor"])


def llama3(frequencies: np.ndarray, rotary: Rotary) -> np.ndarray:
    """Llama 3.1's: long wavelengths are interpolated, short ones kept, those between are mixed."""
    given = rotary.fields or {}
    factor, context = np.float32(given["factor"]), given["original_max_position_embeddings"]
    low, high = given["low_freq_factor"], given["high_freq_factor"]
    turns = np.float32(context) * frequencies / np.float32(2 * math.pi)  # within the context
    kept = np.clip((turns - np.float32(low)) / np.float32(high - low), 0, 1)
    return ((1 - kept) / factor + kept) * frequencies


def yarn(frequencies: np.ndarray, rotary: Rotary) -> np.ndarray:
    """YaRN (arXiv:2309.00071, section 3.2): interpolated below ``beta_slow`` turns within the context, kept above
    ``beta_fast``."""
    given = rotary.fields or {}
    context, width = given["original_max_position_embeddings"], rotary.width

    def place(turns: float) -> float:
        return width * math.log(context / (turns * 2 * math.pi)) / (2 * math.log(rotary.base))

    low, high = place(given.get("beta_fast") or 32), place(given.get("beta_slow") or 1)
    if given.get("truncate", 1):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, width - 1)
    ramp = (np.arange(width // 2, dtype=np.float32) - low) / (high - low or 0.001)
    kept = 1 - np.clip(ramp, 0, 1).astype(np.float32)
    return frequencies / np.float32(given["factor"]) * (1 - kept) + frequencies * kept


def magnitude(factor: float, scale: float) -> float:
    """YaRN's growth of the attention with the context."""
    return 0.1 * scale * math.log(factor) + 1 if factor > 1 else 1.0


SCALE = {"default": plain, "linear": linear, "llama3": llama3, "yarn": yarn}
