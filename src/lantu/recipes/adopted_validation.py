"""The losses of an adopted language model on what it is not trained on: codes, captions and plain text.

RUN/samples/validation.jsonl has a line for the model before its first step, and one whenever samples are made.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lantu.files import write_text
from lantu.recipes.captions import caption_of, learnable
from lantu.recipes.codes import codes_of
from lantu.recipes.language_task import LanguageSetup
from lantu.recipes.next_token import next_token_losses
from lantu.recipes.plain_text import rows
from lantu.tokens.document import LANGUAGES
from lantu.types import CodeGrid, Document

FILE = "validation.jsonl"
ROWS = 8  # documents that are computed together
StartWeights = Callable[[], Mapping[str, Tensor]]  # parameters by name


class Validation:
    """Documents of the pictures that are kept for validation, and pieces of held-out text.

    Args:
        text: pieces of at most ``length`` ids.
        most: pictures, and pieces.
    """

    def __init__(self, setup: LanguageSetup, text: Sequence[np.ndarray], most: int, length: int):
        self.setup, self.length = setup, length
        self.text = [text[place] for place in spread(len(text), most)]
        self.most = most
        self.first: dict[str, float] | None = None

    def before(self, model: Any) -> None:
        """Measure the model that training begins with."""
        self.first = self.measure(model)

    def write(self, model: Any, step: int, folder: Path, start_weights: StartWeights) -> None:
        """Add a line for the model as it is now; lines of later steps, which a killed run left, are removed.

        Args:
            start_weights: what training began with, for a run that was killed before the first line was written.

        Raises:
            DiskError: it can't be written.
        """
        path = folder / FILE
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
        lines = [line for line in lines if line["step"] < step]
        if step and not any(line["step"] == 0 for line in lines):
            self.first = self.first or self.measure_with(model, start_weights())
            lines.insert(0, {"step": 0, **self.first})
        lines.append({"step": step, **self.measure(model)})
        write_text(path, "".join(f"{json.dumps(line)}\n" for line in lines))

    @torch.no_grad()
    def measure_with(self, model: Any, others: Mapping[str, Tensor]) -> dict[str, float]:
        """``measure`` with other values of some parameters: in their place, so that the device holds one model."""
        parameters = dict(model.named_parameters())
        kept = {name: parameters[name].to("cpu", copy=True) for name in others}
        try:
            for name, value in others.items():
                parameters[name].copy_(value)
            return self.measure(model)
        finally:
            for name, value in kept.items():
                parameters[name].copy_(value)

    @torch.no_grad()
    def measure(self, model: Any) -> dict[str, float]:
        """Mean losses in nats: "codes" after a caption, "captions" after a picture, "text"; what there is of them.

        Without autocast, whoever asks: the first line is compared with the others.
        """
        with torch.autocast(model.device.type, enabled=False):
            return self.losses(model)

    def losses(self, model: Any) -> dict[str, float]:
        """``measure`` in the precision that is in force."""
        training = model.training
        model.eval()
        drawing, captioning = self.documents()
        pad = self.setup.vocabulary.special("pad")
        found: dict[str, list[tuple[float, int]]] = {"codes": [], "captions": [], "text": []}
        for name, documents in (("codes", drawing), ("captions", captioning), ("text", self.text)):
            for start in range(0, len(documents), ROWS):
                some = documents[start : start + ROWS]
                batch = rows(some, self.length if name == "text" else max(map(len, some)), pad)
                losses, targets = next_token_losses(
                    model, **{key: value.to(model.device) for key, value in batch.items()}
                )
                codes = self.setup.vocabulary.is_code(targets)
                words = (targets >= 0) & (targets < self.setup.vocabulary.text_size)
                chosen = losses[codes if name == "codes" else words]
                found[name].append((float(chosen.double().sum()), chosen.numel()))
        model.train(training)
        return {name: round(total(parts), 5) for name, parts in found.items() if sum(count for _, count in parts)}

    def documents(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The ids of the validation pictures: after a caption, and before it."""
        setup, val = self.setup, self.setup.pictures.val
        chosen = spread(len(val), self.most)
        samples, _ = learnable([val.sample(place) for place in chosen], setup.codec, setup.corpus.longest)
        grids = codes_of(setup.data, setup.tokenizer, "val") if chosen else []
        drawing, captioning = [], []
        for place, sample in zip(chosen, samples, strict=True):
            known = {name: texts for name, texts in sample.captions.items() if name in LANGUAGES}
            caption, grid = caption_of(known, place), CodeGrid(grids[place])
            language = next((name for name, texts in known.items() if caption in texts), "")
            if caption:
                drawing.append(setup.corpus.ids(Document((caption, grid), language))[0])
                captioning.append(setup.corpus.ids(Document((grid, caption), language))[0])
        return drawing, captioning


def spread(count: int, most: int) -> list[int]:
    """At most so many places, evenly spread."""
    return sorted({place * count // min(most, count) for place in range(min(most, count))}) if count else []


def total(parts: Sequence[tuple[float, int]]) -> float:
    """The mean of sums and counts."""
    return sum(value for value, _ in parts) / max(1, sum(count for _, count in parts))
