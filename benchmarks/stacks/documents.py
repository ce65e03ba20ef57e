"""Documents that ``lantu data export`` wrote as JSON lines, for trainers of transformers. Needs no lantu."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

IGNORED = -100  # the label that transformers' loss leaves out


class Documents(Dataset[dict[str, list[int]]]):
    """Ids and labels of each document.

    Args:
        path: of the JSON lines.
        answers_only: labels only for the last part: of a drawing its codes, of a caption its text.
    """

    def __init__(self, path: Path, answers_only: bool = False):
        with path.open(encoding="utf-8") as file:
            self.lines = [json.loads(line) for line in file]
        self.answers_only = answers_only

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, number: int) -> dict[str, list[int]]:
        line = self.lines[number]
        start = line["answer"] if self.answers_only else 0
        return {"input_ids": line["ids"], "labels": [IGNORED] * start + line["ids"][start:]}


def collate(documents: Sequence[dict[str, list[int]]], pad: int) -> dict[str, Tensor]:
    """Pad documents to the longest, on the right: a causal model needs no mask of attention then."""
    longest = max(len(document["input_ids"]) for document in documents)
    batch: dict[str, Any] = {"input_ids": [], "labels": []}
    for document in documents:
        missing = longest - len(document["input_ids"])
        batch["input_ids"].append(document["input_ids"] + [pad] * missing)
        batch["labels"].append(document["labels"] + [IGNORED] * missing)
    return {name: torch.tensor(rows) for name, rows in batch.items()}
