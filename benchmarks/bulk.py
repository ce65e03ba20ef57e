"""What each stage of work in bulk costs.

    python benchmarks/bulk.py [--model NAME] [--pictures 64] [--rows 20000] [--json]

Milliseconds of processor time for a picture (or a row of prompts), on one thread: time that other programs take doesn't
count, so it holds on a busy machine too. Reading: a training picture from its tar. Tokenizing: the image tokenizer on
torch, as ``lantu data tokenize``. Captioning: as ``lantu data caption``, 16 together. Drafting and rendering: as
``lantu draw --prompts``, 16 together. Writing: PNG, JSON and tar. Planning and checking: of a row of prompts, in the
first passes over the file.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from PIL import Image

import lantu
from lantu.data.build import build_folder
from lantu.data.shards import Shards
from lantu.recipes.bulk.captioner import Captioner
from lantu.recipes.bulk.captioning import CaptionRun
from lantu.recipes.bulk.drawing import BulkRun
from lantu.recipes.bulk.worker import Worker
from lantu.recipes.codes import encoder, load_tokenizer

TOGETHER = 16


class Clock:
    """Processor time by stage."""

    def __init__(self):
        self.ms, self.bytes = {}, {}

    def time(self, name, count, work):
        """Time ``work()``; returns its result."""
        started = time.process_time()
        result = work()
        self.ms[name] = round(1000 * (time.process_time() - started) / count, 3)
        return result


def drawing(clock, model, folder, count, rows):
    """The stages of ``lantu draw --prompts``; returns pictures."""
    (folder / "p.txt").write_text("".join(f"a cat on the left and {i} dogs on the right\n" for i in range(rows)))
    run = clock.time("planning a row", rows, lambda: BulkRun(model, folder / "p.txt", folder / "out", seed=1))
    worker = Worker(run.order, model)
    model.draw("a cat", seed=0)
    clock.time("checking a row", run.jobs[0].pictures, lambda: worker.check(run.jobs[0]))
    drawings = [drawing for _, drawing in zip(range(count), worker.drawings(run.jobs[0]), strict=False)]
    pictures, spent = [], {"plan": 0.0, "render": 0.0}
    started, used = time.perf_counter(), time.process_time()
    for first in range(0, count, TOGETHER):
        group = drawings[first : first + TOGETHER]
        pictures += model.draw_all([each.row.prompt for each in group], [each.seed for each in group], batched=True)
    share = (time.process_time() - used) / (time.perf_counter() - started)
    for name in spent:  # their clock counts what others took as well
        spent[name] = share * sum(picture.timings_ms[name] for picture in pictures) / count
    clock.ms |= {"drafting": round(spent["plan"], 2), "rendering": round(spent["render"], 2)}
    made = clock.time("writing", count, lambda: [d.members(p) for d, p in zip(drawings, pictures, strict=True)])
    sizes = np.array([[len(content) for _, content in members] for members in made]).mean(axis=0)
    clock.bytes = {"png": round(float(sizes[0])), "json": round(float(sizes[1]))}
    return pictures


def tokenizing(clock, model, folder, pictures):
    """The stages of ``lantu data tokenize``, on the pictures."""
    (folder / "pictures").mkdir()
    for number, picture in enumerate(pictures):
        Image.fromarray(np.asarray(picture.image)).save(folder / f"pictures/{number:05}.png")
    width = model.size[0]
    data = clock.time(
        "importing", len(pictures), lambda: build_folder(folder / "pictures", folder / "data", width, 0.0, workers=1)
    )
    shards = Shards(data, "train")
    images = clock.time("reading", len(shards), lambda: shards.images(range(len(shards))))
    encode = encoder(load_tokenizer(model.folder.path), data)
    encode(images[:2])
    codes = clock.time("tokenizing", len(images), lambda: encode(images))
    clock.bytes["codes"] = int(codes[0].size * 2)


def captioning(clock, model, folder):
    """``lantu data caption``, on the same pictures without the records of their drawing."""
    run = CaptionRun(model, folder / "pictures", folder / "captions.jsonl")
    captioner = Captioner(run.order, model)
    captioner.rows(run.wanted[:1])
    clock.time("captioning", len(run.wanted), lambda: [captioner.rows(group) for group in run.groups(0)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    clock, model = Clock(), lantu.load(asked.model, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        pictures = drawing(clock, model, Path(folder), asked.pictures, asked.rows)
        tokenizing(clock, model, Path(folder), pictures)
        if "captioning" in model.folder.abilities:
            captioning(clock, model, Path(folder))
    if asked.json:
        print(json.dumps({"model": model.name, "ms": clock.ms, "bytes": clock.bytes}, indent=1))
        return
    print(f"{model.name}, {model.size[0]} x {model.size[1]} pixels, {pictures[0].cells} codes\n")
    print("| stage | ms of a core | a core, a second |\n|---|---|---|")
    for name, ms in clock.ms.items():
        print(f"| {name} | {ms:.2f} | {1000 / max(ms, 1e-3):,.0f} |")
    print(f"\nbytes a picture: {', '.join(f'{name} {size:,}' for name, size in clock.bytes.items())}")


if __name__ == "__main__":
    main()
