"""What does a longer training of the language model buy? Scores of a run's checkpoints against its compute.

    python benchmarks/learning_curve.py RUN --model DIR --out DIR [--before 96000]

RUN is a language run that kept its checkpoints (``--set loop.kept=100``). Each checkpoint's averaged weights take the
place of the language model in DIR; tokenizer and decoder stay. Writes table.md, curve.json and curve.png. The rate of
all but the last checkpoints has not fallen yet, so that they score lower than a run that was planned to end there.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from lantu import recipes
from lantu.files import replacing, write_json, write_text
from lantu.models.lantu.language.model import export, load
from lantu.pipeline import Model
from lantu.recipes.assemble import assemble
from lantu.tokens.bpe import TextCodec
from lantu.training.checkpoint import numbered, put_average
from lantu.training.machine import prepare

SUITES = ("single", "pairs", "counts", "style", "caption")


def score(checkpoint: Path, model: Model, limit: int, seed: int) -> tuple[int, dict[str, Any]]:
    """Updates behind a checkpoint, and the suites of the model with its language model."""
    language = load(model.folder.path / "language")
    step = put_average(checkpoint, {"model": language})
    with tempfile.TemporaryDirectory() as folder:
        export(language, Path(folder) / "language", TextCodec(model.folder.path / "language"))
        parts = (model.folder.path, Path(folder) / "language", model.folder.path)
        params = model.folder.settings.as_dict()
        made = Model(assemble(*parts, Path(folder) / "model", draw=params), model.parts.device)
        made.folder.index["data"] = model.folder.index["data"]
        return step, recipes.evaluate(made, suites=SUITES, limit=limit, seed=seed)


def plot(points: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.2))
    for suite in SUITES:
        axes.plot([point["pflop"] for point in points], [100 * point[suite] for point in points], "o-", label=suite)
    axes.set(xlabel="training compute of the language model, PFLOP", ylabel="right, % of trials", ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.tight_layout()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--before", type=int, default=0, help="documents behind the model that the run started from")
    parser.add_argument("--every", type=int, default=1, help="take one checkpoint in so many")
    parser.add_argument("--limit", type=int, default=64)
    parser.add_argument("--seed", type=int, default=2)
    arguments = parser.parse_args()
    prepare()
    model = Model.load(arguments.model)
    options = json.loads((arguments.run / "config.json").read_text())["loop"]
    each = options["batch_size"] * options["accumulate"]
    tokens = model.folder.grid[0] * model.folder.grid[1] + 20
    flop = 6 * tokens * model.info()["parameters"]["language"]
    points = []
    rows = ["| documents | PFLOP | " + " | ".join(SUITES) + " |", "|" + "---|" * (len(SUITES) + 2)]
    for checkpoint in numbered(arguments.run / "checkpoints")[:: -arguments.every]:
        step, scores = score(checkpoint, model, arguments.limit, arguments.seed)
        documents = arguments.before + step * each
        shares = {suite: scores[suite]["score"] for suite in SUITES}
        points.append({"documents": documents, "pflop": documents * flop / 1e15, **shares})
        percent = " | ".join(f"{100 * share:.0f} %" for share in shares.values())
        rows.append(f"| {documents:,} | {points[-1]['pflop']:.2f} | {percent} |")
        print(rows[-1], flush=True)
    write_json(arguments.out / "curve.json", points)
    write_text(arguments.out / "table.md", "\n".join(rows) + "\n")
    plot(points, arguments.out / "curve.png")


if __name__ == "__main__":
    main()
