"""Pictures that clients send: decoded once, within limits, judged, and recognised if the model drew them.

A PNG that the model drew contains its codes, which are used instead of encoding its pixels. But a client may write
anything into a PNG, including the hash of its pixels. When there is a judge, which sees only the pixels, codes are
therefore used only if they render to these pixels.
"""

import asyncio
import io
from collections.abc import Callable, Sequence

import numpy as np
from fastapi import Request
from PIL import Image

from lantu import images
from lantu.errors import ImageError
from lantu.models.spec import Size
from lantu.models.validation import as_drawn
from lantu.pipeline import Model
from lantu.server import uploads
from lantu.server.routes.warnings import warn
from lantu.server.service import Service, call_on_worker
from lantu.server.uploads import Decoding
from lantu.server.worker.unavailable import DeadlineExceeded
from lantu.tasks import reader
from lantu.types import MASK_CODE, Picture

JUDGE_SIDE = 1024  # the most pixels per side that the judge sees of a client's picture
MAX_LARGEST = 4  # pictures of the largest size that one request may contain


class WrongSizeError(ImageError):
    """A picture has a size that is not accepted.

    Attributes:
        size: its width and height.
    """

    def __init__(self, size: Size, model: Model):
        message = "the picture has {}x{} pixels, but the model reads {}x{}".format(*size, *model.size)
        super().__init__(message, "scale it, or have it scaled and cropped: fit=true")
        self.size = size


async def open_picture(
    data: bytes,
    param: str,
    service: Service,
    *,
    alpha: bool = False,
    fit: Size | None = None,
    accepts: Callable[[Size], bool] = lambda size: True,
) -> Image.Image:
    """Decode a client's picture, and have it judged.

    Pictures are decoded one at a time, so that many large ones take no more memory than one.

    Args:
        param: the field that contains it, for errors.
        alpha: it is a mask: RGBA, and not judged.
        fit: width and height to scale and crop it to.
        accepts: whether a size is accepted; without ``fit`` others are refused before they are decoded.

    Raises:
        ImageError: it can't be read.
        WrongSizeError: its size is not accepted.
        Refused: the judge refuses it.
        DeadlineExceeded: decoding took too long.
    """
    judged = service.filter.judge is not None and not alpha
    decoding = Decoding(param, service.options.max_pixels, alpha, fit, JUDGE_SIDE if judged else 0)
    size, pixels = await asyncio.to_thread(uploads.size_of, data, decoding)
    if fit is None and not (accepts(size) or accepts((size[1], size[0]))):  # its orientation is not known yet
        raise WrongSizeError(size, service.model)
    try:
        decoded = await asyncio.wait_for(service.sandbox.decode(data, decoding, pixels), service.options.timeout_s)
    except TimeoutError as problem:
        raise DeadlineExceeded from problem
    if fit is None and not accepts(decoded[0].size):
        raise WrongSizeError(decoded[0].size, service.model)
    if judged:
        await service.filter.check_upload(decoded[-1], param)
    return decoded[0]


def can_draw(size: Size, model: Model) -> bool:
    """Whether the model could have drawn a picture of that size."""
    try:
        model.parts.layout.grid_of(size)
    except ImageError:
        return False
    return True


def belongs(found: Size, size: Size, model: Model) -> bool:
    """Whether a mask or a control of one size belongs to a picture of another: to an equal one, or an enlarged one."""
    factor = getattr(model.parts.layout, "factor", 1)
    return found == size or (found[0] * factor, found[1] * factor) == size


async def check_total_size(files: Sequence[tuple[str, bytes]], service: Service) -> None:
    """Check the total size of a request's pictures before the first one is decoded.

    Args:
        files: for each picture its field and its bytes.

    Raises:
        ImageError: they have too many pixels, or one can't be read.
    """
    limit = left = service.options.max_pixels * MAX_LARGEST
    for param, data in files:
        decoding = Decoding(param, service.options.max_pixels, fit=service.model.size)
        _, pixels = await asyncio.to_thread(uploads.size_of, data, decoding)
        left -= pixels
        if left < 0:
            message = f"the pictures up to {param} have more than {limit // 1_000_000} megapixels in total"
            raise ImageError(message, "scale them down, or send fewer")


async def read_picture(data: bytes, param: str, request: Request, service: Service, fit: bool) -> Picture:
    """A client's picture with its codes: those that this model drew it from, or else those that its pixels encode to.

    Args:
        param: the field that contains it, for errors.
        fit: whether to scale and crop a picture of another size than the model's, which is otherwise refused.

    Raises:
        ImageError: it can't be read, or has another size.
        Refused: the judge refuses it.
    """
    model = service.model
    size, _ = await asyncio.to_thread(uploads.size_of, data, Decoding(param, service.options.max_pixels))
    if fit and not can_draw(size, model):  # keep nothing larger than the model reads
        image = await open_picture(data, param, service, fit=model.size)
        claim = await asyncio.to_thread(reader.claim, io.BytesIO(data), image, param, model.parts)
        changed = reader.pixels_count(f"{param} was changed since it was drawn")
        drawing, note = None, changed if claim.said else claim.note
    else:
        image = await open_picture(data, param, service, accepts=lambda size: can_draw(size, model))
        recognised = await recognise(data, image, param, request, service)
        drawing, note = recognised.drawing, recognised.note
    if drawing and (drawing.codes != MASK_CODE).all():  # else it was drawn from the first codes alone
        return drawing
    image = as_drawn(image, model.parts.layout)
    if image.size != model.size and not fit:
        raise WrongSizeError(image.size, model)
    if note:
        warn(request, note)
    image = images.fit(image, *model.size)
    return Picture(image, await call_on_worker(request, service, lambda: model.tokenize(image)))


async def read_pictures(
    urls: Sequence[str], param: str, request: Request, service: Service, fit: bool
) -> list[Picture]:
    """Several pictures of one request, each as ``read_picture`` gives it.

    Raises:
        ImageError, Refused: see ``read_picture``, or they have too many pixels in total.
    """
    named = [f"{param}.{place}" for place in range(len(urls))]
    files = [
        (name, await asyncio.to_thread(uploads.from_url, url, name)) for name, url in zip(named, urls, strict=True)
    ]
    await check_total_size(files, service)
    return [await read_picture(data, name, request, service, fit) for name, data in files]


async def recognise(data: bytes, image: Image.Image, param: str, request: Request, service: Service) -> reader.Seen:
    """Find out whether this model drew a picture; rendering its codes, if necessary, is done by the worker.

    Args:
        data: the picture's file.
        image: the picture, decoded.
    """
    model, forged = service.model, service.filter.judge is not None
    claim = await asyncio.to_thread(reader.claim, io.BytesIO(data), image, param, model.parts)
    if claim.said is None or (claim.bound and not forged):
        return reader.settle(claim, model.parts)
    return await call_on_worker(request, service, lambda: reader.settle(claim, model.parts, forged))


async def judge_codes(codes_hw: np.ndarray, param: str, request: Request, service: Service) -> None:
    """Have the judge see the picture of codes that a client sends.

    Raises:
        Refused: the judge refuses it.
    """
    if service.filter.judge is not None:
        model = service.model
        image = await call_on_worker(request, service, lambda: model.render(codes_hw, seed=0).image)
        await service.filter.check_upload(image, param)
