"""Runs commands of lantu as processes of their own; a command that has finished is not run again."""

import ctypes
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from lantu.errors import LantuError, RecipeError
from lantu.files import write_json
from lantu.recipes.runs import read
from lantu.training.logs import read_log
from lantu.training.progress import WARNING, validated

LEDGER = "make.json"
POLL_S = 0.5
FIRST = {"data"}  # stages before those that are planned for the time there is
DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux's prctl
Tell = Callable[[str, dict[str, Any]], None]  # name of a stage, newest line of its log and more: see ``making.make``


@dataclass
class Ledger:
    """What was asked for and what is done, kept in WORK/make.json, or under another name.

    Attributes:
        asked: the settings of the call.
        commands: stage → its command, once it is planned.
        done: stage → what the command printed as JSON.
        seconds: stage → how long it took, over all calls.
        warnings: stage → what it warned of.
        wall_s: seconds of earlier calls, with what was measured between the stages.
        opened: when this call began, on the monotonic clock; not kept.
        cpu: stage → seconds of processor time that it took, over all calls; empty where the system doesn't tell.
    """

    work: Path
    asked: dict[str, Any]
    commands: dict[str, list[str]] = field(default_factory=dict)
    done: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    warnings: dict[str, list[str]] = field(default_factory=dict)
    wall_s: float = 0.0
    opened: float = field(default_factory=time.monotonic)
    name: str = LEDGER

    @classmethod
    def open(
        cls,
        work: Path,
        asked: dict[str, Any],
        name: str = LEDGER,
        what: str = "a model in the making",
        option: str = "--work",
        later: Collection[str] = (),
    ) -> "Ledger":
        """Begin, or go on where an earlier call with the same settings was stopped.

        Args:
            name: of its file.
            what: the folder holds, for messages.
            option: that names another folder.
            later: settings that matter only after the first stages, and may be changed until then; as long as these
                are not done either, all may.

        Raises:
            RecipeError: the folder holds the work of a call with other settings.
        """
        try:
            kept = json.loads((work / name).read_text(encoding="utf-8"))
            parts = [kept[each] for each in ("asked", "commands", "done", "seconds")]
            parts += [kept.get(each, {}) for each in ("cpu", "warnings")]
            if not all(isinstance(part, dict) for part in parts):
                raise TypeError("it is no ledger")
            ledger = cls(work, *parts[:4], name=name)
            ledger.cpu, ledger.warnings = parts[4:]
            ledger.wall_s = kept.get("wall_s", 0.0) or sum(ledger.seconds.values())
        except FileNotFoundError:
            return cls(work, asked, name=name)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as problem:
            raise RecipeError(f"{work / name} can't be read", f"choose another folder: {option}") from problem
        others = [each for each in {**asked, **ledger.asked} if asked.get(each) != ledger.asked.get(each)]
        if others and later and ledger.commands.keys() <= FIRST:
            if not ledger.done:
                return cls(work, asked, name=name)  # the import was refused: this call is its correction
            ledger.asked |= {each: asked[each] for each in others if each in later}
            others = [each for each in others if each not in later]
        if others:
            other = others[0]
            what = f"{work} holds {what} with another {other} ({ledger.asked.get(other)})"
            raise RecipeError(what, f"repeat that call to go on, or choose another folder: {option}")
        return ledger

    def save(self) -> None:
        """Write it."""
        self.work.mkdir(parents=True, exist_ok=True)
        kept = {name: value for name, value in vars(self).items() if name not in ("work", "opened", "name")}
        write_json(self.work / self.name, kept | {"wall_s": round(self.spent_s, 1)})

    @property
    def spent_s(self) -> float:
        """Seconds so far, over all calls."""
        return self.wall_s + time.monotonic() - self.opened


def without_settings(command: Sequence[str]) -> list[str]:
    """A training's command without its ``--set`` options: a run that goes on has them, as they are by now."""
    given = [place for place, word in enumerate(command) if word == "--set"]
    dropped = {*given, *(place + 1 for place in given)}
    return [word for place, word in enumerate(command) if place not in dropped]


class Running:
    """A command that runs: stdout in WORK/logs/STAGE.json, stderr in WORK/logs/STAGE.txt."""

    def __init__(self, work: Path, name: str, command: Sequence[str], threads: int):
        logs = work / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self.name, self.run, self.command = name, work / name, command
        self.out, self.messages = logs / f"{name}.json", logs / f"{name}.txt"
        if command[0] == "train" and (self.run / "config.json").is_file():
            command = [*without_settings(command), "--resume"]
        files: list[BinaryIO] = [self.out.open("wb"), self.messages.open("wb")]
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lantu", *command, "--json"],
            stdout=files[0],
            stderr=files[1],
            env={**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"},
            preexec_fn=end_with_parent if sys.platform == "linux" else None,
            # Ctrl-C is the parent's, which asks once for an end: a second signal would cost the checkpoint.
            start_new_session=True,
        )
        for file in files:
            file.close()

    @property
    def steps(self) -> int:
        """Of a training, as its run or else its command says; 0 where neither does."""
        if (config := read(self.run)) is not None:
            return int(config["loop"]["steps"])
        named = [word.removeprefix("loop.steps=") for word in self.command if word.startswith("loop.steps=")]
        return int(named[-1]) if named else 0

    @property
    def warnings(self) -> list[str]:
        """What it warned of so far."""
        lines = self.messages.read_text("utf-8", "replace").splitlines()
        return [line.removeprefix(WARNING) for line in lines if line.startswith(WARNING)]

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.began

    def result(self) -> Any:
        """What it printed as JSON.

        Raises:
            LantuError: it refused something, as its message says.
            RuntimeError: it failed.
        """
        code = self.process.wait()
        lines = self.messages.read_text("utf-8", "replace").strip().splitlines()
        if code == 2:
            raise LantuError(lines[-1].removeprefix("lantu: ") if lines else f"{self.name} was refused")
        if code == -signal.SIGKILL:
            raise LantuError(f"{self.name} was killed from outside", "if memory was short, take a smaller --size")
        if code:
            raise RuntimeError(f"{self.name} failed with code {code}: {self.messages}")
        return json.loads(self.out.read_text(encoding="utf-8"))


def end_with_parent() -> None:
    """Ask Linux to stop this process, with a checkpoint, when its parent is killed."""
    ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGTERM)


def spelt(command: Sequence[str]) -> str:
    """A command of lantu as a person would type it."""
    return shlex.join(["lantu", *command])


def run(
    ledger: Ledger, names: Sequence[str], tell: Tell, cores: int, say: Callable[[str], None] = lambda line: None
) -> None:
    """Run planned stages at the same time, each on its share of the cores; those that are done are left out.

    Args:
        say: called with each command.

    Raises:
        KeyboardInterrupt: one was interrupted; the same call goes on.
        LantuError, RuntimeError: see ``Running.result``; the others are stopped, with a checkpoint.
    """
    wanted = [name for name in names if name not in ledger.done]
    threads = max(1, cores // max(1, len(wanted)))
    before = dict(ledger.seconds)
    running: list[Running] = []
    try:
        for name in wanted:
            say(f"$ {spelt(ledger.commands[name])}")
            running.append(Running(ledger.work, name, ledger.commands[name], threads))
        while running:
            for one in list(running):
                new = one.warnings
                if log := read_log(one.run):
                    more = {"steps": one.steps, "sheet": newest_sheet(one.run), "warnings": new}
                    tell(one.name, {**validated(log), **log[-1], **more})
                if new:
                    ledger.warnings[one.name] = new
                ledger.seconds[one.name] = before.get(one.name, 0.0) + one.seconds
                mark = children_s()
                if one.process.poll() is not None:
                    running.remove(one)
                    ledger.cpu[one.name] = round(ledger.cpu.get(one.name, 0.0) + children_s() - mark, 1)
                    finish(ledger, one)
            time.sleep(POLL_S if running else 0)
    finally:
        for one in running:
            one.process.terminate()
        for one in running:
            one.process.wait()
        ledger.save()


def newest_sheet(run: Path) -> str:
    """The newest sheet of samples of a run; "" if there is none."""
    return str(max((run / "samples").glob("*.png"), default=""))


def children_s() -> float:
    """Seconds of processor time that ended child processes took, with theirs; 0 where the system doesn't tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def finish(ledger: Ledger, one: Running) -> None:
    """Take a stage's result. Raises as ``Running.result``; KeyboardInterrupt where training was interrupted."""
    result = one.result()
    if isinstance(result, Mapping) and result.get("reason") == "interrupted":
        raise KeyboardInterrupt
    ledger.done[one.name] = result
    ledger.save()
