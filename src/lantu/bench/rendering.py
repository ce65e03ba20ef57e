"""Engines that run the diffusion decoder on the same weights: each function takes its folder and gives a ``Render``."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lantu.bench import machine
from lantu.bench.peers import Peer

STEPS = 4

Render = Callable[[np.ndarray], Any]  # codes (B, h, w)


def lantu_kernels(folder: Path) -> Render:
    """What ``lantu draw`` does on a CPU."""
    from lantu.diffusion.sample import sample
    from lantu.models.lantu.components import load_decoder

    decoder = load_decoder(folder)
    return lambda codes: sample(decoder, codes, list(range(len(codes))), STEPS)


def diffusers_loop(folder: Path) -> Render:
    """As diffusers' pipelines do it: the network on torch, steps by its scheduler."""
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler

    from lantu.diffusion.samplers import velocity
    from lantu.models.lantu.decoder.network import PixelDecoder
    from lantu.models.lantu.decoder.pytorch import as_decoder

    network = PixelDecoder.load(folder)
    shape = as_decoder(network).noise_shape

    @torch.inference_mode()
    def draw(codes: np.ndarray) -> Any:
        B, height, width = codes.shape
        grid = torch.from_numpy(codes)
        scheduler: Any = FlowMatchEulerDiscreteScheduler()
        scheduler.set_timesteps(sigmas=np.linspace(1, 1 / STEPS, STEPS))
        x = torch.randn(B, *shape(height, width))
        with torch.autocast("cpu", torch.bfloat16, enabled=machine.precision() == "bf16"):
            for step, timestep in enumerate(scheduler.timesteps):
                now = 1 - float(scheduler.sigmas[step])
                clean = network(x, x.new_full((B,), now), grid).float()
                x = scheduler.step(-velocity(clean, x, now), timestep, x).prev_sample
        return x

    return draw


def openvino(folder: Path) -> Render:
    """The network on OpenVINO's CPU runtime, with our loop."""
    import openvino as ov
    import torch

    from lantu.diffusion.decoder import Conditioning
    from lantu.diffusion.sample import sample
    from lantu.models.lantu.decoder.network import PixelDecoder
    from lantu.models.lantu.decoder.pytorch import as_decoder

    network = PixelDecoder.load(folder)
    compiled: dict[tuple[int, ...], Any] = {}

    class Denoiser:
        def to_device(self, array: np.ndarray) -> np.ndarray:
            return array

        def __call__(self, x_t_BCHW: np.ndarray, timestep: float, conditioning: Conditioning) -> np.ndarray:
            codes = conditioning.codes_Bhw
            if codes.shape not in compiled:
                example = (torch.from_numpy(x_t_BCHW), torch.zeros(len(codes)), torch.from_numpy(codes))
                model = ov.convert_model(network, example_input=example, input=[list(each.shape) for each in example])
                hints = {"INFERENCE_PRECISION_HINT": machine.precision(), "PERFORMANCE_HINT": "LATENCY"}
                compiled[codes.shape] = ov.Core().compile_model(model, "CPU", hints).create_infer_request()
            times = np.full(len(codes), timestep, np.float32)
            return compiled[codes.shape].infer([x_t_BCHW, times, codes], share_inputs=True)[0].copy()

    decoder = replace(as_decoder(network), denoiser=Denoiser())
    return lambda codes: sample(decoder, codes, list(range(len(codes))), STEPS)


PEERS: dict[str, Peer[Path, Render]] = {
    "lantu": Peer(lantu_kernels),
    "diffusers loop on torch": Peer(diffusers_loop, ("torch", "diffusers"), warming=10, slower=4),
    "OpenVINO": Peer(openvino, ("openvino", "torch"), warming=10, slower=2),
}
