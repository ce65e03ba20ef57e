"""``lantu make``: data, tokenizer, language model and decoder, model directory, scores, report."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lantu.errors import DataError, LantuError
from lantu.files import check_folder, expand
from lantu.kernels import usable_cores
from lantu.models.lantu.folder import FOLDER_KIND
from lantu.pipeline import Model
from lantu.recipes.make import plan, report, stages
from lantu.recipes.make.look import Look, look
from lantu.recipes.make.stages import Ledger, Tell

SCORED = 64  # pictures of each suite


@dataclass(frozen=True)
class Wanted:
    """What was asked for.

    Attributes:
        pictures: a folder, a table or tars, see ``lantu data build folder``.
        out: the model directory.
        work: folder of the data, the runs and the report; kept, so that training can go on.
        minutes: for everything.
        size: pixels a side.
        labels, captions: see ``lantu data build folder``.
    """

    pictures: Path
    out: Path
    work: Path
    minutes: float
    size: int
    labels: str
    device: str
    seed: int
    captions: bool = True

    def asked(self) -> dict[str, Any]:
        """The settings that a call must repeat to go on."""
        place = str(expand(self.pictures).resolve())
        return {
            "pictures": place,
            "out": str(self.out.resolve()),
            "minutes": self.minutes,
            "size": self.size,
            "labels": self.labels,
            "device": self.device,
            "seed": self.seed,
            **({} if self.captions else {"captions": False}),  # which calls of older versions didn't say
        }


def make(wanted: Wanted, say: Callable[[str], None], tell: Tell) -> tuple[Model, Path]:
    """Make a model of pictures; a call that was stopped goes on where it was.

    Args:
        say: called with lines for a person: what there is, what is done, what was left out.
        tell: called with a stage's name and the newest line of its log.

    Returns:
        the model, and the page of the report.

    Raises:
        LantuError: a stage was refused; what it says is the message.
        KeyboardInterrupt: it was interrupted; the same call goes on.
    """
    if not wanted.pictures.exists():
        raise DataError(f"there is no {wanted.pictures}", "name a folder of pictures, a table or tars")
    check_folder(wanted.out, FOLDER_KIND)  # before hours of training
    began, cores = time.monotonic(), usable_cores()
    ledger = Ledger.open(wanted.work, wanted.asked())
    before = ledger.spent_s
    step(ledger, ["data"], {"data": data_command(wanted)}, tell, cores)
    found = look(wanted.work / "data")
    for line in found.lines():
        say(line)
    left = 60 * wanted.minutes - before - (time.monotonic() - began)
    train(wanted, ledger, found, left, tell, cores)
    parts = [word for part in plan.PARTS for word in (f"--{part}", str(wanted.work / part))]
    data = ["--data", str(wanted.work / "data")]
    step(ledger, ["model"], {"model": ["assemble", *parts, *data, "--out", str(wanted.out)]}, tell, cores)
    scored = ["eval", "--model", str(wanted.out), *data, "--limit", str(SCORED), "--out", str(wanted.work / "scores")]
    step(ledger, ["scores"], {"scores": scored}, tell, cores)
    model = Model.load(wanted.out, wanted.device)
    return model, report.write(wanted.work / "report", model, found, ledger, wanted.work / "data")


def data_command(wanted: Wanted) -> list[str]:
    """Import the pictures."""
    labels = ["--labels", wanted.labels] if wanted.labels else []
    labels += [] if wanted.captions else ["--no-captions"]
    where = [str(expand(wanted.pictures)), "--out", str(wanted.work / "data")]
    return ["data", "build", "folder", *where, "--size", str(wanted.size), "--seed", str(wanted.seed), *labels]


def train(wanted: Wanted, ledger: Ledger, found: Look, left_s: float, tell: Tell, cores: int) -> None:
    """Train the three parts in what is left of the time; steps that an earlier call planned stay."""
    budget = plan.Budget.of(left_s, cores)
    seconds = {"tokenizer": budget.tokenizer, "language": budget.language, "decoder": budget.decoder}
    later = [["language", "decoder"]] if budget.side_by_side else [["language"], ["decoder"]]
    for names in [["tokenizer"], *later]:
        threads = max(1, cores // len(names))
        for name in names:
            if name not in ledger.commands:
                measure = measured(threads)
                command = plan.trained(name, found, wanted.work, wanted.device, seconds[name], measure)
                ledger.commands[name] = [*command, "--seed", str(wanted.seed)]
                ledger.save()
        stages.run(ledger, names, tell, cores)


def step(ledger: Ledger, names: Sequence[str], commands: Mapping[str, list[str]], tell: Tell, cores: int) -> None:
    """Plan and run stages."""
    ledger.commands |= {name: command for name, command in commands.items() if name not in ledger.commands}
    ledger.save()
    stages.run(ledger, names, tell, cores)


def measured(threads: int) -> plan.Measure:
    """What ``--dry-run`` says of a training on so many threads."""

    def measure(command: Sequence[str]) -> Mapping[str, Any]:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"}
        words = [sys.executable, "-m", "lantu", *command, "--dry-run", "--json"]
        result = subprocess.run(words, capture_output=True, text=True, env=environment)
        if result.returncode:
            lines = result.stderr.strip().splitlines()
            raise LantuError(lines[-1].removeprefix("lantu: ") if lines else "a training can't be measured")
        return json.loads(result.stdout)

    return measure
