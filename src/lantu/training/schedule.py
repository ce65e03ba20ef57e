"""The learning rate over a run: warm-up, stable, decay (WSD, arXiv:2404.06395)."""

from lantu.training.config import LoopConfig


def factor(step: int, config: LoopConfig) -> float:
    """The rate at ``step`` (from 0) as a share of the peak: a pure function, so a run can be resumed and lengthened."""
    warm = min(1.0, (step + 1) / (config.warmup_steps + 1))
    left = config.steps - step
    decay_steps = config.steps - decay_start(config)
    return warm * (left / (decay_steps + 1) if left <= decay_steps else 1.0)


def decay_start(config: LoopConfig) -> int:
    """The first step of the decay; ``config.steps`` if there is none."""
    return config.steps - round(config.steps * config.decay_fraction)
