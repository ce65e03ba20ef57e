"""Sizes of lantu's own networks that settings check before anything is built."""

from typing import Annotated

from pydantic import AfterValidator, Field

from lantu.kernels.blocks import heads_of


def divides(width: int) -> int:
    """A width that divides into heads, and each head into the four parts of a two-dimensional rotary embedding.

    Raises:
        ValueError: it is another.
    """
    if width % (4 * heads_of(width)):
        raise ValueError("attention heads can't share it evenly: give a multiple of 64, or a smaller multiple of 4")
    return width


Width = Annotated[int, Field(ge=4), AfterValidator(divides)]
