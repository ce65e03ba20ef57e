"""What does a step of the decoder buy? Quality and time of pictures rendered from the codes of true ones.

    python benchmarks/decoder_steps.py --model NAME --data DIR --out DIR [--count 96] [--steps 1 2 4 8 16 50]
        [--taught NAME=RUN[:SAMPLER] …]

Prints a table and writes a sheet: the true pictures, then a row for each number of steps of each decoder: the model's
own, and those that were taught to need few, each with its sampler (euler if none is named).
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from lantu.data.trials import trials
from lantu.diffusion.decoder import DiffusionDecoder
from lantu.diffusion.sample import sample
from lantu.evaluation.suites import FRECHET, evaluate
from lantu.features.efficientnet import load_efficientnet
from lantu.features.lpips import load_lpips
from lantu.models.lantu.components import load_decoder
from lantu.pipeline import Model
from lantu.recipes.generator import ModelGenerator
from lantu.recipes.scores import composer_of, lexicon_of, scorer_of
from lantu.recipes.sheets import save_sheet
from lantu.recipes.sources import part_folder

STEPS = (1, 2, 4, 8, 16, 50)
SHOWN = 10
ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="lantu-emoji")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=96)
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    parser.add_argument("--taught", nargs="+", default=[], metavar="NAME=RUN[:SAMPLER]")
    arguments = parser.parse_args()
    model = Model.load(arguments.model, "cpu")
    composer = composer_of(model, arguments.data)
    network, perceptual = load_efficientnet(), load_lpips("alex")
    asked = trials(composer, "reconstruction", arguments.count, seed=2)
    scorer, lexicon = scorer_of(composer.gallery, network), lexicon_of(composer.gallery)
    true = np.stack([trial.image for trial in asked[:SHOWN]])
    decoders: list[tuple[str, DiffusionDecoder, str]] = [("the model's own", model.parts.decoder, "euler")]
    for text in arguments.taught:
        name, _, rest = text.partition("=")
        run, _, sampler = rest.partition(":")
        decoders.append((name, load_decoder(part_folder(run, "decoder")), sampler or "euler"))
    rows = [true]
    print("| decoder | sampler | steps | recognised | PSNR, dB | LPIPS | Fréchet distance | ms a picture |")
    print("|---|---|---|---|---|---|---|---|")
    for name, decoder, sampler in decoders:
        vars(model.parts)["decoder"] = decoder  # in place of the one that it loaded
        for steps in arguments.steps:
            rebuilder = ModelGenerator(model, steps=steps, sampler=sampler)
            rows.append(rebuilder.reconstruct(true))
            took = [seconds(model, steps, sampler, true[:1]) for _ in range(ROUNDS)]
            with torch.inference_mode():
                score = evaluate(rebuilder, asked, scorer, perceptual, network.pooled, lexicon)["reconstruction"]
            told = score.details["score"]
            figures = f"{score.score:.1%} | {told['psnr']:.2f} | {told['lpips']:.3f} | {told[FRECHET]:.2f}"
            print(f"| {name} | {sampler} | {steps} | {figures} | {1000 * float(np.median(took)):.1f} |", flush=True)
    save_sheet(arguments.out / "decoder_steps.png", rows)


def seconds(model: Model, steps: int, sampler: str, picture: np.ndarray) -> float:
    """Rendering alone."""
    codes = model.parts.encode(picture)
    started = time.perf_counter()
    sample(model.parts.decoder, codes, [0], steps, sampler_name=sampler)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
