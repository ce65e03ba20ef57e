"""Which image tokenizer makes the whole pipeline draw photographs best, at equal budgets and equal numbers of codes?

    lantu data build folder PHOTOGRAPHS --size 128 --out DATA
    python benchmarks/tokenizer_designs.py WORK --data DATA [--codec TAEF2] [--seconds 300] [--language-seconds 300]
    python benchmarks/tokenizer_designs.py WORK --data DATA --designs convolutions-64 --parts tokenizer,round-trips

Each design trains for the same seconds of the processor (``metered``), then a small language model on its codes for
the same seconds; its own plain decoder paints, so that no third training blurs the comparison. Held-out photographs:
PSNR, LPIPS (AlexNet), Fréchet distance of EfficientNet-Lite0's pooled features, use of the codes, the same pictures
moved by 1 to 15 pixels, rates; whether drawings of held-out captions are recognised as what was asked for, by their
nearest training pictures. Writes table.md, table.json and sheets of round trips and drawings into WORK. Everything that
was done is kept, and goes on when the budget is raised.
"""

import argparse
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from metered import Metered, cpu_or_gpu
from moved import MOVES, moved
from PIL import Image, ImageDraw

from lantu.data.shards import Shards
from lantu.engine.backends.native import Language
from lantu.engine.sampling_params import SamplingParams
from lantu.evaluation.metrics import frechet, psnr
from lantu.features.efficientnet import load_efficientnet
from lantu.features.lpips import load_lpips
from lantu.files import replacing, write_json, write_text
from lantu.images import to_array, to_tensor
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.recipes.drafts import Drafts
from lantu.tokens.bpe import TextCodec
from lantu.training.machine import prepare
from lantu.weights.language_config import read_grid, read_vocabulary

# name → (recipe, settings); the number is that of codes at 128 px
DESIGNS: dict[str, tuple[str, list[str]]] = {
    "patches-64": ("emoji", ["model.semantic_width=0"]),
    "anywhere-64": ("anywhere", ["model.size=128"]),
    "convolutions-64": ("convolutions", []),
    "convolutions-gan-64": ("convolutions", ["adversarial_weight=0.1", "adversarial_from=50"]),
    "convolutions-semantic-64": ("convolutions", ["model.semantic_width=112", "semantic_weight=0.2"]),
    "lattice-64": ("lattice", []),
    "residual-64": ("residual", []),
    "sequence-64": ("sequence", []),
    "latents-64": ("latents", []),
    "patches-256": ("emoji", ["model.semantic_width=0", "model.patch=8"]),
    "convolutions-256": ("convolutions", ["model.patch=8"]),
    "residual-256": ("residual", ["model.patch=16"]),
    "latents-256": ("latents", ["model.patch=8"]),
    "sequence-256": ("sequence", ["model.queries=256", "model.nested=16"]),
}
LATTICES = {1024: (8, 4, 8, 4), 4096: (8, 8, 8, 8), 8192: (8, 8, 8, 16)}
PARTS = ("tokenizer", "round-trips", "language", "drawings")
SETTINGS = SamplingParams(guidance=2.0, temperature=0.8)
LANGUAGE = [
    *("width=192", "layers=5", "heads=3", "inner=512", "text_size=1024", "captioning=0", "asked=0", "dropped=0.1"),
    *("loop.batch_size=16", "loop.sample_every=0", "loop.validate_every=0", "loop.ema_decay=0.98"),
]
SHOWN, NEIGHBOURS, KNOWN, MOVED, BATCH = 8, 5, 2000, 32, 16


class Judge:
    """Networks and pictures that all designs are compared by."""

    def __init__(self, data: Path, work: Path, limit: int):
        self.data, self.work = data, work
        self.val, self.train = Shards(data, "val"), Shards(data, "train")
        rng = np.random.default_rng(0)
        self.chosen = np.sort(rng.permutation(len(self.val))[:limit])
        self.real = self.val.images(self.chosen)
        self.captions = [caption_of(self.val, index) for index in self.chosen.tolist()]
        self.perceptual, self.network = load_lpips("alex"), load_efficientnet()

    @torch.inference_mode()
    def features(self, images: np.ndarray) -> np.ndarray:
        """(B, 1280), of length 1 where they are compared one by one."""
        return torch.cat([self.network.pooled(some) for some in to_tensor(images).split(BATCH)]).numpy()

    @cached_property
    def known(self) -> tuple[np.ndarray, list[str]]:
        """Features and captions of training pictures."""
        chosen = np.random.default_rng(1).permutation(len(self.train))[:KNOWN]
        kept = self.work / f"known-{len(chosen)}.npy"
        if not kept.exists():
            parts = [self.features(self.train.images(some)) for some in np.array_split(chosen, 32)]
            with replacing(kept) as temporary:
                np.save(temporary, np.concatenate(parts))
        return np.load(kept), [caption_of(self.train, index) for index in chosen.tolist()]

    def recognised(self, features: np.ndarray, asked: list[str]) -> float:
        """The share of pictures whose nearest training pictures have the caption that was asked for, by majority."""
        known, captions = self.known
        nearness = unit(features) @ unit(known).T
        right = 0
        for row, caption in zip(np.argsort(-nearness, 1)[:, :NEIGHBOURS], asked, strict=True):
            votes = [captions[index] for index in row]
            right += max(votes, key=votes.count) == caption
        return right / len(asked)

    @torch.inference_mode()
    def compare(self, made: np.ndarray) -> dict[str, float]:
        """Scores of round trips."""
        pairs = zip(*(to_tensor(images).split(BATCH) for images in (made, self.real)), strict=True)
        features = self.features(made)
        return {
            "psnr": float(psnr(self.real, made).mean()),
            "lpips": torch.cat([self.perceptual(a, b) for a, b in pairs]).mean().item(),
            "fd_efficientnet_lite0": frechet(self.features(self.real), features),
            "recognised": self.recognised(features, self.captions),
        }


def unit(features: np.ndarray) -> np.ndarray:
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def caption_of(shards: Shards, index: int) -> str:
    captions = shards.sample(index).captions
    return captions[min(captions)][0] if captions else ""


class Design:
    """One design's folder: runs of tokenizer and language model, scores, sheets."""

    def __init__(self, name: str, judge: Judge, arguments: argparse.Namespace):
        self.name, self.judge, self.arguments = name, judge, arguments
        self.recipe, self.settings = DESIGNS[name]
        self.folder = arguments.work / name
        self.clock = cpu_or_gpu(arguments.device)
        try:
            self.scores: dict[str, Any] = json.loads((self.folder / "scores.json").read_text())
        except (OSError, ValueError):
            self.scores = {}

    def keep(self, **scores: Any) -> None:
        self.scores |= scores
        write_json(self.folder / "scores.json", self.scores)

    def run_tokenizer(self) -> None:
        """Train the tokenizer."""
        arguments, size = self.arguments, self.arguments.codebook
        # The encoder begins to learn early in short runs, and codes are brought back more often.
        early = int(min(1500, max(20, arguments.seconds / 15)))
        settings = ["loop.ema_decay=0.98", "loop.sample_every=0", "loop.validate_every=0", "loop.warmup_steps=20"]
        settings += ["loop.checkpoint_every_s=120", f"model.codebook_size={size}", *self.settings]
        if self.recipe in ("anywhere", "convolutions", "residual", "latents"):
            settings += [f"encoder_from={early}"]
        if self.recipe not in ("emoji", "lattice"):
            settings += [f"refit_every={min(400, max(100, early))}"]  # a refit costs as much as some 20 steps
        if self.recipe == "lattice":
            settings += [f"model.levels={list(LATTICES[size])}"]
        if self.recipe == "latents":
            settings += [f"codec={arguments.codec}"]
        metered = Metered(("tokenizer", self.recipe), arguments.data, self.folder / "tokenizer", settings, self.clock)
        told = metered.train(arguments.seconds, arguments.device)
        rate = told["steps"] * BATCH / told["seconds"]
        self.keep(seconds=told["seconds"], steps=told["steps"], train_per_s=rate)

    @cached_property
    def tokenizer(self) -> ImageTokenizer:
        return ImageTokenizer.load(self.folder / "tokenizer" / "model")

    @torch.inference_mode()
    def encode(self, images: np.ndarray) -> torch.Tensor:
        return torch.cat([self.tokenizer.encode(some) for some in to_tensor(images).split(BATCH)])

    @torch.inference_mode()
    def decode(self, codes: torch.Tensor) -> np.ndarray:
        return np.concatenate([to_array(self.tokenizer.decode(some)) for some in codes.split(BATCH)])

    def run_round_trips(self) -> None:
        """Score the tokenizer on held-out pictures."""
        judge = self.judge
        begun = self.clock()
        codes = self.encode(judge.real)
        between = self.clock()
        made = self.decode(codes)
        ended = self.clock()
        rows = self.tokenizer.quantizer.rows(codes.flatten(1)).flatten()
        share = torch.bincount(rows, minlength=len(self.tokenizer.quantizer.usage)).double() / len(rows)
        some, first = judge.real[:MOVED], codes[:MOVED]
        still = float(psnr(some, made[:MOVED]).mean())
        curve, same = {}, {}
        for pixels in MOVES if not self.arguments.quick else (1, 3, 8, 13):
            there = moved(some, pixels)
            again = self.encode(there)
            curve[pixels] = float(psnr(there, self.decode(again)).mean())
            same[pixels] = float((again == first).double().mean())
        config = self.tokenizer.config
        save_images(self.folder / "round_trips.npy", made[:SHOWN])
        self.keep(
            **judge.compare(made),
            codes=int(codes[0].numel()),
            codebook=config.codebook_size,
            perplexity=float(torch.special.entr(share).sum().exp()),
            codes_used=float((share > 0).double().mean()),
            moved_drop=still - min(curve.values()),
            moved_curve=curve,
            kept_at_1_px=same[1],
            encode_per_s=len(made) / (between - begun),
            decode_per_s=len(made) / (ended - between),
            pictures=len(made),
            scored_steps=self.scores.get("steps"),
        )
        if config.nested:
            self.keep(prefixes=self.prefixes(codes[:MOVED]))

    def prefixes(self, codes: torch.Tensor) -> dict[int, float]:
        """PSNR by the number of codes of a sequence that are decoded."""
        flat, count = codes.flatten(1), self.tokenizer.config.nested
        told = {}
        while count <= flat.shape[1]:
            made = self.decode(flat[:, :count].unsqueeze(1))
            told[count] = float(psnr(self.judge.real[: len(made)], made).mean())
            count *= 2
        return told

    def run_language(self) -> None:
        """Train a small language model on the tokenizer's codes; encoding the data doesn't count."""
        from lantu.recipes.codes import ensure_codes

        ensure_codes(self.arguments.data, self.tokenizer)
        # A tokenizer that has learnt more since has other codes.
        out = self.folder / f"language-{self.tokenizer.codes_digest()[:12]}"
        settings = [f"tokenizer={self.folder / 'tokenizer' / 'model'}", "loop.warmup_steps=20", *LANGUAGE]
        metered = Metered(("language", "emoji"), self.arguments.data, out, settings, self.clock)
        told = metered.train(self.arguments.language_seconds, self.arguments.device)
        log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
        self.keep(
            language=out.name,
            language_seconds=told["seconds"],
            language_steps=told["steps"],
            loss=log[-1].get("codes", log[-1]["loss"]),
        )

    def run_drawings(self) -> None:
        """Draw held-out captions, and see what is recognised."""
        folder, judge = self.folder / self.scores["language"] / "model", self.judge
        codec = TextCodec(folder)
        parts = Language.load(folder), codec, read_vocabulary(folder), self.tokenizer, read_grid(folder), SETTINGS
        asked = judge.captions[: self.arguments.draw]
        begun = self.clock()
        made = Drafts(*parts).draw(asked, list(range(len(asked))))
        seconds = self.clock() - begun
        features = judge.features(made)
        save_images(self.folder / "drawings.npy", made[:SHOWN])
        distances = np.square(features[:, None] - features[None]).sum(-1) ** 0.5
        alike = np.array([[a == b for b in asked] for a in asked]) & ~np.eye(len(asked), dtype=bool)
        self.keep(
            drawn_recognised=judge.recognised(features, asked),
            drawn_fd=frechet(judge.features(judge.real[: len(asked)]), features),
            drawn_variety=float(distances[alike].mean()) if alike.any() else None,
            draw_per_s=len(asked) / seconds,
            drawn=len(asked),
        )


def save_images(path: Path, images: np.ndarray) -> None:
    with replacing(path) as temporary:
        np.save(temporary, images)


COLUMNS = {
    "codes": ("codes", "{:d}"),
    "steps": ("steps of 16", "{:d}"),
    "psnr": ("PSNR, dB", "{:.2f}"),
    "lpips": ("LPIPS", "{:.3f}"),
    "fd_efficientnet_lite0": ("FD", "{:.1f}"),
    "recognised": ("recognised", "{:.0%}"),
    "perplexity": ("perplexity", "{:.0f}"),
    "codes_used": ("codes used", "{:.0%}"),
    "moved_drop": ("moved, dB", "{:.2f}"),
    "kept_at_1_px": ("kept at 1 px", "{:.0%}"),
    "train_per_s": ("train/s", "{:.1f}"),
    "encode_per_s": ("encode/s", "{:.1f}"),
    "decode_per_s": ("decode/s", "{:.1f}"),
    "loss": ("loss of a code", "{:.2f}"),
    "drawn_recognised": ("drawings recognised", "{:.0%}"),
    "drawn_fd": ("FD of drawings", "{:.1f}"),
}


def report(work: Path, judge: Judge) -> None:
    """Write table and sheets of all designs that have scores."""
    table = {}
    for name in DESIGNS:
        path = work / name / "scores.json"
        if path.exists():
            table[name] = json.loads(path.read_text())
    write_json(work / "table.json", table)
    lines = ["| design | " + " | ".join(title for title, _ in COLUMNS.values()) + " |"]
    lines += ["|" + "---|" * (len(COLUMNS) + 1)]
    for name, scores in table.items():
        cells = [form.format(scores[key]) if scores.get(key) is not None else "" for key, (_, form) in COLUMNS.items()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    truth = judge.recognised(judge.features(judge.real), judge.captions)
    lines += ["", f"{len(judge.real)} held-out pictures; true ones are recognised in {truth:.0%}."]
    write_text(work / "table.md", "\n".join(lines) + "\n")
    for kind in ("round_trips", "drawings"):
        rows = {name: np.load(path) for name in DESIGNS if (path := work / name / f"{kind}.npy").exists()}
        if rows:
            sheet(work / f"{kind}.png", {"true": judge.real[:SHOWN], **rows})


def sheet(path: Path, rows: dict[str, np.ndarray], margin: int = 150) -> None:
    """Rows of pictures, the name of each at its left."""
    height = max(row.shape[1] for row in rows.values()) + 4
    width = margin + sum(image.shape[1] + 4 for image in next(iter(rows.values())))
    canvas = Image.new("RGB", (width, height * len(rows)), "white")
    draw = ImageDraw.Draw(canvas)
    for number, (name, images) in enumerate(rows.items()):
        draw.text((4, number * height + height // 2), name, fill="black")
        for place, image in enumerate(images):
            canvas.paste(Image.fromarray(image), (margin + place * (image.shape[1] + 4), number * height))
    with replacing(path) as temporary:
        canvas.save(temporary)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--codec", type=Path, help="a pretrained autoencoder, for the designs on its latents")
    parser.add_argument("--designs", default="", help=f"some of {', '.join(DESIGNS)}; all, if not given")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--seconds", type=float, default=300.0, help="of the processor, for each tokenizer")
    parser.add_argument("--language-seconds", type=float, default=300.0)
    parser.add_argument("--codebook", type=int, default=4096, choices=LATTICES)
    parser.add_argument("--limit", type=int, default=256, help="held-out pictures")
    parser.add_argument("--draw", type=int, default=64, help="captions that are drawn")
    parser.add_argument("--quick", action="store_true", help="fewer moves")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    prepare()
    torch.set_num_threads(1 if arguments.device == "cpu" else torch.get_num_threads())
    names = arguments.designs.split(",") if arguments.designs else list(DESIGNS)
    if unknown := [name for name in names if name not in DESIGNS]:
        parser.error(f"no design called {unknown[0]}: choose among {', '.join(DESIGNS)}")
    if not arguments.codec:
        names = [name for name in names if DESIGNS[name][0] != "latents"]
    arguments.work.mkdir(parents=True, exist_ok=True)
    judge = Judge(arguments.data, arguments.work, arguments.limit)
    for part in arguments.parts.split(","):
        for name in names:
            print(f"{name}: {part}", flush=True)
            getattr(Design(name, judge, arguments), f"run_{part.replace('-', '_')}")()
            report(arguments.work, judge)
    print((arguments.work / "table.md").read_text())


if __name__ == "__main__":
    main()
