"""Arithmetic of docs/scale.md: python benchmarks/scale.py [--json] [--pictures 1e9] [--gpus 1000] [--set NAME=NUMBER] …

What each stage takes, from sizes and rates. ``MEASURED`` was measured on a core or a machine without a GPU, by the
script named beside it; ``ASSUMED`` was not measured here: a GPU's figures are its data sheet's, and the shares of them
that are reached are guesses that ``--set`` replaces. Nothing is computed by lantu here.
"""

import argparse
import json

MEASURED = {
    "import_core_s": 1 / 454,  # a JPEG of 512 px to a tar at 128 px: benchmarks/loader.py, docs/data.md
    "png_write_s": 1.5e-3,  # of 128 x 128 px, at its fastest, and read: src/lantu/data/shards.py
    "png_read_s": 0.6e-3,
    "load_core_s": 1 / 596,  # a training picture of 128 px from its tar, batched: benchmarks/loader.py
    "plan_row_s": 0.01e-3,  # a row of a file of prompts: benchmarks/bulk.py
    "check_row_core_s": 0.41e-3,  # the same, by the model's layout
    "write_core_s": 6.1e-3,  # a drawing of 128 px to PNG, JSON and tar
    "core_flops": 95e9,  # float32, in registers alone: benchmarks/matrix_rate.py, docs/speed.md
    "core_share": 0.6,  # of it, by products of the sizes that models have: 45 to 86 of 95 GFLOP/s
}
ASSUMED = {
    "gpu_flops": 989e12,  # bfloat16, dense, of an H200's data sheet
    "gpu_bytes_s": 4.8e12,
    "gpu_bytes": 141e9,
    "flops_share": 0.35,  # reached in training and rendering
    "bytes_share": 0.5,  # reached in drafting
    "cores_a_gpu": 16,
    "network_bytes_s": 50e9,  # that a GPU can receive: the default of lantu train --dry-run
    "storage_bytes_s": 100e9,  # of the whole cluster
}
SIZES = {  # of a model that draws 512 x 512 px
    "language": 1e9,  # parameters
    "layers": 24,
    "kv_width": 1024,  # 8 heads of 128
    "codes": 1024,
    "words": 64,  # ids of a caption
    "encoder": 0.1e9,
    "plain_decoder": 0.1e9,
    "decoder": 0.6e9,
    "steps": 4,
    "together": 256,  # pictures that a GPU drafts at once
    "scored": 44,  # captions of a picture, both ways: 12, and twice 16 that differ in a word (tasks/caption.py)
    "tokens_a_gpu": 64 * 1088,  # of an update of the language model
    "tokenizer_epochs": 0.1,  # shares of the data that each part is trained on
    "language_epochs": 1,
    "decoder_epochs": 0.5,
    "png_bytes": 450e3,  # of a photograph of 512 px
    "scale": 16,  # its pixels by those of 128 px
}


def stages(a, pictures, gpus):
    """(stage, device, seconds of a device for a picture, share of the pictures, what bounds it)."""
    flops = a["gpu_flops"] * a["flops_share"]
    ids = a["codes"] + a["words"]
    step_s, bound = drafting(a)
    extra = a["scale"] * a["png_write_s"]
    core = a["core_flops"] * a["core_share"]
    caption_s = a["codes"] * step_s / a["together"] + 2 * a["scored"] * 2 * a["language"] * ids / flops
    return [
        ("import", "core", a["import_core_s"] + extra, 1, "writing PNG"),
        ("tokenizing, as lantu does", "core", 2 * a["encoder"] * a["codes"] / core, 1, "arithmetic of cores"),
        ("tokenizing, on GPUs", "GPU", 2 * a["encoder"] * a["codes"] / flops, 1, "reading PNG: see loading"),
        ("loading for training", "core", a["load_core_s"] + a["scale"] * a["png_read_s"], 1, "reading PNG"),
        (
            "training the tokenizer",
            "GPU",
            6 * (a["encoder"] + a["plain_decoder"]) * a["codes"] / flops,
            a["tokenizer_epochs"],
            "arithmetic",
        ),
        ("training the language model", "GPU", 6 * a["language"] * ids / flops, a["language_epochs"], "arithmetic"),
        ("training the decoder", "GPU", 6 * a["decoder"] * a["codes"] / flops, a["decoder_epochs"], "arithmetic"),
        ("drafting", "GPU", a["codes"] * step_s / a["together"], 1, bound),
        ("captioning", "GPU", caption_s, 1, "scoring captions"),
        ("captioning, sampled", "GPU", a["codes"] * step_s / a["together"], 1, bound),  # codes as the model would draft
        ("rendering", "GPU", 2 * a["decoder"] * a["codes"] * a["steps"] / flops, 1, "arithmetic"),
        ("planning the prompts", "process", a["plan_row_s"], 1, "one process"),
        ("checking the prompts", "core", a["check_row_core_s"], 1, "cores"),
        ("writing the drawings", "core", a["scale"] * a["write_core_s"], 1, "PNG"),
        ("storing the drawings", "cluster", a["png_bytes"] / a["storage_bytes_s"], 1, "storage"),
    ]


def drafting(a):
    """Seconds of a step, and what bounds it: weights and all caches are read once a step."""
    cache = 2 * a["layers"] * a["kv_width"] * 2  # bytes of an id, bfloat16
    weights, caches = 2 * a["language"], a["together"] * cache * (a["codes"] / 2 + a["words"])
    arithmetic = 2 * a["language"] * a["together"] / (a["gpu_flops"] * a["flops_share"])
    reading = (weights + caches) / (a["gpu_bytes_s"] * a["bytes_share"])
    return max(arithmetic, reading), "reading caches" if caches > weights else "reading weights"


def told(a, pictures, gpus):
    """The table's rows, as JSON."""
    counts = {"GPU": gpus, "core": gpus * a["cores_a_gpu"], "process": 1, "cluster": 1}
    rows = []
    for name, device, seconds, share, bound in stages(a, pictures, gpus):
        total = seconds * share * pictures
        rows.append(
            {
                "stage": name,
                "a_second": 1 / seconds,
                "device": device,
                "device_hours": total / 3600,
                "hours": total / 3600 / counts[device],
                "bound": bound,
            }
        )
    return rows


def more(a, pictures, gpus):
    """What isn't a stage."""
    cache = 2 * a["layers"] * a["kv_width"] * 2 * (a["codes"] + a["words"])
    draft, render = (next(row for row in told(a, 1, 1) if row["stage"] == name) for name in ("drafting", "rendering"))
    drafters = gpus * render["a_second"] / (draft["a_second"] + render["a_second"])
    update_s = 6 * a["language"] * a["tokens_a_gpu"] / (a["gpu_flops"] * a["flops_share"])
    return {
        "pictures_that_fit_a_gpu": int((a["gpu_bytes"] * 0.9 - 2 * a["language"]) / cache),
        "drafters": round(drafters),
        "renderers": round(gpus - drafters),
        "drawings_a_second": round(drafters * draft["a_second"]),
        "written_gb_s": round(drafters * draft["a_second"] * a["png_bytes"] / 1e9, 2),
        "drawings_tb": round(pictures * a["png_bytes"] / 1e12, 1),
        "codes_tb": round(pictures * a["codes"] * 2 / 1e12, 2),
        "update_s": round(update_s, 2),
        "exchange_s": round(3 * 2 * a["language"] / a["network_bytes_s"], 2),  # gathered twice, reduced once, bfloat16
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=float, default=1e9)
    parser.add_argument("--gpus", type=int, default=1000)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="NAME=NUMBER")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    a = MEASURED | ASSUMED | SIZES
    for setting in asked.settings:
        name, _, value = setting.partition("=")
        if name not in a:
            parser.error(f"no number called {name}: choose one of {', '.join(a)}")
        a[name] = float(value)
    rows, rest = told(a, asked.pictures, asked.gpus), more(a, asked.pictures, asked.gpus)
    if asked.json:
        print(json.dumps({"pictures": asked.pictures, "gpus": asked.gpus, "stages": rows, **rest}, indent=1))
        return
    print(f"{asked.pictures:,.0f} pictures, {asked.gpus:,} GPUs, {asked.gpus * a['cores_a_gpu']:,.0f} cores\n")
    print("| stage | of one device, pictures a second | device hours | hours | bound by |\n|---|---|---|---|---|")
    for row in rows:
        hours = f"{row['device_hours']:,.0f} | {row['hours']:,.2f}"
        print(f"| {row['stage']} | {row['a_second']:,.3g} a {row['device']} | {hours} | {row['bound']} |")
    print("\n" + "\n".join(f"{name}: {value:,}" for name, value in rest.items()))


if __name__ == "__main__":
    main()
