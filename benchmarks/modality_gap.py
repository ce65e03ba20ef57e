"""How far apart do words and pictures lie in a model's space? Discrete codes beside continuous vectors.

    python benchmarks/modality_gap.py --models lantu-emoji [RUN/model …] [--count 256] [--json]

After Liang et al. 2022, "Mind the gap" (arXiv:2203.02053). Two spaces of each model, vectors scaled to length 1:

- *input*: the embeddings that the language model reads. Of words: the ids that captions use. Of pictures: the codes
  that pictures use, or a continuous model's projected vectors.
- *hidden*: the last layer's states, after its norm, averaged over a caption and over a picture's codes, each alone.

"centroids apart" is the distance of the two means (0 to 2), "between halves" the same for two random halves of the
words, which is what it would be without any gap. "told apart" is the held-out accuracy of a linear classifier. "pairs"
is the mean cosine of a picture with its own caption, "found" how often its own caption is the nearest of all.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np
from measured import Examined, show

from lantu.evaluation.trial import Trial
from lantu.tokens import document

SPACES = ("input", "hidden")
RIDGE = 1e-2  # of the classifier, a share of the features' mean variance


def normalised(x_ND: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return x_ND / np.linalg.norm(x_ND, axis=1, keepdims=True)


def told_apart(words_ND: np.ndarray, pictures_ND: np.ndarray, rng: np.random.Generator) -> float:
    """Accuracy of a ridge classifier on the halves that it was not fitted to, each modality weighing the same."""
    sides = [rng.permutation(each) for each in (words_ND, pictures_ND)]
    fit, held = zip(*((each[: len(each) // 2], each[len(each) // 2 :]) for each in sides), strict=True)
    weights = np.concatenate([np.full(len(each), 0.5 / len(each)) for each in fit])
    x_ND = np.concatenate(fit)
    mean_D = weights @ x_ND
    y_N = np.concatenate([np.full(len(each), sign) for each, sign in zip(fit, (-1.0, 1.0), strict=True)])
    centred_ND = x_ND - mean_D
    covariance = (centred_ND * weights[:, None]).T @ centred_ND
    covariance += RIDGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    line_D = np.linalg.solve(covariance, centred_ND.T @ (weights * y_N))
    right = [np.mean(np.sign((each - mean_D) @ line_D) == sign) for each, sign in zip(held, (-1, 1), strict=True)]
    return float(np.mean(right))


def gap(words_ND: np.ndarray, pictures_ND: np.ndarray, paired: bool) -> dict[str, str]:
    """A row of the table: see above."""
    words_ND, pictures_ND = normalised(words_ND), normalised(pictures_ND)
    rng = np.random.default_rng(0)
    shuffled = rng.permutation(words_ND)
    halves = [half.mean(0) for half in np.array_split(shuffled, 2)]

    def within(x_ND: np.ndarray) -> float:
        """The mean cosine of two different rows."""
        count = len(x_ND)
        return float((np.sum(x_ND.sum(0) ** 2) - count) / (count * (count - 1)))

    row = {
        "centroids apart": f"{np.linalg.norm(words_ND.mean(0) - pictures_ND.mean(0)):.3f}",
        "between halves": f"{np.linalg.norm(halves[0] - halves[1]):.3f}",
        "told apart": f"{told_apart(words_ND, pictures_ND, rng):.1%}",
        "cosine of words": f"{within(words_ND):.3f}",
        "of pictures": f"{within(pictures_ND):.3f}",
        "across": f"{words_ND.mean(0) @ pictures_ND.mean(0):.3f}",
        "pairs": "–",
        "found": "–",
    }
    if paired:
        cosines = pictures_ND @ words_ND.T
        found = float(np.mean(cosines.argmax(1) == np.arange(len(cosines))))
        row |= {"pairs": f"{np.diag(cosines).mean():.3f}", "found": f"{found:.1%}"}
    return row


def input_vectors(examined: Examined, asked: Sequence[Trial]) -> tuple[np.ndarray, np.ndarray]:
    """The input embeddings of words (N, D) and of pictures (M, D)."""
    parts = examined.parts
    words = sorted({id_ for trial in asked for id_ in parts.text.encode(trial.prompt)})
    return parts.language.vectors(words), np.unique(np.concatenate(cells(examined, asked)), axis=0)


def cells(examined: Examined, asked: Sequence[Trial]) -> list[np.ndarray]:
    """What the language model reads of each picture, (n, D)."""
    parts = examined.parts
    codes = examined.codes(asked)
    if hasattr(parts, "levels"):  # of a continuous model: (B, h, w, E) levels
        vectors = parts.levels.vectors(codes.reshape(len(codes), -1, codes.shape[-1]))
        return [parts.head.embed(each) for each in vectors]
    return [parts.language.vectors(document.code_ids(each, parts.vocabulary)) for each in codes]


def hidden_vectors(examined: Examined, asked: Sequence[Trial]) -> tuple[np.ndarray, np.ndarray]:
    """The mean last states of captions (N, D) and of their pictures (N, D)."""
    parts, vocabulary = examined.parts, examined.parts.vocabulary
    language, bos = parts.language, vocabulary.special("bos")
    norm_D, eps = np.asarray(language.text.norm_D, np.float32), language.text.eps
    start = language.vectors([bos, *document.picture_start(*examined.model.folder.grid, vocabulary)])

    def state(embedded: np.ndarray, skipped: int) -> np.ndarray:
        from lantu.engine.request import Embeddings

        row = language.open(len(embedded))
        language.read([row], [Embeddings(embedded)])
        x_ND = row.hidden[skipped:]
        return (x_ND / np.sqrt((x_ND**2).mean(-1, keepdims=True) + eps) * norm_D).mean(0)

    words = [state(language.vectors([bos, *parts.text.encode(trial.prompt)]), 1) for trial in asked]
    pictures = [state(np.concatenate([start, each]), len(start)) for each in cells(examined, asked)]
    return np.stack(words), np.stack(pictures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["lantu-emoji"], help="names or folders")
    parser.add_argument("--data", help="whose scenes are read; by default those that each model was trained on")
    parser.add_argument("--count", type=int, default=256)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    table: list[dict[str, Any]] = []
    for name in arguments.models:
        examined = Examined(name, arguments.data)
        asked = [*examined.trials("single", arguments.count // 2), *examined.trials("pairs", arguments.count // 2)]
        asked = list({trial.prompt: trial for trial in asked}.values())
        for space, vectors in zip(SPACES, (input_vectors, hidden_vectors), strict=True):
            words, pictures = vectors(examined, asked)
            table.append(
                {"model": examined.model.folder.name, "space": space} | gap(words, pictures, space == "hidden")
            )
    show({"words and pictures": table}, arguments.json)


if __name__ == "__main__":
    main()
