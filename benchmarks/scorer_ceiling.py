"""What the scorer of ``lantu eval`` gets right and wrong on pictures whose content is known: docs/evaluation.md.

    python benchmarks/scorer_ceiling.py GALLERY [--size 128] [--count 200] [--out scorer.json]

GALLERY is the folder of a built gallery. Prints Markdown. Takes some minutes on two cores.
"""

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from lantu.data.gallery import Gallery, load_gallery
from lantu.data.scenes import Composer
from lantu.data.trials import trials
from lantu.evaluation.retrieval import Retrieval
from lantu.evaluation.scorer import Scorer, regions
from lantu.evaluation.trial import Trial
from lantu.features.efficientnet import load_efficientnet
from lantu.files import write_json

SUITES = ("reconstruction", "single", "pairs", "counts", "style")
SHRINK = (2, 3, 4, 6)


def shrunk(factor: int) -> Callable[[np.ndarray], np.ndarray]:
    """Scale a picture down and up again: about what is lost by codes that are too few."""

    def blur(image: np.ndarray) -> np.ndarray:
        small = Image.fromarray(image).resize(
            [round(side / factor) for side in image.shape[1::-1]], Image.Resampling.BOX
        )
        return np.array(small.resize(image.shape[1::-1], Image.Resampling.BICUBIC))

    return blur


def ranks(scorer: Scorer, asked: list[Trial], others: bool) -> list[tuple[str, str, int, str]]:
    """(concept, style, rank of the concept, what it was taken for) of everything on the true pictures.

    With ``others`` the drawing itself is missing from the gallery, so that only other styles can tell the concept.
    """
    found = []
    for trial in asked:
        areas = regions(trial, trial.image)
        for cosines, placed in zip(scorer.look(trial.image, areas), trial.expected, strict=True):
            if cosines is None:
                found.append((placed.concept, placed.style, len(scorer.retrieval.labels), "nothing"))
                continue
            hidden = [scorer.retrieval.labels.index((placed.concept, placed.style))] if others else []
            concepts, cosines = (np.delete(array, hidden) for array in (scorer.retrieval.concepts, cosines))
            order = list(dict.fromkeys(concepts[np.argsort(-cosines)]))
            rank = order.index(placed.concept) if placed.concept in order else len(order)
            found.append((placed.concept, placed.style, rank, order[0]))
    return found


def share(found: list[tuple[str, str, int, str]], top: int) -> float:
    return float(np.mean([rank < top for _, _, rank, _ in found]))


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def measure(gallery: Gallery, scorer: Scorer, size: int, count: int) -> dict:
    """All figures of the page."""
    composer = Composer(gallery, size=size)
    asked = {suite: trials(composer, suite, count) for suite in SUITES}
    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {"true picture": lambda image: image}
    ways |= {f"shrunk {factor} times": shrunk(factor) for factor in SHRINK}
    scores: dict[str, dict[str, float]] = {}
    for way, spoil in ways.items():
        scores[way] = {}
        for suite, its in asked.items():
            verdicts = scorer.judge(its, [spoil(trial.image) for trial in its])
            scores[way][suite] = float(np.mean([verdict["score"] for verdict in verdicts]))
    scores["another trial's picture"] = {
        suite: float(np.mean([v["score"] for v in scorer.judge(its, [t.image for t in its[1:] + its[:1]])]))
        for suite, its in asked.items()
    }
    objects = asked["single"] + asked["pairs"]
    found = ranks(scorer, objects, others=False)
    apart = ranks(scorer, objects, others=True)
    names = {key: concept.names["en"] for key, concept in gallery.concepts.items()} | {"nothing": "nothing"}
    wrong = Counter((names[concept], names[taken]) for concept, _, rank, taken in found if rank)
    apart_wrong = Counter((names[concept], names[taken]) for concept, _, rank, taken in apart if rank)
    styles: dict[str, list[list[float]]] = defaultdict(list)
    for (_, style, rank, _), (_, _, other, _) in zip(found, apart, strict=True):
        styles[style].append([rank < 1, rank < 5, other < 1, other < 5])
    return {
        "size": size,
        "trials of each suite": count,
        "concepts": len(gallery.concepts),
        "drawings": len(scorer.retrieval.labels),
        "scores": scores,
        "objects": {"n": len(found), "top-1": share(found, 1), "top-5": share(found, 5)},
        "objects, own drawing missing": {"n": len(apart), "top-1": share(apart, 1), "top-5": share(apart, 5)},
        "styles": {style: np.mean(rows, 0).tolist() for style, rows in sorted(styles.items())},
        "confusions": [[*pair, number] for pair, number in wrong.most_common()],
        "confusions, own drawing missing": [[*pair, number] for pair, number in apart_wrong.most_common(12)],
    }


def show(figures: dict) -> str:
    """Markdown of the figures."""
    head = f"{figures['size']} px, {figures['concepts']} concepts, {figures['drawings']} drawings, "
    head += f"{figures['trials of each suite']} trials of each suite.\n\n"
    rows = [[way, *(f"{its[suite]:.1%}" for suite in SUITES)] for way, its in figures["scores"].items()]
    parts = [head + table(["picture judged", *SUITES], rows)]
    kinds = [name for name in figures if name.startswith("objects")]
    rows = [[name, *(f"{figures[name][top]:.1%}" for top in ("top-1", "top-5"))] for name in kinds]
    parts.append(table(["what is retrieved", "top-1", "top-5"], rows))
    rows = [[style, *(f"{value:.1%}" for value in values)] for style, values in figures["styles"].items()]
    parts.append(table(["style", "top-1", "top-5", "top-1, own drawing missing", "top-5, own drawing missing"], rows))
    for name in ("confusions", "confusions, own drawing missing"):
        listed = ", ".join(f"{a} → {b}" + (f" ({n})" if n > 1 else "") for a, b, n in figures[name])
        parts.append(f"{name.capitalize()}: {listed or 'none'}.\n")
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gallery", type=Path)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    gallery = load_gallery(options.gallery)
    labels = [(concept, style) for concept in gallery.concepts for style in gallery.styles_of(concept)]
    scorer = Scorer(Retrieval.from_sprites(load_efficientnet(), labels, gallery.sprite))
    figures = measure(gallery, scorer, options.size, options.count)
    print(show(figures))
    if options.out:
        write_json(options.out, json.loads(json.dumps(figures)))


if __name__ == "__main__":
    main()
