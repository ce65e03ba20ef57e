"""Spoils a model directory in one place at random, and looks on as lantu draws with it.

    python tests/fuzzing.py MODEL FOLDER SEED COUNT

For each change a process is forked that runs `lantu draw`, `tokenize` and `info`; a crash, a hang, a traceback, or a
picture that is another one without a word is a finding. Prints a JSON object a line, the changes first to last. It
imports no torch, and computes nothing itself, so that forking is safe and cheap.
"""

import io
import json
import os
import random
import resource
import shutil
import signal
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

from PIL import Image

SECONDS, MEMORY = 120, 2 << 30  # the machine may be busy; memory beyond what the process has
WRONG: list[Any] = [0, -1, 1, 2, 3, 7, 2**31, 2**63, 10**12, 0.5, -0.5, 1e308, 1e-300, True, False, None, "1", "", []]
WRONG += [{}, [1], float("nan"), float("inf")]
# What nothing binds where a model has no checksums: it is a setting, or fits the weights as well as any other value.
FREE = {"rope_theta", "rms_norm_eps", "grid", "guidance", "learnt", "strengths", "prior", "dtype", "torch_dtype"}
Change = Callable[[random.Random, Path], str]


def numbers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all numbers in JSON."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        if isinstance(inner, int | float):
            yield (*path, key)
        yield from numbers(inner, (*path, key))


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Set the value at a path; the old one comes back."""
    for key in path[:-1]:
        value = value[key]
    old, value[path[-1]] = value[path[-1]], new
    return old


def other(rng: random.Random, old: Any) -> Any:
    """A number that is not ``old``, near it or far away, or something that is no number."""
    near = [old + 1, old - 1, old * 2, old / 2, old // 2, -old, old * 1.5] if isinstance(old, int | float) else []
    while True:
        new = rng.choice(WRONG + 2 * near)
        if type(new) is not type(old) or new != old:
            return new


def rewrite(path: Path, content: bytes) -> None:
    """Write a file anew; it may be a hard link to one that must stay."""
    path.unlink()
    path.write_bytes(content)


def a_number(rng: random.Random, model: Path) -> str:
    path = rng.choice(sorted(model.rglob("*.json")))
    value = json.loads(path.read_text(encoding="utf-8"))
    places = list(numbers(value))
    if not places:
        return a_number(rng, model)
    place = rng.choice(places)
    new = other(rng, put(value, place, None))
    put(value, place, new)
    rewrite(path, json.dumps(value).encode())
    return f"{path.relative_to(model)} {'.'.join(map(str, place))} = {new!r}"


def a_text_of_json(rng: random.Random, model: Path) -> str:
    path = rng.choice(sorted(model.rglob("*.json")))
    old = path.read_bytes()
    at = rng.randrange(len(old))
    contents = [old[:at], b"", b"[]", b"null", b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe{}", b'{"a": 1, "a": 2}']
    contents += [old.replace(b"{", b'{"twice": 1, "twice": 2, ', 1), old + b"x", old[:at] + b"\0" + old[at + 1 :]]
    new = rng.choice(contents)
    rewrite(path, new)
    return f"{path.relative_to(model)} is {new[:20]!r}… of {len(new)} bytes"


def a_header(rng: random.Random, model: Path) -> str:
    path = rng.choice(sorted(model.rglob("*.safetensors")))
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, rest = json.loads(content[8 : 8 + length]), content[8 + length :]
    name = rng.choice([name for name in header if name != "__metadata__"])
    entry, what = header[name], rng.randrange(9)
    if what < 3:
        place = rng.choice(list(numbers(entry)))
        new = other(rng, put(entry, place, None))
        put(entry, place, new)
        told = f"{'.'.join(map(str, place))} = {new!r}"
    elif what < 5:
        entry["dtype"] = told = rng.choice(["I16", "U16", "F16", "F32", "I8", "F8_E4M3", "", 5, None, "BOOL", "F64"])
    elif what == 5:
        old = entry["shape"]
        entry["shape"] = told = rng.choice([[], old[::-1], [*old, 1], [0, *old], [-1, *old], 5, None])
    elif what == 6:
        told = rng.choice(["gone", "renamed", "no object", "metadata"])
        header.pop(name) if told == "gone" else None
        header |= {"renamed": {"other": header.pop(name, None)}, "no object": {name: 5}}.get(told, {})
        header |= {"__metadata__": rng.choice([5, {"a": 1}, [], None])} if told == "metadata" else {}
    elif what == 7:
        header["more"], told = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}, "an empty tensor more"
    else:
        told = "all float16"
        for each in header.values():
            each["dtype"] = {"BF16": "F16"}.get(each.get("dtype"), each.get("dtype"))
    new_header = json.dumps(header).encode()
    rewrite(path, struct.pack("<Q", len(new_header)) + new_header + rest)
    return f"{path.relative_to(model)} {name}: {told!r}"


def bytes_of_weights(rng: random.Random, model: Path) -> str:
    path = rng.choice(sorted(model.rglob("*.safetensors")))
    content = bytearray(path.read_bytes())
    (length,) = struct.unpack("<Q", content[:8])
    what = rng.choice(["length", "cut", "longer", "not finite", "padded", "unaligned"])
    if what == "length":
        lengths = [0, 1, length - 1, length + 1, 2**63, 2**64 - 1, 10**8, len(content)]
        content[:8] = struct.pack("<Q", rng.choice(lengths))
    elif what == "cut":
        del content[rng.randrange(len(content)) :]
    elif what == "longer":
        content += bytes(rng.randrange(1, 100))
    elif what == "not finite":
        at = 8 + length + 2 * rng.randrange((len(content) - 8 - length) // 2)
        content[at : at + 2] = rng.choice([b"\x80\x7f", b"\xc0\x7f", b"\x80\xff"])
    else:
        more = 8 if what == "padded" else 1
        content[8 + length : 8 + length] = b" " * more
        content[:8] = struct.pack("<Q", length + more)
    rewrite(path, bytes(content))
    return f"{path.relative_to(model)} {what}"


def another_kind_of_file(rng: random.Random, model: Path) -> str:
    path = rng.choice(sorted([*model.rglob("*.json"), *model.rglob("*.safetensors")]))
    what = rng.choice(["pipe", "folder", "/dev/zero", "/etc/passwd", "copy outside", "nowhere", "itself", "gone"])
    outside = model.parent / "outside"
    shutil.copyfile(path, outside)
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what != "gone":
        path.symlink_to({"copy outside": str(outside), "itself": path.name}.get(what, what))
    return f"{path.relative_to(model)} is {what}"


def an_index(rng: random.Random, model: Path) -> str:
    path = rng.choice(sorted(model.rglob("*.index.json")))
    value = json.loads(path.read_text(encoding="utf-8"))
    files = sorted(set(value["weight_map"].values()))
    shutil.copyfile(path.parent / files[0], model.parent / "outside.safetensors")
    wrong = ["../../outside.safetensors", str(model.parent / "outside.safetensors"), "/dev/zero", "pipe.safetensors"]
    wrong += ["../../../../../../etc/passwd", "config.json", "missing.safetensors", "", ".", "..", 5, None, [], "a\0b"]
    os.mkfifo(path.parent / "pipe.safetensors")
    new, name = rng.choice([*wrong, *files]), rng.choice(sorted(value["weight_map"]))
    if rng.random() < 0.3:
        value["weight_map"] = dict.fromkeys(value["weight_map"], new)
    else:
        value["weight_map"][name] = new
    rewrite(path, json.dumps(value).encode())
    return f"{path.relative_to(model)} {name} in {new!r}"


CHANGES: list[Change] = [a_number] * 6 + [a_header] * 4 + [bytes_of_weights, another_kind_of_file, an_index] * 2
CHANGES.append(a_text_of_json)


def run(arguments: list[str]) -> tuple[int, str]:
    """A command of lantu: its exit code and what it said on stderr."""
    from lantu.cli import main

    said = io.StringIO()
    with redirect_stderr(said), redirect_stdout(io.StringIO()):
        return main(arguments), said.getvalue()


def look(model: Path, place: Path) -> dict[str, Any]:
    """What lantu makes of a model directory: exit codes, what it says, the picture and its codes."""
    picture, codes, seen = place / "drawn.png", place / "codes.json", str(place / "seen.png")
    draw = ["draw", "a cat", "--seed", "3", "--output", str(picture), "--control", seen, "--control-kind", "edges"]
    commands = [[*draw], ["tokenize", seen, "--output", str(codes)], ["info"]]
    ends = [run([*command, "--model", str(model)]) for command in commands]
    told: dict[str, Any] = {"ends": ends}
    if ends[0][0] == 0:
        told["pixels"] = Image.open(picture).tobytes().hex()
    if ends[1][0] == 0:
        told["codes"] = json.loads(codes.read_text())["pictures"][0]["codes"]
    return told


def in_a_child(model: Path, place: Path) -> dict[str, Any]:
    """``look`` in a process of its own: its findings, or the signal that ended it."""
    told, child = place / "told.json", os.fork()
    if not child:
        with suppress(BaseException):
            signal.alarm(SECONDS)
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            told.write_text(json.dumps(look(model, place)))
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return {"signal": signal.Signals(os.WTERMSIG(status)).name}
    return json.loads(told.read_text()) if told.exists() else {"signal": "no answer"}


def judge(told: dict[str, Any], whole: dict[str, Any], change: str, has_checksums: bool) -> str:
    """What is wrong with that, or "" if nothing is."""
    if "signal" in told:
        return told["signal"]
    for code, said in told["ends"]:
        if code not in (0, 2) or "Traceback" in said or (code == 2 and (said.count("\n") != 1 or len(said) < 20)):
            return f"exit code {code}: {said}"
    if change.startswith("model_index.json draw."):
        return ""
    if not has_checksums and FREE & set(change.replace(".", " ").split()):
        return ""
    drawn = [name for name in ("pixels", "codes") if name in told and told[name] != whole[name]]
    return f"other {' and '.join(drawn)} without a word" if drawn else ""


def fuzz(model: Path, place: Path, seed: int, count: int) -> Iterator[dict[str, Any]]:
    """Spoil copies of a model ``count`` times, half of them without the checksums in its index."""
    import lantu.cli
    import lantu.commands.pictures
    import lantu.engine.backends.native
    import lantu.pipeline  # noqa: F401  all that a drawing imports, once

    Image.linear_gradient("L").resize((32, 32)).convert("RGB").save(place / "seen.png")
    whole = in_a_child(model, place)
    if any(code for code, _ in whole.get("ends", [(1, "")])):
        raise SystemExit(f"the whole model does not draw: {whole}")
    for number in range(count):
        rng = random.Random(f"{seed} {number}")
        spoilt = place / "model"
        shutil.copytree(model, spoilt, copy_function=os.link)
        if bare := number % 2:
            index = json.loads((spoilt / "model_index.json").read_text())
            rewrite(spoilt / "model_index.json", json.dumps(index | {"checksums": {}}).encode())
        change = rng.choice(CHANGES)(rng, spoilt)
        (place / "told.json").unlink(missing_ok=True)
        told = in_a_child(spoilt, place)
        shutil.rmtree(spoilt)
        said = [code for code, _ in told.get("ends", [])]
        yield {"change": change, "number": number, "ends": said, "wrong": judge(told, whole, change, not bare)}


if __name__ == "__main__":
    for result in fuzz(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])):
        print(json.dumps(result), flush=True)
