"""A task small enough to train in milliseconds; as a script, a run that a test can kill.

python toy_task.py FOLDER key=value …

Where CRASH_AT is set, the last rank dies once at that step, and leaves the file CRASHED.
"""

import os
import sys
from pathlib import Path

import torch
from torch import nn

from lantu.training.task import Task
from lantu.weights import tensors

WIDTH = 8


class Net(nn.Module):
    """Blocks in a ModuleList, a norm, an embedding and a buffer: one of each kind that the loop treats apart."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(4, WIDTH)
        self.blocks = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(2))
        self.norm = nn.LayerNorm(WIDTH)
        self.frozen = nn.Parameter(torch.ones(WIDTH), requires_grad=False)
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def forward(self, x):
        if self.training:
            self.seen += len(x)
        x = x + self.embed.weight.mean(0)
        for block in self.blocks:
            x = x + block(x).tanh()
        return self.norm(x) * self.frozen


class ToyTask(Task):
    """Learn to roll a vector by one place.

    Attributes:
        noise: of the input, drawn from the generator that the loop gives, and of the target, from torch's own.
    """

    flops_per_sample = 6.0 * 2 * WIDTH * WIDTH

    def __init__(self, noise=0.1):
        torch.manual_seed(0)
        self.noise = noise
        self.networks = {"model": Net()}

    def batch(self, step, size):
        return {"x": torch.randn(size, WIDTH, generator=torch.Generator().manual_seed(step))}

    def loss(self, module, batch, step, generator):
        x = batch["x"]
        noisy = x + self.noise * torch.randn(x.shape, generator=generator)
        wanted = x.roll(1, -1) + self.noise * torch.randn_like(x)
        loss = (self.networks["model"](noisy).float() - wanted).square().mean()
        return loss, {"seen": self.networks["model"].seen.clone()}

    def after_step(self, step):
        if step == int(os.environ.get("CRASH_AT", "-1")) and os.environ["RANK"] == "1":
            mark = Path(os.environ["CRASHED"])
            if not mark.exists():
                mark.touch()
                os._exit(9)

    def sample(self, step, folder):
        (folder / f"{step}.txt").write_text(str(self.networks["model"].training))

    def export(self, folder):
        tensors.save(self.networks["model"].state_dict(), folder, dtype=None)


def main() -> None:
    from lantu.training.config import LoopConfig, override
    from lantu.training.loop import train

    folder, *settings = sys.argv[1:]
    noise = 0.0 if "quiet" in settings else 0.1
    config = override(LoopConfig(), [setting for setting in settings if setting != "quiet"])
    train(ToyTask(noise), config, Path(folder), resume=True)


if __name__ == "__main__":
    main()
