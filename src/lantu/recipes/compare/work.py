"""Runs the steps of a comparison in processes of their own, as many at a time as there are cores; finished ones stay.

A server forks each process after it has imported what they all need, so that a step begins at once, and its memory is
its own. A step is a function of this package with arguments that pickle; what it returns is kept in DIR/compare.json.
"""

import json
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lantu.errors import LantuError
from lantu.files import write_json
from lantu.recipes.make.stages import POLL_S, Ledger

LEDGER, LOGS = "compare.json", "logs"
PRELOADED = ["lantu.recipes.compare.preloaded"]
INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Step:
    """Something to be done once.

    Attributes:
        name: of its result.
        function: called with the arguments; returns JSON.
        after: names of steps that must be done before.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    after: tuple[str, ...] = ()


@dataclass
class Running:
    """A step in its process: its result in DIR/logs/NAME.json, what it says in DIR/logs/NAME.txt."""

    step: Step
    process: Any
    out: Path
    messages: Path
    began: float = field(default_factory=time.monotonic)

    @classmethod
    def start(cls, step: Step, logs: Path, threads: int) -> "Running":
        """Start it."""
        logs.mkdir(parents=True, exist_ok=True)
        out, messages = logs / f"{step.name}.json", logs / f"{step.name}.txt"
        out.unlink(missing_ok=True)
        known = multiprocessing.get_all_start_methods()
        context: Any = multiprocessing.get_context("forkserver" if "forkserver" in known else "spawn")
        context.set_forkserver_preload(PRELOADED)
        arguments = (step.function, step.arguments, str(out), str(messages), threads)
        process = context.Process(target=work, args=arguments, daemon=False)
        process.start()
        return cls(step, process, out, messages)

    def result(self) -> Any:
        """What it returned.

        Raises:
            LantuError: it refused something, or was killed.
            RuntimeError: it failed.
        """
        self.process.join()
        if not self.out.is_file():
            raise LantuError(f"{self.step.name} was killed from outside", "repeat the call: it goes on from there")
        kept = json.loads(self.out.read_text(encoding="utf-8"))
        if "refused" in kept:
            raise LantuError(*kept["refused"])
        if "failed" in kept:
            raise RuntimeError(f"{self.step.name} failed ({kept['failed']}): {self.messages}")
        return kept["result"]


def work(function: Callable[..., Any], arguments: Sequence[Any], out: str, messages: str, threads: int) -> None:
    """Do a step, in its process."""
    threading.Thread(target=end_with_caller, daemon=True).start()
    if hasattr(os, "setsid"):
        os.setsid()  # Ctrl-C is the parent's, which asks once for an end: a second signal would cost the checkpoint
    text = os.open(messages, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(text, stream)
    import torch

    from lantu.kernels.library import ThreadGroup

    torch.set_num_threads(threads)
    began = time.process_time()
    try:
        with ThreadGroup(threads):
            kept: dict[str, Any] = {"result": function(*arguments)}
    except LantuError as problem:
        kept = {"refused": [problem.message, problem.hint]}
    except KeyboardInterrupt:
        kept = {"result": {"reason": INTERRUPTED}}
    except BaseException as problem:
        traceback.print_exc()
        kept = {"failed": f"{type(problem).__name__}: {problem}"}
    write_json(out, kept | {"cpu_s": round(time.process_time() - began, 2)})


def end_with_caller() -> None:
    """Stop this process, with a checkpoint, when the command that asked for it is killed: its parent is the server."""
    caller = multiprocessing.parent_process()
    if caller is not None:
        caller.join()
        os.kill(os.getpid(), signal.SIGTERM)


def run(ledger: Ledger, steps: Sequence[Step], tell: Callable[[str, int, int], None], cores: int, threads: int) -> None:
    """Do the steps that are not done, each once those before it are.

    Args:
        tell: called with a step's name when it begins or ends, steps done, and in all.
        cores: processes at a time.
        threads: of each.

    Raises:
        KeyboardInterrupt: one was interrupted; the same call goes on.
        LantuError, RuntimeError: see ``Running.result``; the others are stopped, with a checkpoint.
    """
    waiting = {step.name: step for step in steps if step.name not in ledger.done}
    total, running = len({step.name for step in steps}), list[Running]()
    try:
        while waiting or running:
            for one in list(running):
                if not one.process.is_alive():
                    running.remove(one)
                    finish(ledger, one)
                    tell(one.step.name, total - len(waiting) - len(running), total)
            ready = [step for step in waiting.values() if all(name in ledger.done for name in step.after)]
            for step in ready[: cores - len(running)]:
                del waiting[step.name]
                running.append(Running.start(step, ledger.work / LOGS, threads))
                tell(step.name, total - len(waiting) - len(running), total)
            if waiting and not running:
                raise RuntimeError(f"nothing precedes {next(iter(waiting))} that it waits for")
            time.sleep(POLL_S / 5 if running else 0)
    finally:
        for one in running:
            one.process.terminate()
        for one in running:
            one.process.join()


def finish(ledger: Ledger, one: Running) -> None:
    """Take a step's result. Raises as ``run``."""
    result = one.result()
    ledger.seconds[one.step.name] = round(ledger.seconds.get(one.step.name, 0.0) + time.monotonic() - one.began, 1)
    if isinstance(result, Mapping) and result.get("reason") == INTERRUPTED:
        ledger.save()
        raise KeyboardInterrupt
    ledger.done[one.step.name] = result
    ledger.save()
