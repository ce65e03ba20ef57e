"""A gallery of coloured shapes, scenes made of them, and generators that answer well or badly."""

import numpy as np
import torch
from torch.nn.functional import avg_pool2d

from lantu.evaluation.trial import Trial
from lantu.types import Placed

CONCEPTS = ("disc", "square", "ring", "cross", "wedge")
STYLES = {"red": (220, 40, 40), "blue": (40, 60, 200)}
LABELS = [(concept, style) for concept in CONCEPTS for style in STYLES]
SIZE = 64


class ToyNetwork:
    """Sees averages of the pixels."""

    def maps(self, pixels):
        return avg_pool2d(pixels, 16)

    def deep(self, maps):
        return avg_pool2d(maps, 2).clamp(0)


def sprite(concept, style):
    """(48, 48, 4) uint8 RGBA."""
    y, x = np.mgrid[-1:1:48j, -1:1:48j]
    shape = {
        "disc": x**2 + y**2 < 0.8,
        "square": np.maximum(abs(x), abs(y)) < 0.85,
        "ring": (x**2 + y**2 < 0.9) & (x**2 + y**2 > 0.4),
        "cross": (abs(x) < 0.25) | (abs(y) < 0.25),
        "wedge": (y > 2 * abs(x) - 0.9) & (y < 0.9),
    }[concept]
    return np.dstack([*(np.full_like(x, value) for value in STYLES[style]), 255 * shape]).astype(np.uint8)


def compose(objects):
    """(64, 64, 3) uint8 on white."""
    from PIL import Image

    image = Image.new("RGB", (SIZE, SIZE), "white")
    for placed in objects:
        x0, y0, x1, y1 = (round(edge * SIZE) for edge in placed.box)
        drawing = Image.fromarray(sprite(placed.concept, placed.style)).resize((x1 - x0, y1 - y0))
        image.paste(drawing, (x0, y0), drawing)
    return np.array(image)


def trial(suite, objects, key="0", language="en", prompt=None, **more):
    placed = tuple(Placed(*item) for item in objects)
    words = tuple((item.concept,) for item in placed)
    prompt = prompt or " and ".join(item.concept for item in placed)
    return Trial(suite, prompt, language, placed, compose(placed), key, words, **more)


LEFT, RIGHT = (0.0, 0.25, 0.5, 0.75), (0.5, 0.25, 1.0, 0.75)
TOP, BOTTOM = (0.25, 0.0, 0.75, 0.5), (0.25, 0.5, 0.75, 1.0)


class Painter:
    """Knows the true answer to each prompt of some trials; rebuilds pictures exactly."""

    def __init__(self, trials):
        self.answers = {trial.prompt: trial for trial in trials}
        self.seeds = []

    def draw(self, prompts, seeds):
        self.seeds += seeds
        return np.stack([self.answers[prompt].image for prompt in prompts])

    def caption(self, images, language):
        return [self.find(image).prompt for image in images]

    def caption_drawn(self, prompts, seeds, language):
        return self.caption(self.draw(prompts, seeds), language)

    def reconstruct(self, images):
        return images.copy()

    def find(self, image):
        return next(trial for trial in self.answers.values() if np.array_equal(trial.image, image))


class Vandal(Painter):
    """Draws, reads and rebuilds nothing."""

    def draw(self, prompts, seeds):
        return np.full((len(prompts), SIZE, SIZE, 3), 255, np.uint8)

    def caption(self, images, language):
        return [""] * len(images)

    def reconstruct(self, images):
        return np.full_like(images, 255)


def manual_measure(first, second):
    """A perceptual distance: the mean difference."""
    return (first - second).abs().mean((1, 2, 3))


def describe(pixels):
    return torch.cat([pixels.mean((2, 3)), pixels.amax((2, 3))], 1)
