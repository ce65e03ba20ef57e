"""A ``scheduler_config.json`` of diffusers as a noise schedule and a parameterisation."""

from collections.abc import Mapping
from typing import Any

from lantu.diffusion.schedules import DDPMSchedule, FlowSchedule, NoiseSchedule
from lantu.errors import ModelError

PREDICTIONS = {"sample": "x0", "epsilon": "eps", "v_prediction": "v", "flow_prediction": "flow"}
UNSUPPORTED = ("rescale_betas_zero_snr", "use_dynamic_shifting")


def read_scheduler(config: Mapping[str, Any]) -> tuple[NoiseSchedule, str]:
    """The schedule, and the name of the parameterisation, that a denoiser of diffusers was trained with.

    Raises:
        ModelError: it is of a kind that isn't supported.
    """
    for name in UNSUPPORTED:
        if config.get(name):
            raise ModelError(f"a noise schedule with {name}", "choose a model without it")
    steps = int(config.get("num_train_timesteps", 1000))
    if str(config.get("_class_name", "")).startswith("FlowMatch") or config.get("use_flow_sigmas"):
        shift = float(config.get("shift", config.get("flow_shift", 1.0)))
        return FlowSchedule(train_steps=steps, shift=shift, min_noise=0.0), "flow"
    prediction = config.get("prediction_type", "epsilon")
    if prediction not in PREDICTIONS:
        raise ModelError(f"a denoiser that predicts {prediction!r}", f"one of {', '.join(PREDICTIONS)} is supported")
    return read_betas(config, steps), PREDICTIONS[prediction]


def read_betas(config: Mapping[str, Any], steps: int) -> DDPMSchedule:
    """The schedule that β's of a config make up.

    Raises:
        ModelError: it is of a kind that isn't supported.
    """
    if config.get("trained_betas") is not None:
        return DDPMSchedule.from_betas(config["trained_betas"])
    kind = config.get("beta_schedule", "linear")
    ends = float(config.get("beta_start", 1e-4)), float(config.get("beta_end", 0.02))
    if kind == "linear":
        return DDPMSchedule.linear(steps, *ends)
    if kind == "scaled_linear":
        return DDPMSchedule.scaled_linear(steps, *ends)
    if kind == "squaredcos_cap_v2":
        return DDPMSchedule.cosine(steps)
    raise ModelError(f"a noise schedule called {kind!r}", "linear, scaled_linear and squaredcos_cap_v2 are supported")
