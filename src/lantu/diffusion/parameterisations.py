"""Parameterisations: what a denoiser predicts, and how that becomes an estimate of the clean picture.

Of a noisy ``x_t = α · x + σ · ε`` a network may be trained to predict

    x0     the clean picture x                          (arXiv:2511.13720)
    eps    the noise ε                                  (arXiv:2006.11239, equation 14)
    v      α · ε - σ · x                                (arXiv:2202.00512, appendix D)
    flow   ε - x, the velocity towards noise            (arXiv:2209.03003, arXiv:2403.03206)

They are equivalent: each can be computed from x_t and any other.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lantu.diffusion.arrays import Array


@dataclass(frozen=True)
class Parameterisation:
    """One kind of prediction.

    Attributes:
        clean: (prediction, x_t, α, σ) → the clean estimate x.
        target: (x, ε, α, σ) → the prediction's target in training.
        min_signal: the smallest α/(α + σ) at which a prediction carries information about the picture.
    """

    clean: Callable[[Array, Array, Array | float, Array | float], Array]
    target: Callable[[Array, Array, Array | float, Array | float], Array]
    min_signal: float = 0.0


X0 = Parameterisation(
    clean=lambda prediction, x_t, alpha, sigma: prediction,
    target=lambda x, noise, alpha, sigma: x,
)
EPS = Parameterisation(
    clean=lambda prediction, x_t, alpha, sigma: (x_t - sigma * prediction) / alpha,
    target=lambda x, noise, alpha, sigma: noise,
    min_signal=1e-3,  # of pure noise the network can predict the noise without knowing the picture
)
V = Parameterisation(
    clean=lambda prediction, x_t, alpha, sigma: (alpha * x_t - sigma * prediction) / (alpha**2 + sigma**2),
    target=lambda x, noise, alpha, sigma: alpha * noise - sigma * x,
)
FLOW = Parameterisation(
    clean=lambda prediction, x_t, alpha, sigma: (x_t - sigma * prediction) / (alpha + sigma),
    target=lambda x, noise, alpha, sigma: noise - x,
)

PARAMETERISATIONS = {"x0": X0, "eps": EPS, "v": V, "flow": FLOW}
