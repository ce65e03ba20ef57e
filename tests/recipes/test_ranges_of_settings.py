"""Settings of recipes that can't be are refused in one line, before anything is read."""

import types
from typing import Annotated, get_args, get_origin

import pytest
from pydantic import BaseModel

from lantu import recipes
from lantu.errors import RecipeError
from lantu.training.config import override

OWN = [(part, module) for part in recipes.PARTS if part != "rival" for module in recipes.modules(part)]
EITHER_SIGN = {"mean"}  # of noise times


def made(part, name):
    (found,) = (module.RECIPES[name]() for each, module in OWN if each == part and name in module.RECIPES)
    return found


def is_number(kind):
    """Whether a setting's type is a number, or a tuple of numbers."""
    if get_origin(kind) is Annotated:
        return is_number(get_args(kind)[0])
    if get_origin(kind) in (tuple, types.UnionType):
        return any(map(is_number, get_args(kind)))
    return kind in (int, float)


def numbers(recipe, within=""):
    """Dotted name → type of all numbers among a recipe's settings, but those of the loop."""
    found = {}
    for name, field in type(recipe).model_fields.items():
        value = getattr(recipe, name)
        if isinstance(value, BaseModel):
            found |= {} if name == "loop" else numbers(value, f"{within}{name}.")
        elif name not in EITHER_SIGN and is_number(field.annotation):
            found[within + name] = value
    return found


@pytest.mark.parametrize("part", [part for part in recipes.PARTS if part != "rival"])
def test_no_number_may_be_negative(part):
    for recipe in (make() for each, module in OWN if each == part for make in module.RECIPES.values()):
        assert override(recipe, []) == recipe  # what is shipped is in range
        for name, value in numbers(recipe).items():
            wrong = [-1] * max(1, len(value)) if isinstance(value, tuple) else -1
            with pytest.raises(RecipeError, match=rf"{name}.* can't be -1"):
                override(recipe, [f"{name}={wrong}"])


@pytest.mark.parametrize(
    ("part", "recipe", "setting"),
    [
        ("language", "emoji", "captioning=1.5"),
        ("language", "emoji", "dropped=NaN"),
        ("language", "emoji", "width=0"),
        ("language", "emoji", "width=321"),
        ("language", "emoji", "heads=7"),
        ("language", "emoji", "row=-5"),
        ("language", "masked", "width=0"),
        ("language", "masked", "width=200"),
        ("decoder", "adopted", "dropped=3"),
        ("decoder", "adopted", "spoilt=-1"),
        ("decoder", "pretrained_matching", "steps=[]"),
        ("decoder", "pretrained_matching", "steps=[0]"),
        ("decoder", "debug", "width=200"),
        ("decoder", "debug", "mean=Infinity"),
        ("decoder", "debug", "perceptual_weight=Infinity"),
        ("decoder", "lcm_lora", "guidance=[3,1]"),
        ("control", "debug", "times=[1]"),
        ("control", "debug", "times=[]"),
        ("language", "guidance_distillation", "strengths=[]"),
        ("tokenizer", "debug", "model.patch=0"),
        ("tokenizer", "debug", "model.width=200"),
        ("tokenizer", "debug", "judged=2"),
    ],
)
def test_what_is_out_of_range_is_one_line(part, recipe, setting):
    with pytest.raises(RecipeError) as caught:
        override(made(part, recipe), [setting])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_the_command_says_it(lantu):
    code, out, err = lantu("train", "language", "--recipe", "debug", "--data", ".", "--set", "heads=3", "--out", "run")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "heads can't be 3" in err
