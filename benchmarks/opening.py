"""Memory and time of opening a language model on the native kernels, beside the size of its files.

    python benchmarks/opening.py [--layers 16] [--width 2048] [--ids 128256] [--shard 1000000000] [--out DIR]

Writes a random Llama in bfloat16 tensor by tensor (by default 1.2 billion parameters, tied head, 2.5 GB), opens it
in a process of its own and prints one JSON object: the process's memory before and after, at its peak, and after the
first ids of a picture with 8,192 codes, in megabytes and as multiples of the file size.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from lantu.weights.architecture import Sizes
from lantu.weights.language_tensors import shapes

OPEN = """
import json, sys, time
from pathlib import Path
from lantu.engine.backends.native import Language

def memory():
    lines = (line.partition(":") for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(value.split()[0]) / 1024 for name, _, value in lines if name in ("VmHWM", "RssAnon", "RssFile")}

figures = {"before": memory()}
start = time.perf_counter()
language = Language.load(sys.argv[1])
figures |= {"seconds": time.perf_counter() - start, "opened": memory()}
row = language.open(8)
language.read([row], [[1, 2, 3]])
language.logits([row], (range(int(sys.argv[2])),))
figures["drafting"] = memory()
print(json.dumps(figures))
"""


def config(layers: int, width: int, ids: int) -> dict[str, object]:
    """A Llama with a feed-forward four times as wide, heads of 64 and a quarter as many of keys and values."""
    return {
        **{"model_type": "llama", "hidden_act": "silu", "rms_norm_eps": 1e-5, "rope_theta": 500000.0},
        **{"num_hidden_layers": layers, "hidden_size": width, "intermediate_size": 4 * width, "head_dim": 64},
        **{"num_attention_heads": width // 64, "num_key_value_heads": max(1, width // 256)},
        **{"vocab_size": ids, "max_position_embeddings": 4096, "tie_word_embeddings": True},
    }


def write(folder: Path, settings: dict[str, object], shard_bytes: int) -> int:
    """Write config.json and shards of random weights; returns the bytes of the shards."""
    shards: list[dict[str, tuple[int, ...]]] = [{}]
    room = shard_bytes
    for name, shape in shapes(Sizes.of(settings)).items():
        size = 2 * int(np.prod(shape))
        if size > room and shards[-1]:
            shards.append({})
            room = shard_bytes
        shards[-1][name] = shape
        room -= size
    names = [f"model-{number:05d}-of-{len(shards):05d}.safetensors" for number in range(1, len(shards) + 1)]
    for name, shard in zip(names, shards, strict=True):
        write_shard(folder / name, shard)
    where = {tensor: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    (folder / "config.json").write_text(json.dumps(settings))
    return sum((folder / name).stat().st_size for name in names)


def write_shard(path: Path, shard: dict[str, tuple[int, ...]]) -> None:
    """One safetensors file of bfloat16 numbers: 1 for norms, random ones elsewhere."""
    header, at = {}, 0
    for name, shape in shard.items():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    random = np.random.default_rng(0).standard_normal(1 << 17, np.float32) / 50
    row = (random.view(np.uint32) >> 16).astype(np.uint16)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for shape in shard.values():
            count = int(np.prod(shape))
            if len(shape) == 1:
                file.write(np.full(count, 0x3F80, np.uint16).tobytes())
                continue
            for first in range(0, count, len(row)):
                file.write(row[: count - first].tobytes())


def opened(folder: Path, codes: int) -> dict[str, dict[str, float]]:
    """Memory in megabytes of a process that opens the directory: see the module."""
    command = [sys.executable, "-c", OPEN, str(folder), str(codes)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("layers", 16), ("width", 2048), ("ids", 128256), ("shard", 1_000_000_000), ("codes", 8192)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out", type=Path, help="keep the directory here; by default it is removed")
    asked = parser.parse_args()
    folder = asked.out or Path(tempfile.mkdtemp())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        size = write(folder, config(asked.layers, asked.width, asked.ids), asked.shard) / (1 << 20)
        figures = opened(folder, asked.codes)
    finally:
        if not asked.out:
            shutil.rmtree(folder)
    for when in ("opened", "drafting"):
        figures[when]["resident_per_file"] = (figures[when]["RssAnon"] + figures[when]["RssFile"]) / size
        figures[when]["peak_per_file"] = figures[when]["VmHWM"] / size
    print(json.dumps({"file_mb": size} | figures, indent=1))


if __name__ == "__main__":
    main()
