"""Which image tokenizer makes the whole pipeline draw best, at equal small budgets?

    lantu data build emoji --world few --styles twemoji --train 20000 --out DATA
    python benchmarks/tokenizer_designs.py --data DATA --out DIR

Each design trains its tokenizer and then a language model on its codes, for the same minutes each; the pictures are
painted by the tokenizer's own plain decoder, so that no third training blurs the comparison. 56 things in one style are
a world that a language model can learn in minutes. Writes table.md, scores.json and a contact sheet a design. Runs that
were finished are not repeated.
"""

import argparse
from pathlib import Path

from lantu import recipes
from lantu.data.trials import trials
from lantu.engine.backends.native import Language
from lantu.engine.sampling_params import SamplingParams
from lantu.evaluation.report import as_json, write_sheet
from lantu.evaluation.suites import evaluate
from lantu.features.efficientnet import load_efficientnet
from lantu.features.lpips import load_lpips
from lantu.files import write_json, write_text
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.recipes.drafts import Drafts
from lantu.recipes.scores import composer_of, lexicon_of, scorer_of
from lantu.tokens.bpe import TextCodec
from lantu.training.machine import prepare
from lantu.weights.language_config import read_grid, read_vocabulary

# name → (recipe, settings)
DESIGNS = {
    "k-means of patches, 4,096 codes, 8x8": ("emoji", []),
    "k-means of patches, 1,024 codes, 8x8": ("emoji", ["model.codebook_size=1024"]),
    "k-means of patches, 1,024 codes, 16x16": ("emoji", ["model.codebook_size=1024", "model.patch=8"]),
    "trained VQ, begun so, 4,096 codes, 8x8": ("vqvae", ["loop.lr=3e-4"]),
    "the same without vision features": ("vqvae", ["loop.lr=3e-4", "semantic_weight=0"]),
    "FSQ 8x8x8x8 from noise, 8x8": ("fsq", []),
}
SUITES = ("reconstruction", "single", "pairs")
DIALS = SamplingParams(guidance=1.5, temperature=0.3)


def drafts_of(folder: Path) -> Drafts:
    """What a design's two runs draw."""
    language, tokenizer = folder / "language" / "model", folder / "tokenizer" / "model"
    return Drafts(
        Language.load(language),
        TextCodec(language),
        read_vocabulary(language),
        ImageTokenizer.load(tokenizer),
        read_grid(language),
        DIALS,
    )


def train(name: str, data: Path, out: Path, minutes: tuple[float, float]) -> Path:
    """Both trainings of a design, each as many steps as fit into the minutes; returns the folder that holds them."""
    recipe, settings = DESIGNS[name]
    folder = out / "".join(letter if letter.isalnum() else "-" for letter in name)
    within("tokenizer", recipe, data, folder / "tokenizer", settings, minutes[0])
    drawing = [f"tokenizer={folder / 'tokenizer' / 'model'}", "captioning=0", "asked=0", "loop.sample_every=0"]
    within("language", "emoji", data, folder / "language", drawing, minutes[1])
    return folder


def within(part: str, recipe: str, data: Path, out: Path, settings: list[str], minutes: float) -> None:
    """Train a part for about so many minutes."""
    if (out / "model").is_dir():
        return
    measured = recipes.train(part, recipe, data, out, settings, dry_run=True)
    steps = max(20, int(60 * minutes / measured.step_s))
    budget = [f"loop.steps={steps}", f"loop.warmup_steps={steps // 20 + 1}", "loop.ema_decay=0.98"]
    recipes.train(part, recipe, data, out, [*settings, *budget], resume=(out / "config.json").is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, nargs=2, default=(3.0, 7.0), help="for tokenizer and language model")
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
        folder = train(name, arguments.data, arguments.out, tuple(arguments.minutes))
        scores = evaluate(drafts_of(folder), asked, scorer, perceptual, network.pooled, lexicon)
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
