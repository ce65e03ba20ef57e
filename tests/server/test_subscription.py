"""Streams that end before their events do."""

import asyncio
import gc

from lantu.server.subscription import with_keep_alive
from lantu.server.worker.unavailable import DeadlineExceeded


def test_an_error_after_the_client_left_is_not_reported_as_forgotten():
    forgotten = []

    async def events():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:  # as wait_for does when an event comes just then
            raise DeadlineExceeded from None
        yield

    async def leave():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: forgotten.append(context))
        reading = asyncio.ensure_future(anext(with_keep_alive(events())))
        await asyncio.sleep(0.01)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        del reading
        await asyncio.sleep(0.01)
        gc.collect()

    asyncio.run(leave())
    assert not forgotten
