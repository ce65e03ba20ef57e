"""Does a model that was taught to read found pictures draw better with them? Against the same model, never taught.

    lantu data build emoji --world few --styles noto --train 6000 -o DATA
    python benchmarks/taught_retrieval.py WORK --data DATA [--before 2.4e13] [--flops 8e12] [--limit 256] [--json]

A model first learns to draw from words alone. Then it goes on twice, by the recipe "cm3leon" with found documents and
without, each for the same training operations (``lantu.training.flops``), so that the one without sees more
documents. Both draw the same trials from the same seeds with 0 to 3 pictures of the training set found by the prompt,
guided and by contrastive decoding. "pairs" are never together in training. Shares of right drawings with 95 %
intervals; "copied" is the share of drawings with more than nine tenths of a found picture's codes. Everything that
was done is kept in WORK, and called again it goes on.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from lantu import recipes
from lantu.data.memory_bank import same
from lantu.data.trials import trials
from lantu.evaluation.metrics import interval
from lantu.features.efficientnet import load_efficientnet
from lantu.files import write_json, write_text
from lantu.pipeline import Model
from lantu.recipes import cm3leon, runs
from lantu.recipes.assemble import assemble
from lantu.recipes.rivals import budgets
from lantu.recipes.scores import composer_of, scorer_of
from lantu.training.config import override
from lantu.training.flops import flops_per_sample
from lantu.training.machine import prepare

SUITES = ("single", "pairs", "counts")
SHOTS = (0, 1, 2, 3)
COUNTED = 96  # documents whose operations are counted, since they are of several lengths
SIZES = ["text_size=512", "width=128", "layers=4", "heads=2", "inner=352", "loop.batch_size=16"]
BEFORE = "words alone"
TAUGHT = {BEFORE: ["found=0", "loop.decay_fraction=0"], "taught": [], "never taught": ["found=0"]}
SAMPLING: dict[str, dict[str, Any]] = {
    "guidance 1.5": {"guidance": 1.5, "temperature": 0.3},
    "contrast 1": {"guidance": 1.5, "contrast": 1, "temperature": 1.0},
}


def train(name: str, arguments: argparse.Namespace) -> tuple[Path, dict[str, Any]]:
    """A run with the budget's steps, begun or continued; and what it has cost."""
    run = arguments.work / name.replace(" ", "-")
    settings = [f"tokenizer={arguments.tokenizer}", *SIZES, *TAUGHT[name], "loop.sample_every=0", *arguments.set]
    if name != BEFORE:
        settings.append(f"start={run.with_name(BEFORE.replace(' ', '-'))}")
    task = cm3leon.Task(runs.located(override(cm3leon.RECIPES["cm3leon"](), settings)), arguments.data)
    batch, each = task.recipe.loop.batch_size, flops_per_sample(task, COUNTED)
    steps = max(1, round((arguments.before if name == BEFORE else arguments.flops) / (batch * each)))
    settings += [f"loop.steps={steps}", f"loop.warmup_steps={max(1, min(100, steps // 10))}"]
    begun = any(run.glob("checkpoints/step-*"))
    if not (run / "model" / "config.json").exists():
        changes = [] if begun else settings
        recipes.train("language", "cm3leon", arguments.data, run, changes, resume=begun, progress=False)
    parameters = sum(parameter.numel() for parameter in task.model.parameters())
    return run, {"steps": steps, "documents": steps * batch, "parameters": parameters, "flops": each * batch * steps}


def model_of(run: Path, arguments: argparse.Namespace) -> Model:
    """The run as a model with the training set as its memory bank."""
    out = run.with_name(f"{run.name}-model")
    if not (out / "model_index.json").exists():
        parts = (arguments.tokenizer, run, arguments.tokenizer)
        draw = {"steps": 4, "sampler": "consistency"}
        assemble(*parts, out, data=arguments.data, draw=draw, memory=arguments.data)
    return Model.load(out, "cpu")


def score(model: Model, shots: int, params: dict[str, Any], asked: dict[str, list[Any]], scorer: Any) -> dict[str, Any]:
    """Right drawings of each suite, and copies of found pictures."""
    found: dict[str, Any] = {}
    copies: list[bool] = []
    for suite, wanted in asked.items():
        prompts = [trial.prompt for trial in wanted]
        drawn = model.draw_all(prompts, list(range(len(wanted))), batched=True, shots=shots, **params)
        verdicts = scorer.judge(wanted, [np.asarray(picture.image) for picture in drawn])
        share = float(np.mean([verdict["score"] for verdict in verdicts]))
        found[suite] = {"score": share, "n": len(wanted), "interval": interval(share, len(wanted))}
        for prompt, picture in zip(prompts, drawn, strict=True):
            if shots:
                near = model.parts.memory_bank.search(prompt, shots)
                copies.append(any(same(picture.codes, one.codes) for one in near))
    return found | {"copied": float(np.mean(copies)) if copies else None}


def as_table(results: dict[str, Any]) -> str:
    """Markdown."""
    lines = [f"| model | sampling | found | {' | '.join(SUITES)} | copied | n |", f"|{'---|' * (len(SUITES) + 5)}"]
    for key, row in results["rows"].items():
        cells = []
        for suite in SUITES:
            low, high = row[suite]["interval"]
            cells.append(f"{row[suite]['score']:.1%} ({low:.0%} to {high:.0%})")
        copied = "" if row["copied"] is None else f"{row['copied']:.0%}"
        lines.append(f"| {' | '.join([*key.split(', '), *cells, copied])} | {row[SUITES[0]]['n']} each |")
    for name, facts in results["training"].items():
        lines += ["", "{}: {steps:,} steps, {documents:,} documents, {flops:.2e} operations, {parameters:,} parameters"
                  .format(name, **facts)]  # fmt: skip
    return "\n".join(lines) + "\n"


def main() -> None:
    prepare()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokenizer", default="lantu-emoji", help="a model whose tokenizer and decoder are used")
    parser.add_argument("--before", type=float, default=2.4e13, help="training operations of what both begin with")
    parser.add_argument("--flops", type=float, default=8e12, help="training operations of each of the two")
    parser.add_argument("--limit", type=int, default=256, help="trials of each suite")
    parser.add_argument("--set", action="append", default=[], help="other settings of both, e.g. looks=plain")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    place = arguments.work / "results.json"
    results: dict[str, Any] = json.loads(place.read_text()) if place.exists() else {"training": {}, "rows": {}}
    composer = composer_of(None, arguments.data)
    asked = {suite: trials(composer, suite, arguments.limit, seed=1) for suite in SUITES}
    scorer = None
    for name in TAUGHT:
        run, results["training"][name] = train(name, arguments)
        write_json(place, results)
        if name == BEFORE:
            continue
        model = model_of(run, arguments)
        for how, params in SAMPLING.items():
            for shots in SHOTS:
                key = f"{name}, {how}, {shots}"
                if results["rows"].get(key, {}).get(SUITES[0], {}).get("n") == arguments.limit:
                    continue
                scorer = scorer or scorer_of(composer.gallery, load_efficientnet())
                results["rows"][key] = score(model, shots, params, asked, scorer)
                write_json(place, results)
    budgets.check_equal({name: facts["flops"] for name, facts in results["training"].items() if name != BEFORE})
    write_json(place, results)
    write_text(arguments.work / "table.md", as_table(results))
    print(json.dumps(results) if arguments.json else as_table(results))


if __name__ == "__main__":
    main()
