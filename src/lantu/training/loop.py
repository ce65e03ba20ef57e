"""The training loop of every recipe.

    RUN/config.json     the settings
    RUN/log.jsonl       one line every ``log_every`` steps; RUN/tensorboard has the same values
    RUN/samples/        samples of the task
    RUN/checkpoints/    see ``checkpoint``
    RUN/model/          the task's export, with the EMA weights; of the best checkpoint where the last one is worse
    RUN/last/           the last one's export, where it is worse

A run that is resumed after a kill at any moment continues with exactly the losses of an unbroken run: batches, all
randomness and the learning rate are pure functions of the step. A run that is resumed with a larger ``steps`` is
lengthened: it continues from the end of the stable phase, since a network whose learning rate has decayed learns
badly when trained further.
"""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lantu import files
from lantu.errors import RecipeError
from lantu.training import checkpoint
from lantu.training.checkpoint import State
from lantu.training.clock import Clock
from lantu.training.config import LoopConfig
from lantu.training.device import choose_device
from lantu.training.distributed import joined
from lantu.training.feeding import feed, workers_for
from lantu.training.logs import Log, Record, Window, read_log
from lantu.training.progress import Progress, make_progress
from lantu.training.schedule import decay_start, factor
from lantu.training.stop import Stop
from lantu.training.task import Task
from lantu.training.trainer import Trainer
from lantu.training.validation import PREFIX, Best, Watch

MODEL, LAST = "model", "last"  # exports of a run


@dataclass(frozen=True)
class Summary:
    """How a run ended.

    Attributes:
        folder: of the run.
        reason: "finished" (also where validation no longer became better), "interrupted" (Ctrl-C, SIGTERM) or "time"
            (``minutes``); the latter two can be resumed.
        step, steps: updates done, and in all.
        skipped: updates lost to a gradient that was not finite.
        train_s: seconds of training, over all sessions.
        last: the last line of the log, if one was written.
    """

    folder: Path
    reason: str
    step: int
    steps: int
    skipped: int
    train_s: float
    last: Record


def train(
    task: Task,
    config: LoopConfig,
    folder: str | Path,
    *,
    resume: bool = False,
    progress: bool = True,
    options: Mapping[str, Any] | None = None,
) -> Summary:
    """Train ``task`` until its last step, a signal or the end of its time, and write a checkpoint.

    Args:
        config: with ``in_time`` its steps, and so its decay, are changed where time is short.
        folder: of the run; created if it does not exist.
        resume: continue from its newest checkpoint, or begin if there is none.
        progress: show it on stderr.
        options: the content of config.json; ``config`` alone if not given.

    Raises:
        RecipeError: there is a run in ``folder`` already and ``resume`` is off; the checkpoint does not fit; there is
            no such device; gradients have not been finite for many updates.
        DiskError: a file can't be written.
    """
    folder = Path(folder)
    device = choose_device(config.device)
    checkpoints = folder / "checkpoints"
    if checkpoint.resumable(checkpoints) and not resume:
        raise RecipeError(f"there is a run in {folder} already", "resume it with --resume, or choose another folder")
    with joined(device, config.tensor_parallel) as ranks:
        trainer = Trainer(task, config, device, ranks)
        display = make_progress(config.steps, progress and ranks.first)
        try:
            return Run(trainer, folder, display, options or config.model_dump()).run()
        finally:
            display.close()


class Run:
    """The files, the clock and the display of a run."""

    def __init__(self, trainer: Trainer, folder: Path, progress: Progress, options: Mapping[str, Any]):
        self.trainer, self.folder, self.progress, self.options = trainer, folder, progress, options
        self.config, self.ranks = trainer.config, trainer.ranks
        self.checkpoints = folder / "checkpoints"
        self.step = self.first = 0
        self.clock = Clock(0)
        self.window = Window()
        self.last: Record = {}
        self.best, self.watch = Best(), Watch(self.config.patience)

    def run(self) -> Summary:
        """Train to the end and export."""
        self.begin()
        with Stop(self.config.minutes) as stop, self.open_log() as log:
            reason = self.updates(stop, log)
        self.finish(reason)
        skipped, train_s = self.trainer.skipped, round(self.clock.train_s, 3)
        return Summary(self.folder, reason, self.step, self.config.steps, skipped, train_s, self.last)

    def begin(self) -> None:
        """Continue from a checkpoint, if there is one."""
        # Before the hours of training, not after them.
        for name in (MODEL, LAST):
            files.check_folder(self.folder / name, self.trainer.task.exported)
        found = checkpoint.choose(self.checkpoints, self.config)
        if found:
            path, state = found
            checkpoint.restore(path, self.trainer.modules)
            self.step = state.step
            self.clock = Clock(self.step, state.train_s)
            self.window, self.best = Window(state.window), Best(**state.best)
            self.last = next((line for line in reversed(read_log(self.folder)) if line["step"] <= self.step), {})
            self.trainer.skipped, self.trainer.skipped_in_row = state.skipped, state.skipped_in_row
            self.progress.say(f"resumed at step {self.step} of {self.config.steps}")
        self.ranks.wait()
        if self.ranks.first:
            checkpoint.clean(self.checkpoints, self.step)
            files.write_json(self.folder / "config.json", self.options)

    def open_log(self) -> contextlib.AbstractContextManager[Log | None]:
        """The log, on the rank that writes it."""
        return Log(self.folder, self.step) if self.ranks.first else contextlib.nullcontext()

    def updates(self, stop: Stop, log: Log | None) -> str:
        """Make the remaining updates; returns why they ended."""
        config, ranks = self.config, self.ranks
        saved, self.first = time.monotonic(), self.step
        self.clock.start()
        task, sizes = self.trainer.task, (config.batch_size, config.accumulate, self.step, config.steps)
        workers = workers_for(config.workers, self.trainer.device, task, ranks.world)
        with feed(task, *sizes, ranks.data_rank, ranks.data_world, workers) as batches:
            while self.step < config.steps:
                if self.stuck:
                    self.progress.say(f"no better validation since step {self.best.step:,}: stopped early")
                    break
                with self.clock.waiting():
                    taken = batches.take()
                self.window.add(self.trainer.update(self.step, taken))
                self.step += 1
                self.clock.tick()
                self.progress.step(self.step)
                self.keep_time(stop)
                metrics = self.validate()
                if metrics or self.step % config.log_every == 0 or self.step == config.steps:
                    self.write(log, metrics)
                stops = ranks.any(bool(stop.reason)) and self.step < config.steps
                due = ranks.any(time.monotonic() - saved >= config.checkpoint_every_s)
                with self.clock.paused():
                    self.at_milestones()
                    if stops or due or self.step == config.steps or self.stuck:
                        self.save(checkpoint.name_of(self.step))
                        saved = time.monotonic()
                if stops:
                    reason = stop.reason or "interrupted"
                    self.progress.say(f"stopped at step {self.step} ({reason}); continue with --resume")
                    return reason
        return "finished"

    def keep_time(self, stop: Stop) -> None:
        """Let the decay begin now, if it is to end in time and no more than its share of the time is left."""
        config = self.config
        if not config.in_time or config.minutes is None or self.step >= decay_start(config):
            return
        if not self.ranks.any(stop.left_s <= 60 * config.minutes * config.decay_fraction):
            return
        affordable = stop.left_s * (self.step - self.first) / stop.spent_s
        left = max(1, int(self.ranks.mean([affordable])[0] or 0))
        planned, config.steps = config.steps, self.step + left
        config.decay_fraction = left / config.steps  # the optimizers read the same settings
        changed = {"steps": config.steps, "decay_fraction": config.decay_fraction}
        loop = {"loop": {**self.options["loop"], **changed}} if "loop" in self.options else changed
        self.options = {**self.options, **loop}
        if self.ranks.first:
            files.write_json(self.folder / "config.json", self.options)
        what = f"{config.steps:,} steps instead of {planned:,}, and the rate decays from here"
        self.progress.say(f"updates are slower than planned: {what}")

    @property
    def stuck(self) -> bool:
        """Whether validation has not become better for as long as the run waits."""
        return 0 < self.config.patience <= self.best.stale

    def at_milestones(self) -> None:
        """Samples and checkpoints that are due at certain steps."""
        config = self.config
        if config.sample_every and self.step % config.sample_every == 0 and self.step < config.steps:
            self.sample()
        if self.step == decay_start(config) < config.steps:
            self.save(checkpoint.BEFORE_DECAY)

    def validate(self) -> Record:
        """Validation metrics where they are due, {} elsewhere; the best checkpoint is kept."""
        every = self.config.validate_every
        if not every or (self.step % every and self.step != self.config.steps):
            return {}
        with self.clock.paused():
            metrics = self.trainer.validate(self.config.validated)
            if metrics and self.best.see(metrics["loss"], self.step):
                self.save(checkpoint.BEST)
        return {PREFIX + name: value for name, value in metrics.items()}

    def write(self, log: Log | None, validated: Record) -> None:
        """Write a line of the log, over the window that ends here."""
        config = self.config
        means = self.window.means()
        means = dict(zip(means, self.ranks.mean(list(means.values())), strict=True))
        waiting = self.clock.waited_share
        rate = self.clock.read(self.step)
        samples_per_s = rate * config.batch_size * config.accumulate * self.ranks.data_world
        record: Record = {"step": self.step, "lr": config.lr * factor(self.step - 1, config), **means}
        record |= {"skipped": self.trainer.skipped, "samples_per_s": samples_per_s}
        if flops := self.trainer.task.flops_per_sample:
            record["gflop_per_s"] = samples_per_s * flops / 1e9
        record |= {"waiting": waiting, **validated, "left_s": (config.steps - self.step) / rate}
        self.last = {name: float(f"{v:.6g}") if isinstance(v, float) else v for name, v in record.items()}
        if log:
            log.write(self.last)
        self.progress.record(self.last)
        for warning in self.watch.see(self.last, self.best, self.step > config.warmup_steps):
            self.progress.warn(warning)

    def save(self, name: str) -> None:
        """Write a checkpoint."""
        state = State(
            step=self.step,
            steps=self.config.steps,
            stable_until=decay_start(self.config),
            skipped=self.trainer.skipped,
            skipped_in_row=self.trainer.skipped_in_row,
            window=self.window.read(),
            train_s=self.clock.train_s,
            best=asdict(self.best),
        )
        checkpoint.save(self.checkpoints, name, self.trainer.modules, state, self.ranks, self.config.kept)

    def sample(self) -> None:
        """Let the task write samples; sharded networks can't."""
        if self.ranks.world == 1:
            folder = self.folder / "samples"
            with files.writing(folder), self.trainer.averaged():
                folder.mkdir(parents=True, exist_ok=True)
                self.trainer.task.sample(self.step, folder)

    def finish(self, reason: str) -> None:
        """Sample (unless interrupted: then a person waits for the end) and export the current state."""
        if reason != "interrupted":
            self.sample()
        if self.ranks.world > 1:
            return
        if self.has_worsened():
            self.export(LAST)
            checkpoint.restore(self.checkpoints / checkpoint.BEST, self.trainer.modules)
            self.progress.say(f"exported as it was at step {self.best.step:,}, where the validation loss was least")
        elif (self.folder / LAST).exists():  # of a shorter run
            files.discard(self.folder / LAST, self.trainer.task.exported)
        self.export(MODEL)

    def has_worsened(self) -> bool:
        """Whether the last state is worse than the best checkpoint on validation samples."""
        last = self.last.get(f"{PREFIX}loss")
        if last is None or self.last["step"] != self.step or not self.best.beats(last):
            return False
        return (self.checkpoints / checkpoint.BEST).is_dir()

    def export(self, name: str) -> None:
        """Write the task's export, with the EMA weights."""
        with self.trainer.averaged(), files.replacing_folder(self.folder / name, self.trainer.task.exported) as place:
            place.mkdir()
            self.trainer.task.export(place)
