"""What a model can do beside drawing and captioning, as the tables and the plot of docs/abilities.md.

    python benchmarks/abilities.py --model DIR --data DIR [--limit 64] [--seed 0] [--only questions filling …] --out DIR

The numbers are those of ``lantu eval --suites questions,filling,editing,context``; --out takes scores.json, the sheets
of what was asked and what came, and context.png, accuracy against the number of examples.
"""

import argparse
from pathlib import Path
from typing import Any

from lantu.data.edits import KINDS as INSTRUCTIONS
from lantu.data.questions import KINDS as QUESTIONS
from lantu.pipeline import Model
from lantu.recipes.abilities import WAYS, context
from lantu.recipes.scores import evaluate


def questions(told: dict[str, Any], limit: int) -> None:
    print("| question | English | Chinese | n |\n|---|---|---|---|")
    for kind in QUESTIONS:
        shares = " | ".join(f"{told[f'{kind} {language}']:.1%}" for language in ("en", "zh"))
        print(f"| {kind} | {shares} | {limit} each |")


def filling(told: dict[str, Any], limit: int) -> None:
    print("| filling a box of a pair | both right | things right | other cells the same | n |\n|---|---|---|---|---|")
    print(f"| filled | {told['score']:.1%} | {told['some']:.1%} | {told['others the same']:.0%} | {limit} |")
    print(f"| the same pair drawn afresh | {told['afresh']:.1%} | | | {limit} |")


def editing(told: dict[str, Any], limit: int) -> None:
    print("| instruction | right | target drawn afresh | n |\n|---|---|---|---|")
    for kind in INSTRUCTIONS:
        print(f"| {kind} | {told[kind]:.1%} | {told[f'{kind} afresh']:.1%} | {limit} |")
    print(f"| all | {told['score']:.1%} | {told['afresh']:.1%} | {limit * len(INSTRUCTIONS)} |")
    print(f"\n{told['answered']:.0%} are answered with a picture.")


def examples(told: dict[str, Any], limit: int) -> None:
    print(f"| task | {' | '.join(f'{shots} shots' for shots in context.SHOTS)} | n |\n|---|{'---|' * 5}")
    for task in context.TASKS:
        shares = " | ".join(f"{told[f'{task}, {shots} shots']:.1%}" for shots in context.SHOTS)
        print(f"| {task} | {shares} | {limit} |")


def plot(told: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for task in context.TASKS:
        axes.plot(context.SHOTS, [100 * told[f"{task}, {shots} shots"] for shots in context.SHOTS], "o-", label=task)
    axes.set(xlabel="examples", ylabel="right, %", xticks=context.SHOTS, ylim=(0, 100))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=tuple(WAYS), default=list(WAYS))
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    model = Model.load(arguments.model, "cpu")
    scores = evaluate(model, arguments.data, arguments.only, arguments.limit, arguments.seed, arguments.out)
    ways = {"questions": questions, "filling": filling, "editing": editing, "context": examples}
    for name in arguments.only:
        ways[name](scores[name]["details"]["score"], arguments.limit)
        print(flush=True)
    if "context" in scores:
        plot(scores["context"]["details"]["score"], arguments.out / "context.png")


if __name__ == "__main__":
    main()
