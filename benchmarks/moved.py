"""How well does an image tokenizer bring pictures back, wherever their things stand?

    python benchmarks/moved.py --data SCENES [PHOTOGRAPHS …] TOKENIZER [TOKENIZER …]

For each tokenizer (a run, or a part's folder; its own plain decoder paints) and each data folder: PSNR and LPIPS of the
round trip of validation pictures; the PSNR of the same pictures moved by 1 to 15 pixels down and right, the edge
repeated; how many codes are used; and from scenes the share of which every thing is recognised, the
share of things, and of things where one is larger than half the picture. Also the mean error on
plain pictures of random colours and on the plain and graded backgrounds of the scenes, and how many codes of a thing's
own cells stay when another thing is put beside it. Pictures are compared at the data's size.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from lantu.data.backgrounds import ALL, paint
from lantu.data.shards import Shards, read_index
from lantu.data.trials import trials
from lantu.evaluation.metrics import psnr
from lantu.evaluation.trial import Trial
from lantu.features.efficientnet import load_efficientnet
from lantu.features.lpips import load_lpips
from lantu.files import write_json
from lantu.images import scale, to_array, to_tensor
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.recipes.assemble import part_folder
from lantu.recipes.moving import moved
from lantu.recipes.scores import composer_of, scorer_of
from lantu.training.machine import prepare
from lantu.types import Placed

MOVES = (1, 2, 3, 5, 7, 8, 9, 11, 13, 15)


class RoundTrip:
    """Pictures to codes and back."""

    def __init__(self, model: ImageTokenizer):
        self.model = model
        self.codes: list[np.ndarray] = []

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        size, made = self.model.config.size, []
        for start in range(0, len(images), 16):
            some = images[start : start + 16]
            result = self.model(scale(to_tensor(some), size, size))
            self.codes.append(result.codes.numpy())
            made.append(resize(to_array(result.pixels), images.shape[1]))
        return np.concatenate(made)


def resize(images: np.ndarray, size: int) -> np.ndarray:
    if images.shape[1] == size:
        return images
    return np.stack([np.asarray(Image.fromarray(one).resize((size, size), Image.Resampling.LANCZOS)) for one in images])


def context(trip: RoundTrip, composer, count: int) -> float:
    """The share of the cells inside a thing's box whose codes stay when another thing is put far from it."""
    rng, size = np.random.default_rng(3), composer.size
    pairs = []
    while len(pairs) < count:
        (first, second), style = rng.choice(composer.concepts, 2, replace=False), rng.choice(composer.styles)
        if composer.gallery.has(first, style) and composer.gallery.has(second, style):
            x, y = rng.uniform(0, 0.1, 2)
            here, there = (x, y, x + 0.4, y + 0.4), (0.55, 0.55, 0.95, 0.95)
            thing, other = Placed(first, style, here), Placed(second, style, there)
            pairs.append((composer.compose([thing], "white"), composer.compose([thing, other], "white")))
    alone, beside = (np.stack(images) for images in zip(*pairs, strict=True))
    del trip.codes[:]
    trip(alone), trip(beside)
    codes = np.concatenate(trip.codes)
    cells = codes.shape[1] // 2
    del trip.codes[:], size
    return float((codes[:count, :cells, :cells] == codes[count:, :cells, :cells]).mean())


def boxes(trial: Trial) -> list[tuple[float, float, float, float]]:
    return [placed.box for placed in trial.expected]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizers", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--limit", type=int, default=64)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    prepare()
    perceptual, network = load_lpips("alex"), load_efficientnet()
    composers = {data: composer_of(None, data) for data in arguments.data if read_index(data).get("gallery")}
    scorers = {data: scorer_of(composer.gallery, network) for data, composer in composers.items()}
    colors = np.random.default_rng(0).integers(0, 256, (32, 1, 1, 3), np.uint8)
    told = []
    for folder in arguments.tokenizers:
        model = ImageTokenizer.load(part_folder(folder, "tokenizer"))
        trip = RoundTrip(model)
        size = model.config.size
        plain = colors.repeat(size, 1).repeat(size, 2)
        error = float(np.abs(trip(plain).astype(float) - plain).mean())
        named = np.stack([paint(name, size) for name in ALL if not ALL[name].drawn]).round().astype(np.uint8)
        named_error = float(np.abs(trip(named).astype(float) - named).mean())
        for data in arguments.data:
            real = Shards(data, "val").images(range(arguments.limit))
            del trip.codes[:]
            made = trip(real)
            with torch.inference_mode():
                pairs = zip(*(to_tensor(images).split(16) for images in (made, real)), strict=True)
                distance = torch.cat([perceptual(a, b) for a, b in pairs]).mean().item()
            used = len(np.unique(np.concatenate(trip.codes)))
            curve = {pixels: float(psnr(moved(real, pixels), trip(moved(real, pixels))).mean()) for pixels in MOVES}
            row = {
                "tokenizer": str(folder),
                "data": data.name,
                "psnr": float(psnr(real, made).mean()),
                "lpips": distance,
                "moved_least": min(curve.values()),
                "codes_used": used,
                "codes_per_picture": int(trip.codes[0][0].size),
                "plain_error": error,
                "named_error": named_error,
                "curve": curve,
            }
            if data in composers:
                asked = trials(composers[data], "reconstruction", arguments.limit)
                images = np.stack([trial.image for trial in asked])
                for name, shown in (("recognised", trip(images)), ("ceiling", images)):
                    verdicts = scorers[data].judge(asked, list(shown))
                    row[name] = float(np.mean([verdict["score"] for verdict in verdicts]))
                    row[f"{name}_things"] = float(np.mean([verdict["some"] for verdict in verdicts]))
                    large = [max(x1 - x0 for x0, _, x1, _ in boxes(trial)) > 0.5 for trial in asked]
                    some = [verdict["some"] for verdict, is_large in zip(verdicts, large, strict=True) if is_large]
                    row[f"{name}_large"] = float(np.mean(some))
                row["context_free"] = context(trip, composers[data], 32)
            told.append(row)
            print(
                {
                    key: round(value, 3) if isinstance(value, float) else value
                    for key, value in row.items()
                    if key != "curve"
                },
                flush=True,
            )
    if arguments.out:
        write_json(arguments.out, told)


if __name__ == "__main__":
    main()
