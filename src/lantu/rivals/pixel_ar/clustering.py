"""A palette by k-means of pixels' colours. Shapes: M pixels, K colours."""

import numpy as np

ROUNDS = 25  # of Lloyd's algorithm
LEVELS = 255


def colours_of(pixels_MC: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The K colours that stand for pixels with the least squared error that k-means finds, rounded to 8 bits.

    The distinct colours of a picture's pixels are few beside its pixels, so each is clustered once, with its number as
    weight. Rounding makes the result the same on machines that add in another order.

    Args:
        pixels_MC: uint8, (M, 3).
        count: K; where there are fewer distinct colours, the last ones repeat.
        seed: of the first colours.

    Returns:
        (K, 3) float32 in [-1, 1].
    """
    distinct, weights = np.unique(pixels_MC, axis=0, return_counts=True)
    values_MC, weights_M = distinct.astype(np.float64), weights.astype(np.float64)
    rng = np.random.default_rng(seed)
    first = rng.choice(len(values_MC), min(count, len(values_MC)), replace=False, p=weights_M / weights_M.sum())
    centres_KC = values_MC[first]
    for _ in range(ROUNDS):
        nearest_M, distance_M = nearest(values_MC, centres_KC)
        total_K = np.bincount(nearest_M, weights_M, len(centres_KC))
        sums = [np.bincount(nearest_M, weights_M * values_MC[:, channel], len(centres_KC)) for channel in range(3)]
        used = total_K > 0
        centres_KC[used] = (np.stack(sums, 1) / np.maximum(total_K, 1)[:, None])[used]
        if missing := int((~used).sum()):  # a colour that stands for nothing takes what is represented worst
            centres_KC[~used] = values_MC[np.argsort(-weights_M * distance_M, kind="stable")[:missing]]
    rounded = np.rint(centres_KC)
    padded = np.concatenate([rounded, np.repeat(rounded[-1:], count - len(rounded), 0)])
    return (padded / LEVELS * 2 - 1).astype(np.float32)


def nearest(values_MC: np.ndarray, centres_KC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest centre of each value (M,), and its squared distance (M,)."""
    distance_MK = (values_MC**2).sum(1)[:, None] + (centres_KC**2).sum(1) - 2 * values_MC @ centres_KC.T
    chosen_M = distance_MK.argmin(1)
    return chosen_M, np.maximum(distance_MK[np.arange(len(values_MC)), chosen_M], 0)
