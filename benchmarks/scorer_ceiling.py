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
from lantu.evaluation.retrieval import WEIGHTS, Retrieval
from lantu.evaluation.scorer import Scorer, regions
from lantu.evaluation.trial import Trial
from lantu.features.efficientnet import load_efficientnet
from lantu.files import write_json

SUITES = ("reconstruction", "single", "pairs", "counts", "style")
SHRINK = (2, 4, 6)

Spoil = Callable[[np.ndarray], np.ndarray]
Found = list[tuple[str, str, int, str]]  # concept, style, rank of the concept, what it was taken for


def shrunk(factor: int) -> Spoil:
    """Scale a picture down and up again: about what is lost by codes that are too few."""

    def blur(image: np.ndarray) -> np.ndarray:
        small = Image.fromarray(image).resize(
            [round(side / factor) for side in image.shape[1::-1]], Image.Resampling.BOX
        )
        return np.array(small.resize(image.shape[1::-1], Image.Resampling.BICUBIC))

    return blur


def ranks(scorer: Scorer, asked: list[Trial], spoil: Spoil = lambda image: image) -> tuple[Found, Found]:
    """How everything on the pictures is found, and how it is with the drawing itself missing from the gallery.

    Then only its other styles can tell the concept.
    """
    labels, concepts = scorer.retrieval.labels, scorer.retrieval.concepts
    whole, apart = [], []
    for trial in asked:
        image = spoil(trial.image)
        for cosines, placed in zip(scorer.look(image, regions(trial, image)), trial.expected, strict=True):
            thing = (placed.concept, placed.style)
            for found, hidden in ((whole, []), (apart, [labels.index(thing)])):
                if cosines is None:
                    found.append((*thing, len(labels), "nothing"))
                    continue
                order = list(dict.fromkeys(np.delete(concepts, hidden)[np.argsort(-np.delete(cosines, hidden))]))
                rank = order.index(placed.concept) if placed.concept in order else len(order)
                found.append((*thing, rank, order[0]))
    return whole, apart


def by_features(scorer: Scorer, asked: list[Trial]) -> dict[str, list[float]]:
    """Top-1 of the concept by each part of the description alone and by all, on true and on shrunk pictures."""
    retrieval, rows = scorer.retrieval, {}
    for name, weights in {**{part: {part: 1.0} for part in WEIGHTS}, "all three": WEIGHTS}.items():
        other = Scorer(Retrieval(retrieval.network, retrieval.parts, retrieval.labels, weights))
        rows[name] = [share(found, 1) for spoil in (shrunk(1), shrunk(4)) for found in ranks(other, asked, spoil)]
    return rows


def share(found: Found, top: int) -> float:
    """The share of things whose concept is among the first ``top``."""
    return float(np.mean([rank < top for _, _, rank, _ in found]))


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def measure(gallery: Gallery, scorer: Scorer, size: int, count: int) -> dict:
    """All figures of the page."""
    composer = Composer(gallery, size=size)
    asked = {suite: trials(composer, suite, count) for suite in SUITES}
    ways = {"true picture": shrunk(1)} | {f"shrunk {factor} times": shrunk(factor) for factor in SHRINK}
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
    found, apart = ranks(scorer, objects)
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
        "features": by_features(scorer, asked["pairs"]),
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
    rows = [[name, *(f"{value:.1%}" for value in values)] for name, values in figures["features"].items()]
    head = ["features", "true", "true, own drawing missing", "shrunk 4 times", "shrunk, own drawing missing"]
    parts.append(table(head, rows))
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
