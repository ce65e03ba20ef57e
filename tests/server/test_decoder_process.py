"""The process that decodes pictures may die at any moment, on each event loop that a server may run on."""

import asyncio
import importlib
import io

import numpy as np
import pytest
from PIL import Image

from lantu.errors import ImageError
from lantu.server.sandbox import Sandbox
from lantu.server.uploads import Decoding

DECODING = Decoding("image", 16_000_000)


def loops():
    """asyncio's own, and uvloop's, which comes with ray[serve]."""
    yield asyncio.new_event_loop
    try:
        yield importlib.import_module("uvloop").new_event_loop
    except ImportError:
        return


@pytest.fixture(scope="module")
def picture():
    pixels = np.random.default_rng(0).integers(0, 256, (800, 800, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


@pytest.mark.parametrize("loop", list(loops()), ids=lambda make: make.__module__)
def test_a_dead_decoder_fails_one_picture(loop, picture):
    async def decoded(box):
        (image,) = await box.decode_in_child(picture, DECODING)
        assert image.size == (800, 800)
        return box.child

    async def run():
        box = Sandbox()
        (await decoded(box)).kill()  # before it is asked, and before anyone knows
        with pytest.raises(ImageError, match="its decoder crashed"):
            await decoded(box)
        for seconds in (0, 0.001, 0.01):  # while it is asked, or decodes
            await decoded(box)
            asking = asyncio.create_task(decoded(box))
            await asyncio.sleep(seconds)
            box.child.kill()
            with pytest.raises(ImageError, match="its decoder crashed"):
                await asking
        child = await decoded(box)
        child.kill()
        await child.wait()
        await decoded(box)  # by another
        child = box.child
        child.kill()
        await child.wait()
        await box.end()
        await box.end()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())
