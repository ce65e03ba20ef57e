"""Why the server can't compute something now."""


class Draining(Exception):
    """The server is shutting down."""


class Loading(Exception):
    """The model is still being loaded."""


class Late(Exception):
    """A request reached its deadline."""


class Crowded(Exception):
    """The queue is full.

    Args:
        wait_s: seconds after which there should be room.
    """

    def __init__(self, wait_s: float):
        super().__init__(wait_s)
        self.wait_s = wait_s
