"""An environment of its own for each stack, since their pins exclude one another and lantu needs none of them.

    python benchmarks/stacks/environment.py deepspeed|megatron

prints the path of its python. It is made once, in lantu's cache ($LANTU_CACHE, else ~/.cache/lantu; about 1.3 GB each),
and again when the packages listed here change. lantu itself is not in it: what runs there has only a model directory
and exported documents. Exit code 3: the registry can't be reached.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from lantu.errors import LantuError
from lantu.files import cache_dir

# Below 2.14 pip finds torch as a CPU wheel on a machine without a GPU; a GPU user installs the CUDA build first.
TORCH = ("torch>=2.11,<2.14", "numpy>=1.26")
TRANSFORMERS = ("transformers>=5.17,<6", "accelerate>=1.0", "safetensors>=0.6")
Step = tuple[tuple[str, ...], tuple[str, ...], dict[str, str]]  # packages, options of pip, variables
STEPS: dict[str, tuple[Step, ...]] = {
    # DeepSpeed's build looks at the torch beside it. Its own kernels are compiled where they are used; ours need none.
    "deepspeed": (
        ((*TORCH, "setuptools<82", "wheel", "ninja", "py-cpuinfo"), (), {}),
        (("deepspeed>=0.19,<0.20",), ("--no-build-isolation",), {"DS_BUILD_OPS": "0"}),
        (TRANSFORMERS, (), {}),
    ),
    # The newest megatron-core for Python 3.11.
    "megatron": (((*TORCH, *TRANSFORMERS, "megatron-core==0.16.1"), (), {}),),
}
UNREACHABLE = ("(from versions: none)", "connection broken", "NewConnectionError", "ReadTimeoutError", "ProxyError")


class Unreachable(LantuError):
    """The package registry can't be reached."""


def python_of(stack: str) -> Path:
    """The python of a stack's environment, which is made if it isn't there.

    Raises:
        LantuError: pip can't install it; ``Unreachable`` if that is because there is no registry.
    """
    place = cache_dir() / "stacks" / stack
    python, mark, wanted = place / "bin" / "python", place / "installed.txt", f"{sys.version}\n{STEPS[stack]}\n"
    with alone(place.with_suffix(".lock")):
        if mark.is_file() and mark.read_text() == wanted:
            return python
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        for packages, options, variables in STEPS[stack]:
            install(python, packages, options, variables)
        mark.write_text(wanted)  # the last thing, so that a killed installation is made anew
    return python


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a lock, so that two runs do not install into one environment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def install(python: Path, packages: tuple[str, ...], options: tuple[str, ...], variables: dict[str, str]) -> None:
    """Run pip; what it says is shown only where it fails."""
    print(f"installing {' '.join(packages)}", file=sys.stderr, flush=True)
    command = [str(python), "-m", "pip", "install", "--no-input", "--disable-pip-version-check", *options, *packages]
    done = subprocess.run(command, env=clean() | variables, capture_output=True, text=True)
    if done.returncode == 0:
        return
    told = done.stdout + done.stderr
    if any(sign in told for sign in UNREACHABLE):
        raise Unreachable(f"no package registry gives {packages[0]}", "connect to one, or set PIP_INDEX_URL")
    raise LantuError(f"pip could not install {' '.join(packages)}", told.strip().splitlines()[-1])


def clean() -> dict[str, str]:
    """The variables of this process without those that would show lantu, or its packages, to another python."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in STEPS:
        sys.exit(f"usage: environment.py {'|'.join(STEPS)}")
    try:
        print(python_of(sys.argv[1]))
    except LantuError as problem:
        print(f"environment.py: {problem}", file=sys.stderr)
        sys.exit(3 if isinstance(problem, Unreachable) else 2)
