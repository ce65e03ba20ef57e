"""Streams that end before their events do."""

import asyncio
import gc

from lantu.server.subscription import with_keep_alive
from lantu.server.worker.unavailable import DeadlineExceeded


def test_an_error_after_the_client_left_is_not_reported_as_forgotten():
    forgotten, reading = [], []

    async def events():
        await asyncio.sleep(0)
        reading[0].cancel()  # the client leaves just when the error comes
        raise DeadlineExceeded
        yield

    async def leave():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: forgotten.append(context))
        reading.append(asyncio.ensure_future(anext(with_keep_alive(events()))))
        await asyncio.gather(*reading, return_exceptions=True)
        reading.clear()
        gc.collect()

    asyncio.run(leave())
    assert not forgotten
