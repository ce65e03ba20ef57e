"""What does an upscaler buy? Pictures rendered from the codes of true ones, enlarged by interpolation and by it.

    python benchmarks/upscaling.py --model NAME --data DIR --out DIR [--count 128]

The model has an upscaler; DATA's scenes are composed as large as it draws. Prints a table: how many scenes are
recognised whole, PSNR, LPIPS and Fréchet distance to the true pictures, the mean error where these are plain (of 255),
and the time that enlarging takes. Writes a sheet: true pictures, and a row for each way.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from lantu import images
from lantu.data.trials import trials
from lantu.evaluation.suites import FRECHET, evaluate
from lantu.features.efficientnet import load_efficientnet
from lantu.features.lpips import load_lpips
from lantu.models.lantu.components import Upscaler
from lantu.models.lantu.upscaler.native import enlarged
from lantu.pipeline import Model
from lantu.recipes.generator import ModelGenerator
from lantu.recipes.scores import composer_of, lexicon_of, scorer_of
from lantu.recipes.sheets import save_sheet

SHOWN, ROUNDS = 10, 20
APART = 9  # pixels of the larger picture that a plain place keeps from anything else


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=128)
    arguments = parser.parse_args()
    model = Model.load(arguments.model, "cpu")
    composer, factor = composer_of(model, arguments.data), model.folder.factor
    network, perceptual = load_efficientnet(), load_lpips("alex")
    asked = trials(composer, "reconstruction", arguments.count, seed=2)
    scorer, lexicon = scorer_of(composer.gallery, network), lexicon_of(composer.gallery)
    true = np.stack([trial.image for trial in asked])
    rows = [true[:SHOWN]]
    ways: dict[str, Upscaler] = {
        "interpolation": lambda pixels: enlarged(pixels, factor),
        "upscaler": model.parts.upscaler,
    }
    print("| enlarged by | recognised | PSNR, dB | LPIPS | Fréchet distance | error of plain places | ms a picture |")
    print("|---|---|---|---|---|---|---|")
    for name, way in ways.items():
        vars(model.parts)["upscaler"] = way
        rebuilder = ModelGenerator(model)
        with torch.inference_mode():
            score = evaluate(rebuilder, asked, scorer, perceptual, network.pooled, lexicon)["reconstruction"]
        found, made = score.details["score"], rebuilder.reconstruct(true)
        rows.append(made[:SHOWN])
        figures = f"{score.score:.1%} | {found['psnr']:.2f} | {found['lpips']:.3f} | {found[FRECHET]:.0f}"
        error = float(np.abs(made.astype(float) - true)[plain(true)].mean())
        print(f"| {name} | {figures} | {error:.2f} | {1000 * seconds(way, model.size, factor):.1f} |", flush=True)
    save_sheet(arguments.out / "upscaling.png", rows)


def plain(true_BHW3: np.ndarray) -> np.ndarray:
    """(B, H, W): whether a pixel and all around it have one colour."""
    marked = []
    for picture in true_BHW3:
        changes = np.zeros(picture.shape[:2], np.uint8)
        changes[1:] |= (picture[1:] != picture[:-1]).any(-1)
        changes[:, 1:] |= (picture[:, 1:] != picture[:, :-1]).any(-1)
        marked.append(images.widened(changes, APART) == 0)
    return np.stack(marked)


def seconds(way: Upscaler, size: tuple[int, int], factor: int) -> float:
    """The median time of one picture."""
    pixels = np.zeros((1, 3, size[1] // factor, size[0] // factor), np.float32)
    took = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        way(pixels)
        took.append(time.perf_counter() - started)
    return float(np.median(took))


if __name__ == "__main__":
    main()
