"""A ``scheduler_config.json`` of diffusers as a noise schedule and a parameterisation."""

from collections.abc import Mapping
from typing import Any

from lantu.diffusion.schedules import DDPMSchedule, DynamicShift, FlowSchedule, NoiseSchedule
from lantu.errors import ModelError
from lantu.files.untrusted import Fields, shown

MAX_STEPS = 100_000
BETAS = {"beta_start": 1e-4, "beta_end": 0.02}  # and their usual values

PREDICTIONS = {"sample": "x0", "epsilon": "eps", "v_prediction": "v", "flow_prediction": "flow"}
UNSUPPORTED = ("rescale_betas_zero_snr", "shift_terminal", "invert_sigmas")
# Schedulers are samplers; all of these share the noise schedules that are read here.
KNOWN = {
    *("DDPM", "DDIM", "PNDM", "LCM", "TCD", "LMSDiscrete", "EulerDiscrete", "EulerAncestralDiscrete", "HeunDiscrete"),
    *("KDPM2Discrete", "KDPM2AncestralDiscrete", "DPMSolverMultistep", "DPMSolverSinglestep", "DPMSolverSDE"),
    *("DEISMultistep", "UniPCMultistep", "FlowMatchEulerDiscrete", "FlowMatchHeunDiscrete"),
}


def read_scheduler(config: Mapping[str, Any]) -> tuple[NoiseSchedule, str]:
    """The schedule, and the name of the parameterisation, that a denoiser of diffusers was trained with.

    Raises:
        ModelError: it is of a kind that isn't supported.
    """
    fields = Fields(config, "scheduler_config.json")
    name = config.get("_class_name", "DDPMScheduler")
    if not isinstance(name, str) or name.removesuffix("Scheduler") not in KNOWN:
        raise ModelError(f"a noise schedule of the class {shown(name)}", f"known are {', '.join(sorted(KNOWN))}")
    for entry in UNSUPPORTED:
        if config.get(entry):
            raise ModelError(f"a noise schedule with {entry}", "choose a model without it")
    if config.get("timestep_type", "discrete") != "discrete":
        fields.refuse("timestep_type", "discrete")
    steps = fields.whole("num_train_timesteps", 2, MAX_STEPS) if "num_train_timesteps" in config else 1000
    if fields.flag("use_flow_sigmas") or name.startswith("FlowMatch"):
        return read_flow(fields, steps), "flow"
    prediction = fields.one_of("prediction_type", list(PREDICTIONS)) if "prediction_type" in config else "epsilon"
    return read_betas(fields, steps), PREDICTIONS[prediction]


def read_flow(fields: Fields, steps: int) -> FlowSchedule:
    """The schedule of a flow: a fixed shift, or one that depends on the picture's size. Raises ModelError."""

    def number(name: str, default: float, least: float = -100.0, most: float = 100.0) -> float:
        return fields.real(name, least, most) if name in fields.values else default

    if fields.flag("use_dynamic_shifting"):
        least, most = number("base_shift", 0.5), number("max_shift", 1.15)
        few, many = number("base_image_seq_len", 256, 1, 1e9), number("max_image_seq_len", 4096, 1, 1e9)
        shifts = ("exponential", "linear")
        linear = "time_shift_type" in fields.values and fields.one_of("time_shift_type", shifts) == "linear"
        if many <= few or (linear and least <= 0):
            fields.refuse("max_image_seq_len", f"more than {few:g}")
        dynamic = DynamicShift(least, most, int(few), int(many), linear)
        return FlowSchedule(train_steps=steps, min_noise=0.0, dynamic=dynamic)
    shift = number("shift", number("flow_shift", 1.0, 0.001), 0.001)
    return FlowSchedule(train_steps=steps, shift=shift, min_noise=0.0)


def read_betas(fields: Fields, steps: int) -> DDPMSchedule:
    """The schedule that β's of a config make up.

    Raises:
        ModelError: it is of a kind that isn't supported.
    """
    if fields.given("trained_betas"):
        return DDPMSchedule.from_betas(fields.reals("trained_betas", 1e-12, 1 - 1e-6))
    ends = [fields.real(name, 1e-9, 0.999) if name in fields.values else usual for name, usual in BETAS.items()]
    kinds = ("linear", "scaled_linear", "squaredcos_cap_v2")
    kind = fields.one_of("beta_schedule", kinds) if "beta_schedule" in fields.values else "linear"
    if kind == "squaredcos_cap_v2":
        return DDPMSchedule.cosine(steps)
    return DDPMSchedule.linear(steps, *ends) if kind == "linear" else DDPMSchedule.scaled_linear(steps, *ends)
