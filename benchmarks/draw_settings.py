"""Which settings draw best? python benchmarks/draw_settings.py --model DIR --data DIR [--limit 48] [--contrast 0 1 8]

Prints a row for each choice of guidance, contrast and temperature: the scores of single things, held-out pairs and
styles. With a contrast, guidance is the factor of what the prompt adds.
"""

import argparse
import itertools
from pathlib import Path

from lantu.pipeline import Model
from lantu.recipes.scores import evaluate

SUITES = ("single", "pairs", "style")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=48)
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0, 1.5, 2.0, 3.0])
    parser.add_argument("--temperature", type=float, nargs="+", default=[0.3, 0.5, 0.7])
    parser.add_argument("--contrast", type=int, nargs="+", default=[0])
    arguments = parser.parse_args()
    model = Model.load(arguments.model)
    print("| contrast | guidance | temperature | single | pairs | style |\n|---|---|---|---|---|---|")
    for contrast, guidance, temperature in itertools.product(
        arguments.contrast, arguments.guidance, arguments.temperature
    ):
        dials = {"contrast": contrast, "guidance": guidance, "temperature": temperature}
        scores = evaluate(model, arguments.data, SUITES, arguments.limit, **dials)
        shares = " | ".join(f"{scores[suite]['score']:.1%}" for suite in SUITES)
        print(f"| {contrast} | {guidance} | {temperature} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
