"""Fields of a body that need the model to be read: sizes, sampling parameters, codes, cells.

Shapes: h w grid.
"""

from collections.abc import Sequence
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


def read_size(text: str | None, model: Model, warnings: list[str]) -> Size:
    """ "auto" or "128x128" → width and height in pixels.

    Args:
        warnings: where one is added if the model draws that size badly.

    Raises:
        ApiError: it is neither, no picture has that size, or the model draws nothing sensible of it.
    """
    if text in (None, "auto"):
        return model.size
    try:
        size = validation.parse_size(text)
    except LantuError as problem:
        hint = 'write "auto" or width x height in pixels, e.g. "128x128"'
        raise ApiError(400, f"{problem.message}: {hint}", "invalid_value", "size") from problem
    try:
        warning = model.parts.layout.check_size(size)
    except ImageError as problem:
        raise ApiError(400, str(problem), "invalid_image", "size") from problem
    if warning:
        warnings.append(warning)
    return size


def read_params(model: Model, given: dict[str, Any]) -> SamplingParams:
    """The model's sampling parameters, changed.

    Raises:
        LantuError: one is out of range, or needs a package that is not installed.
    """
    params = model.folder.settings.change(**given)
    samplers.check(params.sampler)
    return params


def read_codes(model: Model, rows: list[list[int]]) -> np.ndarray:
    """A client's grid, (h, w) int64.

    Raises:
        DataError: it is none, or has codes that the model doesn't know.
    """
    if len({len(row) for row in rows}) != 1:
        raise DataError("the rows of codes are not of one length", "give a grid")
    try:
        return check_codes(np.array(rows, np.int64), model.folder.codebook_size)
    except OverflowError as problem:
        raise DataError("there are no codes that large", "give the codes of a picture made by this model") from problem


def read_cells(cells: Sequence[tuple[int, int]], grid: Grid) -> np.ndarray:
    """Cells by row and column as (h, w) bool.

    Raises:
        DataError: one is not in the grid.
    """
    holes = np.zeros(grid, bool)
    for row, column in cells:
        if not (0 <= row < grid[0] and 0 <= column < grid[1]):
            raise DataError(f"there is no cell {row},{column}", f"the grid has {grid[0]} rows of {grid[1]}")
        holes[row, column] = True
    return holes
