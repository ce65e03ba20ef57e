"""The full sizes of all systems, built and not trained: parameters are within the rule, with a margin.

Recipes whose networks don't depend on the size of pictures are opened on pictures of 32 pixels.
"""

import random
import string

import pytest

from lantu.features.efficientnet import EfficientNetLite0
from lantu.models.lantu.tokenizer.quantizer import Quantizer
from lantu.recipes.compare import planning, rule, systems
from lantu.recipes.compare.planning import Asked
from lantu.tokens import bpe
from lantu.training import flops

MARGIN = 0.6 * rule.MAX_PARAMETERS_APART  # captions of other data change sizes a little


def words(count):
    """Texts of which a BPE makes as many ids as it may."""
    chance = random.Random(0)
    return ["".join(chance.choices(string.ascii_lowercase, k=8)) for _ in range(count)]


@pytest.fixture(scope="module")
def counted(scene_data):
    """Parameters by the longest vocabularies; operations, which take minutes, are not counted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flops, "counted", lambda work: 1.0)
        patch.setattr("lantu.features.lpips.load_lpips", lambda *name: None)
        for place in ("lantu.features.efficientnet", "lantu.rivals.continuous.vision"):
            patch.setattr(f"{place}.load_efficientnet", EfficientNetLite0)
        patch.setattr(Quantizer, "is_set", True)  # no batch is quantised that would set the codebook
        train, texts = bpe.train, words(3000)
        patch.setattr(bpe, "train", lambda captions, size: train(texts, size))
        yield planning.count(Asked(str(scene_data), 1e13, tuple(systems.SYSTEMS)))


def test_parameters_are_within_the_rule_with_a_margin(counted):
    def total(system):
        return sum(counted[planning.code_of(part)]["parameters"] for part in system.parts)

    sizes = {system.name: total(system) for system in systems.chosen(systems.SYSTEMS)}
    for names in (systems.USUAL, tuple(systems.SYSTEMS)):
        assert list(rule.apart("parameters", {name: sizes[name] for name in names}, MARGIN)) == []
    assert min(sizes.values()) > 16e6
