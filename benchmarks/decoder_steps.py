"""What does a step of the decoder buy? Quality and time of pictures rendered from the codes of true ones.

    python benchmarks/decoder_steps.py --model NAME --data DIR --out DIR [--count 96]

Prints a table and writes a sheet: the true pictures, then a row for each number of steps.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from lantu.data.trials import trials
from lantu.decoder.render import render
from lantu.evaluation.suites import evaluate
from lantu.features.efficientnet import load_efficientnet
from lantu.features.lpips import load_lpips
from lantu.pipeline import Model, ModelGenerator
from lantu.recipes.scores import composer_of, lexicon_of, scorer_of
from lantu.recipes.sheets import save_sheet

STEPS = (1, 2, 4, 8, 16, 50)
SHOWN = 10
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="lantu-emoji")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=96)
    arguments = parser.parse_args()
    model, composer = Model.load(arguments.model, "cpu"), composer_of(None, arguments.data)
    network, perceptual = load_efficientnet(), load_lpips("alex")
    asked = trials(composer, "reconstruction", arguments.count, seed=2)
    scorer, lexicon = scorer_of(composer.gallery, network), lexicon_of(composer.gallery)
    true = np.stack([trial.image for trial in asked[:SHOWN]])
    rows = [true]
    print("| steps | recognised | PSNR, dB | LPIPS | ms a picture |\n|---|---|---|---|---|")
    for steps in STEPS:
        rebuilder = ModelGenerator(model, steps=steps)
        rows.append(rebuilder.reconstruct(true))
        took = [seconds(model, steps, true[:1]) for _ in range(ROUNDS)]
        with torch.inference_mode():
            score = evaluate(rebuilder, asked, scorer, perceptual, network.pooled, lexicon)["reconstruction"]
        details = score.details["score"]
        told = (
            f"{score.score:.1%} | {details['psnr']:.2f} | {details['lpips']:.3f} | {1000 * float(np.median(took)):.0f}"
        )
        print(f"| {steps} | {told} |", flush=True)
    save_sheet(arguments.out / "decoder_steps.png", rows)


def seconds(model: Model, steps: int, picture: np.ndarray) -> float:
    """Rendering alone."""
    codes = model.parts.encode(picture)
    started = time.perf_counter()
    render(model.parts.decoder, codes, [0], steps)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
