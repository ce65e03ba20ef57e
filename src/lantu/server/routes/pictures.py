"""Pictures that a client shows to the model: judged, and known by their codes if the model drew them itself.

A client may write what it likes into a PNG, the hash of its pixels too. Beside a judge, who sees the pixels, no codes
are read that the pixels don't show.
"""

import asyncio
import io
from typing import Any

import numpy as np
from fastapi import Request
from PIL.Image import Image

from lantu import images
from lantu.models.spec import Size
from lantu.pipeline import Model
from lantu.server import uploads
from lantu.server.routes import fields
from lantu.server.routes.intake import WrongSize, may_be_ours, opened
from lantu.server.service import Service, computed
from lantu.server.uploads import Wanted
from lantu.tasks import reader
from lantu.types import Picture


async def shown(data: bytes, param: str, request: Request, service: Service, fit: bool) -> Picture:
    """A client's picture with its codes: those that this model drew it from, or those that it is read as.

    Args:
        fit: scale and crop one of another size; without it such a picture is refused.

    Raises:
        ImageError: it can't be read, or is of another size.
        Refused: it is not to be shown.
    """
    model = service.model
    size, _ = await asyncio.to_thread(uploads.size_of, data, Wanted(param, service.options.max_pixels))
    if fit and not may_be_ours(size, model):  # nothing larger than the model reads is kept
        image = await opened(data, param, service, fit=model.size)
        claim = await asyncio.to_thread(reader.claim, io.BytesIO(data), image, param, model.parts)
        changed = reader.pixels_count(f"{param} was changed since it was drawn")
        drawing, note = None, changed if claim.said else claim.note
    else:
        image = await opened(data, param, service, sizes=lambda size: may_be_ours(size, model))
        seen = await recognised(data, image, param, request, service)
        drawing, note = seen.drawing, seen.note
    if drawing:
        return drawing
    if image.size != model.size and not fit:
        raise WrongSize(image.size, model)
    if note:
        warn(request, note)
    image = images.fit(image, *model.size)
    return Picture(image, await computed(request, service, lambda: model.tokenize(image)))


async def recognised(data: bytes, image: Image, param: str, request: Request, service: Service) -> reader.Seen:
    """Whether this model drew a picture; what takes computing is done on the worker."""
    model, forged = service.model, service.filter.judge is not None
    claim = await asyncio.to_thread(reader.claim, io.BytesIO(data), image, param, model.parts)
    if claim.said is None or (claim.bound and not forged):
        return reader.settle(claim, model.parts)
    return await computed(request, service, lambda: reader.settle(claim, model.parts, forged))


async def judged(codes_hw: np.ndarray, param: str, request: Request, service: Service) -> None:
    """Have the judge see what the codes that a client sends in place of a picture stand for.

    Raises:
        Refused: that is not to be shown.
    """
    if service.filter.judge is not None:
        image = await computed(request, service, lambda: service.model.render(codes_hw, seed=0).image)
        await service.filter.check_upload(image, param)


def warn(request: Request, line: str) -> None:
    """Have the answer say something in its ``warnings``."""
    request.state.warnings = [*warnings(request), line]


def warnings(request: Request) -> list[str]:
    """What the answer is to say beside the pictures."""
    return getattr(request.state, "warnings", [])


def warnings_of(request: Request) -> dict[str, Any]:
    """The answer's field of warnings, where there are some."""
    return {"warnings": found} if (found := warnings(request)) else {}


def asked_size(text: str | None, request: Request, model: Model) -> Size:
    """``fields.read_size``, with a warning where the model draws that size badly."""
    found: list[str] = []
    size = fields.read_size(text, model, found)
    for line in found:
        warn(request, line)
    return size
