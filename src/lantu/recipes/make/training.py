"""The trainings of ``lantu make``: adopted, measured, planned and run, group by group."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lantu.recipes.make import plan, stages
from lantu.recipes.make.look import Look
from lantu.recipes.make.plan import Sources
from lantu.recipes.make.stages import Ledger, Tell
from lantu.recipes.make.timing import Time, dry_runs
from lantu.training.progress import duration


@dataclass
class Training:
    """All trainings of a model.

    Attributes:
        measure: commands of trainings, threads of each → what ``timing.dry_runs`` returns.
        say: called with lines for a person.
    """

    ledger: Ledger
    found: Look
    sources: Sources
    device: str
    seed: int
    time: Time
    cores: int
    say: Callable[[str], None]
    tell: Tell
    measure: Callable[[Sequence[Sequence[str]], int], Sequence[Mapping[str, Any]]] = dry_runs

    def run(self) -> None:
        """Train all parts in what is left of the time; steps that an earlier call planned stay."""
        waiting = plan.groups(self.sources, self.cores)
        planned = any(part in self.ledger.commands for part in plan.PARTS)
        while waiting:
            names = waiting.pop(0)
            self.adopt(names)
            unplanned = [name for name in names if name not in self.ledger.commands]
            if unplanned:
                bare = [self.bare(name) for name in unplanned]
                self.say(f"measuring a few steps: {', '.join(unplanned)}")
                threads = max(1, self.cores // len(names))
                facts = self.measure(bare, threads)
                if (fitting := self.fitting(unplanned, bare, facts, len(waiting))) != bare:
                    bare, facts = fitting, self.measure(fitting, threads)
                if not plan.fit_together(unplanned, facts, self.device):
                    self.say(f"{' and '.join(names)} don't fit into memory together: trained one after the other")
                    waiting = [[name] for name in names] + waiting
                    continue
                self.time.measured(facts)
                if not planned:
                    self.warn(facts, waiting)
                    planned = True
                self.plan(unplanned, bare, facts, len(waiting))
            if waited := [name for name in names if name not in self.ledger.done]:
                self.say(f"training: {', '.join(waited)} ({duration(self.time.left_s)} left for everything)")
            stages.run(self.ledger, names, self.tell, self.cores, self.say)

    def bare(self, name: str, samples: float | None = None) -> list[str]:
        """A training without its steps, see ``plan.command_of``."""
        return plan.command_of(name, self.found, self.ledger.work, self.device, self.sources, samples)

    def fitting(
        self, names: Sequence[str], bare: Sequence[list[str]], facts: Sequence[Mapping[str, Any]], later: int
    ) -> list[list[str]]:
        """The commands of a group with recipes and sizes that fit the time, by what their dry runs measured."""
        seconds = plan.share(bare, later) * self.time.training_s
        fitting = [
            self.bare(name, plan.affordable(measured, seconds)) for name, measured in zip(names, facts, strict=True)
        ]
        for before, after in zip(bare, fitting, strict=True):
            if before != after and after[1] == "tokenizer":
                self.say("too little time to learn codes for photographs: they are k-means of patches")
            elif before != after:
                self.say(f"the {after[1]} model has the size that learns most in this time: {sizes(after)}")
        return fitting

    def adopt(self, names: Sequence[str]) -> None:
        """Adopt the pretrained parts that a group begins with."""
        named = {"language": self.sources.language, "decoder": self.sources.decoder}
        for name in names:
            if not named.get(name):
                continue
            out = plan.start_of(name, self.ledger.work, self.sources)
            stage, tokenizer = Path(out).name, self.sources.start or str(self.ledger.work / "tokenizer")
            command = ["adopt", name, named[name], "--tokenizer", tokenizer, "--out", out]
            command += ["--size", str(self.found.size)] if name == "decoder" else []
            if stage not in self.ledger.done:
                self.say(f"adopting the {name}: {named[name]}")
            self.ledger.commands.setdefault(stage, command)
            self.ledger.save()
            stages.run(self.ledger, [stage], self.tell, self.cores, self.say)

    def warn(self, facts: Sequence[Mapping[str, Any]], waiting: Sequence[Sequence[str]]) -> None:
        """Say it where the time can't be kept, by what the first group's dry runs took."""
        each = max(float(one["wall_s"]) + plan.least_s(one) for one in facts)
        needed = max(map(plan.least_s, facts)) + len(waiting) * each + self.time.after_s
        if needed > self.time.left_s:
            spent = self.time.total_s - self.time.left_s
            minutes, least = self.time.total_s / 60, math.ceil((spent + needed) / 60)
            self.say(f"--minutes {minutes:g} can't be kept: here this takes about {least} at least")
            self.time.extend(needed)

    def plan(
        self,
        unplanned: Sequence[str],
        bare: Sequence[list[str]],
        facts: Sequence[Mapping[str, Any]],
        later: int,
    ) -> None:
        """Write the commands of a group's trainings into the ledger."""
        seconds = plan.share(bare, later) * self.time.training_s
        for name, command, measured in zip(unplanned, bare, facts, strict=True):
            whole = plan.trained(name, command, self.ledger.work, seconds, measured)
            self.ledger.commands[name] = [*whole, "--seed", str(self.seed)]
        self.ledger.save()


def sizes(command: Sequence[str]) -> str:
    """The sizes that a command sets, for a person."""
    settings = dict(word.split("=", 1) for word in command if "=" in word)
    return ", ".join(f"{name} {settings[name]}" for name in ("width", "layers") if name in settings)
