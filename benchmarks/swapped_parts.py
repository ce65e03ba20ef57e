"""Are language model and decoder replaceable alone? Every given language model with every given decoder.

    git archive --prefix older/ 9dc6737 models/lantu-emoji | tar x       an older release's parts, of the same codes
    python benchmarks/swapped_parts.py --language now=lantu-emoji older=older/models/lantu-emoji \\
        --decoder matching=lantu-emoji flow=older/models/lantu-emoji:euler plain [--count 128] [--json]

No part is trained for another: each language model drafts once, and every decoder renders the same drafts. "plain" is
the plain decoder of the image tokenizer, one pass without noise. A sampler may follow a decoder's folder.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from measured import Examined, options, share, show

from lantu import images
from lantu.diffusion.sample import sample
from lantu.engine.drafting import draft
from lantu.errors import ModelError
from lantu.evaluation.trial import Trial
from lantu.models.lantu.components import load_decoder
from lantu.models.lantu.tokenizer.model import ImageTokenizer
from lantu.pipeline import Model
from lantu.recipes.sources import part_folder

SUITES = ("single", "pairs")
Render = Callable[[np.ndarray], np.ndarray]  # codes (B, h, w) → (B, H, W, 3) uint8


def drafted(model: Model, asked: list[Trial]) -> np.ndarray:
    """Codes (B, h, w) that a model drafts of the prompts, with its own sampling parameters."""
    parts, grid, settings = model.parts, model.folder.grid, model.folder.settings
    requests = [parts.layout.draw(one.prompt, grid, seed, settings) for seed, one in enumerate(asked)]
    return np.stack([parts.layout.codes(ids, grid) for ids in draft(parts.batched_drafter, requests)])


def decoder(told: str, examined: Examined, steps: int) -> tuple[str, Render]:
    """Name and renderer of NAME=SOURCE[:SAMPLER], or of "plain"."""
    if told == "plain":
        tokenizer = ImageTokenizer.load(part_folder(str(examined.model.folder.path), "tokenizer"))
        return told, tokenizer.paint
    name, _, rest = told.partition("=")
    source, _, sampler = rest.partition(":")
    network = load_decoder(part_folder(source, "decoder"))
    chosen = sampler or examined.model.folder.settings.sampler

    def render(codes_Bhw: np.ndarray) -> np.ndarray:
        pixels = [sample(network, codes[None], [seed], steps, 1.0, chosen) for seed, codes in enumerate(codes_Bhw)]
        return images.to_bytes(np.concatenate(pixels))

    return name, render


def same_codes(models: dict[str, Model]) -> None:
    """Refuse models of other codes: their parts aren't made for one another."""
    tables = {name: ImageTokenizer.load(Path(model.folder.path) / "tokenizer") for name, model in models.items()}
    if len({table.codes_digest() for table in tables.values()}) > 1:
        raise ModelError("these models don't share their codes", "choose those of one image tokenizer")


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--language", nargs="+", required=True, metavar="NAME=MODEL")
    parser.add_argument("--decoder", nargs="+", required=True, metavar="NAME=SOURCE[:SAMPLER]")
    parser.add_argument("--count", type=int, default=128)
    parser.add_argument("--steps", type=int, default=4)
    arguments = parser.parse_args()
    examined = Examined(arguments.model)
    models = {name: Model.load(place, "cpu") for name, _, place in (each.partition("=") for each in arguments.language)}
    same_codes(models)
    renderers = [decoder(told, examined, arguments.steps) for told in arguments.decoder]
    asked = {suite: examined.trials(suite, arguments.count) for suite in SUITES}
    codes = {(name, suite): drafted(model, asked[suite]) for name, model in models.items() for suite in SUITES}
    table = []
    for name in models:
        for called, render in renderers:
            shares = {suite: share(examined.right(asked[suite], render(codes[name, suite]))) for suite in SUITES}
            table.append({"language model": name, "decoder": called} | shares | {"n": arguments.count})
    for called, render in renderers:
        true = {suite: share(examined.right(asked[suite], render(examined.codes(asked[suite])))) for suite in SUITES}
        table.append({"language model": "none: true codes", "decoder": called} | true | {"n": arguments.count})
    show({"each with each": table}, arguments.json)


if __name__ == "__main__":
    main()
