"""Does a model copy its training pictures? The share of a drawing's codes that the nearest training picture has too.

    python benchmarks/copied_codes.py --model models/mine [--data DIR] [--count 96] [--json]

Prompts are captions of validation pictures. The nearest training picture is the one of the same shape with the most
equal codes in equal places. True validation pictures, which no training saw, are measured alike. The data must hold the
model's codes, as that of `lantu make` does.
"""

from pathlib import Path

import numpy as np
from measured import Row, options, show

from lantu.data.codes import load_codes
from lantu.pipeline import Model
from lantu.recipes.identity import codes_digest
from lantu.recipes.pictures import Album, own_data


def shares(codes_BN: np.ndarray, known_KN: np.ndarray) -> np.ndarray:
    """For each row of codes, the largest share that a known row has too: (B,)."""
    return np.array([(known_KN == row).mean(1).max() for row in codes_BN])


def grids(folder: Path, name: str, split: str, shape: tuple[int, int]) -> np.ndarray:
    """The codes (N, h · w) of the pictures of one shape."""
    kept = load_codes(folder, name, split)
    return np.stack([np.asarray(one).ravel() for one in kept if np.shape(one) == shape])


def measured(model: Model, data: Path, count: int) -> list[Row]:
    """A row for drawings, and one for true validation pictures."""
    name, shape = codes_digest(model.folder.path / "tokenizer")[:12], tuple(model.folder.grid)
    asked = Album(data, model.size).some(count, 0, captioned=True)
    drawn = np.stack([np.ravel(model.draw(one.prompt, seed=seed).codes) for seed, one in enumerate(asked)])
    known = grids(data, name, "train", shape)
    rows = []
    for what, codes in (("drawings", drawn), ("true pictures", grids(data, name, "val", shape))):
        equal = shares(codes, known)
        quantiles = zip(("median", "nine in ten below", "most"), np.quantile(equal, [0.5, 0.9, 1]), strict=True)
        shown = {"mean": equal.mean(), **dict(quantiles)}
        rows.append({"": what, "n": len(equal), **{title: f"{value:.1%}" for title, value in shown.items()}})
    return rows


def main() -> None:
    """Print the table."""
    parser = options(__doc__)
    parser.add_argument("--data", type=Path, help="a data folder that holds the model's codes")
    parser.add_argument("--count", type=int, default=96, help="drawings")
    arguments = parser.parse_args()
    model = Model.load(arguments.model, "cpu")
    data = arguments.data or own_data(model.folder)
    if data is None:
        parser.error("the model has no pictures of its own: name the data")
    show({"equal codes": measured(model, data, arguments.count)}, arguments.json)


if __name__ == "__main__":
    main()
