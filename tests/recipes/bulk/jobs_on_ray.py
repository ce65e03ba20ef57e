"""Work of the tests on Ray, in a module that workers can import."""

import os
import signal
import time

from lantu.errors import DataError


def zeros(order):
    """Jobs return as many zeros as they say, and some more, which no column may lose."""
    ends = order["ends"]

    def do(job):
        number, count = job
        time.sleep(0.05 * (number % 3))
        if number == 7:
            raise DataError("seven is odd", "take eight")
        return bytes(count + ends)

    return do


def dying_once(marker):
    """A worker that dies at its first job, if none did before."""

    def do(number):
        if number == 1 and not os.path.exists(marker):
            open(marker, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return str(number).encode()

    return do
