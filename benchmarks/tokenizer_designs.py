"""Which image tokenizer makes the whole pipeline draw best, at equal small budgets?

    python benchmarks/tokenizer_designs.py --data DIR --minutes 3 --out DIR

Each design trains its tokenizer for the given minutes and then a language model on its codes for as long; the pictures
are rendered by the tokenizer's own plain decoder, so that no third training blurs the comparison. Writes table.md,
scores.json and a contact sheet a design. Runs that were finished are not repeated.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from lantu import document, grammar, images, recipes
from lantu.data.trials import trials
from lantu.engine.drafting import Request, draft
from lantu.engine.transformer import Transformer
from lantu.evaluation.report import as_json, write_sheet
from lantu.evaluation.suites import evaluate
from lantu.features.efficientnet import load_efficientnet
from lantu.features.lpips import load_lpips
from lantu.files import write_json, write_text
from lantu.language.bpe import TextCodec
from lantu.language.model import read_grid, read_vocabulary
from lantu.recipes.scores import composer_of, lexicon_of, scorer_of
from lantu.tokenizer.model import ImageTokenizer
from lantu.training.machine import prepare

# name → (recipe, settings)
DESIGNS = {
    "k-means of patches, 4,096": ("emoji", []),
    "k-means of patches, 1,024": ("emoji", ["model.codebook_size=1024"]),
    "k-means of patches, 4,096, 4x4 codes": ("emoji", ["model.patch=32"]),
    "trained VQ, patches first": ("vqvae", ["loop.lr=3e-4"]),
    "trained VQ, no vision features": ("vqvae", ["loop.lr=3e-4", "semantic_weight=0"]),
    "FSQ 8x8x8x8 from noise": ("fsq", []),
}
SUITES = ("reconstruction", "single", "pairs")


class Drafter:
    """Language model and plain decoder as a generator of pictures."""

    def __init__(self, language: Path, tokenizer: Path):
        self.language, self.text = Transformer.load(language), TextCodec(language)
        self.vocabulary, self.grid = read_vocabulary(language), read_grid(language)
        self.tokenizer = ImageTokenizer.load(tokenizer)

    @torch.inference_mode()
    def render(self, codes_Bhw: torch.Tensor) -> np.ndarray:
        vectors = self.tokenizer.quantizer.vectors()[codes_Bhw.flatten(1)]
        return images.to_array(self.tokenizer.decoder(vectors, *codes_Bhw.shape[1:])[0])

    def draw(self, prompts: list[str], seeds: list[int]) -> np.ndarray:
        height, width = self.grid
        requests = [
            Request(
                document.draw_prefix(self.text.encode(prompt), height, width, self.vocabulary),
                grammar.codes(self.vocabulary),
                limit=height * width,
                seed=seed,
                unconditional=document.unconditional_prefix(height, width, self.vocabulary),
                guidance=3.0,
            )
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        drafts = draft(self.language, requests, batched=True)
        grids = [document.codes_from(ids, height, width, self.vocabulary) for ids in drafts]
        return self.render(torch.from_numpy(np.stack(grids)))

    def reconstruct(self, pictures: np.ndarray) -> np.ndarray:
        return self.render(self.tokenizer.encode(images.to_tensor(pictures)))

    def caption(self, pictures: np.ndarray, language: str) -> list[str]:
        raise ValueError("captions are not compared here")


def train(name: str, data: Path, out: Path, minutes: float) -> Path:
    """Both trainings of a design, each as many steps as fit into the minutes; returns the folder that holds them."""
    recipe, settings = DESIGNS[name]
    folder = out / "".join(letter if letter.isalnum() else "-" for letter in name)
    within("tokenizer", recipe, data, folder / "tokenizer", settings, minutes)
    within("language", "emoji", data, folder / "language", [f"tokenizer={folder / 'tokenizer' / 'model'}"], minutes)
    return folder


def within(part: str, recipe: str, data: Path, out: Path, settings: list[str], minutes: float) -> None:
    """Train a part for about so many minutes."""
    if (out / "model").is_dir():
        return
    measured = recipes.train(part, recipe, data, out, settings, dry_run=True)
    steps = max(20, int(60 * minutes / measured.step_s))
    budget = [f"loop.steps={steps}", f"loop.warmup_steps={steps // 20 + 1}", "loop.ema_decay=0.98"]
    recipes.train(part, recipe, data, out, [*settings, *budget], resume=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--limit", type=int, default=48)
    arguments = parser.parse_args()
    prepare()
    composer = composer_of(None, arguments.data)
    asked = [trial for suite in SUITES for trial in trials(composer, suite, arguments.limit)]
    network, perceptual = load_efficientnet(), load_lpips("alex")
    scorer, lexicon = scorer_of(composer.gallery, network), lexicon_of(composer.gallery)
    rows = ["| design | " + " | ".join((*SUITES, "PSNR, dB", "LPIPS")) + " |", "|" + "---|" * (len(SUITES) + 3)]
    table = {}
    for name in DESIGNS:
        folder = train(name, arguments.data, arguments.out, arguments.minutes)
        drafter = Drafter(folder / "language" / "model", folder / "tokenizer" / "model")
        scores = evaluate(drafter, asked, scorer, perceptual, network.pooled, lexicon)
        write_sheet(scores, folder / "sheet.png")
        table[name] = as_json(scores)
        shares = [f"{scores[suite].score:.1%}" for suite in SUITES]
        details = scores["reconstruction"].details["score"]
        rows.append(f"| {name} | {' | '.join(shares)} | {details['psnr']:.2f} | {details['lpips']:.3f} |")
        print(rows[-1], flush=True)
    write_json(arguments.out / "scores.json", table)
    write_text(arguments.out / "table.md", "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
