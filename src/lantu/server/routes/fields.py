"""Reads fields of bodies whose valid values depend on the model: sizes, sampling parameters, codes, cells.

Shapes: h w grid.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lantu.diffusion import samplers
from lantu.engine.sampling_params import SamplingParams
from lantu.errors import DataError, ImageError, LantuError
from lantu.models import validation
from lantu.models.spec import Grid, Size
from lantu.models.validation import check_codes
from lantu.pipeline import Model
from lantu.server.http.errors import ApiError


def read_size(text: str | None, model: Model, warn: Callable[[str], None] = lambda warning: None) -> Size:
    """Read a picture's width and height in pixels from "auto", "128x128", or a ratio such as "3:4".

    Args:
        warn: called with a warning if the model draws that size badly.

    Raises:
        ApiError: the text is not a size, or the model can't draw that size.
    """
    if text in (None, "auto"):
        return model.size
    try:
        shape = validation.parse_shape(text)
    except LantuError as problem:
        hint = 'write "auto" or width x height in pixels, e.g. "128x128", or a ratio, e.g. "3:4"'
        raise ApiError(400, f"{problem.message}: {hint}", "invalid_value", "size") from problem
    try:
        size = shape(model.parts.layout)
        warning = model.parts.layout.check_size(size)
    except ImageError as problem:
        raise ApiError(400, str(problem), "invalid_image", "size") from problem
    if warning:
        warn(warning)
    return size


def read_params(model: Model, given: dict[str, Any]) -> SamplingParams:
    """The model's sampling parameters with those that a client gave.

    Raises:
        LantuError: one is out of range, or needs a package that is not installed.
    """
    params = model.folder.settings.change(**given)
    samplers.check(params.sampler)
    return params


def read_codes(model: Model, rows: Sequence[Sequence[Any]]) -> np.ndarray:
    """Read a grid of codes, (h, w) int64, or (h, w, E) of a model that drafts vectors.

    Raises:
        DataError: its rows differ in length, it has codes that are not in the model's codebook, or so many that no
            picture has them.
    """
    if len({len(row) for row in rows}) != 1:
        raise DataError("the rows of codes differ in length", "make them equally long")
    try:
        codes = np.array(rows, np.int64)
    except (TypeError, ValueError) as problem:
        raise DataError("some codes are single, others are lists of unequal length", "make them alike") from problem
    except OverflowError as problem:
        raise DataError("codes can't be that large", "send the codes of a picture drawn by this model") from problem
    codes, layout = check_codes(codes, model.folder), model.parts.layout
    try:
        layout.check_size(layout.size_of(codes.shape[:2]))
    except ImageError as problem:
        (height, width), (own_height, own_width) = codes.shape[:2], model.folder.grid
        what = f"a grid of {width}x{height} codes, the model has {own_width}x{own_height}"
        raise DataError(what, "send the codes of a picture drawn by this model") from problem
    return codes


def read_cells(cells: Sequence[tuple[int, int]], grid: Grid, depth: int = 1) -> np.ndarray:
    """Read cells given by row and column of a code as a mask, (h, w) bool; (h, w/depth) where a cell has several codes.

    Raises:
        DataError: a cell is outside the grid.
    """
    holes = np.zeros(grid, bool)
    for row, column in cells:
        if not (0 <= row < grid[0] and 0 <= column < grid[1]):
            raise DataError(f"there is no cell {row},{column}", f"the grid has {grid[0]} rows and {grid[1]} columns")
        holes[row, column] = True
    return np.asarray(holes.reshape(grid[0], -1, depth).any(2))
