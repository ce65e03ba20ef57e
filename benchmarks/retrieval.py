"""Does it help to see like pictures first? python benchmarks/retrieval.py --model DIR --data DIR [--limit 64]

Each trial of "single", "pairs", "style" and "counts" is drawn with no examples, and behind 1, 2 and 4 training pictures
that were found by its prompt (``lantu.data.retrieval``). What is held out never is among them: neither the pairs that
"pairs" asks for, nor drawings that training does not show.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from lantu import images
from lantu.data.retrieval import CaptionIndex
from lantu.data.shards import Shards
from lantu.data.trials import trials
from lantu.features.efficientnet import load_efficientnet
from lantu.pipeline import Example, Model
from lantu.recipes.scores import composer_of, scorer_of

SUITES = ("single", "pairs", "style", "counts")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=64)
    parser.add_argument("--guidance", type=float, help="the model's own if not given")
    arguments = parser.parse_args()
    model = Model.load(arguments.model, "cpu")
    composer = composer_of(model, arguments.data)
    scorer = scorer_of(composer.gallery, load_efficientnet())
    memory, shards = CaptionIndex.of(arguments.data), Shards(arguments.data, "train")

    def near(prompt: str, shots: int) -> list[Example]:
        found = memory.search(prompt, shots) if shots else []
        return [(text, images.fit(Image.fromarray(shards.image(at)), *model.size)) for at, text in found]

    print(f"| examples found | {' | '.join(SUITES)} | n |\n|{'---|' * (len(SUITES) + 2)}")
    for shots in (0, 1, 2, 4):
        shares = []
        for suite in SUITES:
            asked = trials(composer, suite, arguments.limit, seed=1)
            prompts, seeds = [trial.prompt for trial in asked], list(range(len(asked)))
            seen = [near(prompt, shots) for prompt in prompts]
            drawn = model.draw_all(prompts, seeds, batched=True, examples=seen, guidance=arguments.guidance)
            verdicts = scorer.judge(asked, [np.asarray(picture.image) for picture in drawn])
            shares.append(f"{np.mean([verdict['score'] for verdict in verdicts]):.1%}")
        print(f"| {shots} | {' | '.join(shares)} | {arguments.limit} each |", flush=True)


if __name__ == "__main__":
    main()
