"""A client's picture on its way in: decoded once, bounded, reduced to what the model reads, judged."""

import asyncio
from collections.abc import Callable, Sequence

from PIL import Image

from lantu.errors import ImageError
from lantu.models.validation import Size
from lantu.pipeline import Model
from lantu.server import uploads
from lantu.server.service import Service
from lantu.server.uploads import Wanted
from lantu.server.worker.unavailable import Late
from lantu.tokens.vocabulary import MAX_SIDE

JUDGED = 1024  # pixels a side at most of what a judge sees of a client's picture
TOGETHER = 4  # pictures of the largest size that one request may hold


async def opened(
    data: bytes,
    param: str,
    service: Service,
    *,
    alpha: bool = False,
    fit: Size | None = None,
    sizes: Callable[[Size], bool] = lambda size: True,
) -> Image.Image:
    """A client's picture, decoded when no other is, so that many large ones take no more memory than one.

    Args:
        alpha: it is a mask, of which nothing else is seen.
        fit: width and height that it is scaled and cropped to; nothing larger is kept.
        sizes: which it may have without that; others are refused before they are decoded.

    Raises:
        ImageError: it can't be read, or is of another size.
        Refused: it is not to be drawn on.
    """
    judged = service.filter.judge is not None and not alpha
    want = Wanted(param, service.options.max_pixels, alpha, fit, JUDGED if judged else 0)
    size, pixels = await asyncio.to_thread(uploads.size_of, data, want)
    if fit is None and not (sizes(size) or sizes((size[1], size[0]))):  # it may lie on its side
        raise WrongSize(size, service.model)
    try:
        found = await asyncio.wait_for(service.sandbox.reduced(data, want, pixels), service.options.timeout_s)
    except TimeoutError as problem:
        raise Late from problem
    if fit is None and not sizes(found[0].size):
        raise WrongSize(found[0].size, service.model)
    if judged:
        await service.filter.check_upload(found[-1], param)
    return found[0]


class WrongSize(ImageError):
    """A picture is of another size than it may be.

    Attributes:
        size: its width and height.
    """

    def __init__(self, size: Size, model: Model):
        told = "the picture has {}x{} pixels, the model reads {}x{}".format(*size, *model.size)
        super().__init__(told, "scale it, or have it scaled and cropped: fit=true")
        self.size = size


def may_be_ours(size: Size, model: Model) -> bool:
    """Whether the model could draw a picture of that size."""
    return all(side % model.folder.patch == 0 and side <= MAX_SIDE * model.folder.patch for side in size)


async def affordable(files: Sequence[tuple[str, bytes]], service: Service) -> None:
    """Refuse the pictures of a request before the first is decoded, where they are too large all together.

    Args:
        files: the field and the bytes of each; those that are larger than the model reads will be fitted.

    Raises:
        ImageError: they are, or one can't be read.
    """
    most = left = service.options.max_pixels * TOGETHER
    for param, data in files:
        want = Wanted(param, service.options.max_pixels, fit=service.model.size)
        _, pixels = await asyncio.to_thread(uploads.size_of, data, want)
        left -= pixels
        if left < 0:
            message = f"the pictures up to {param} have more than {most // 1_000_000} megapixels in all"
            raise ImageError(message, "scale them down, or send fewer")
