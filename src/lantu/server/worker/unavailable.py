"""Why the server can't compute a request now."""


class Draining(Exception):
    """The server is shutting down."""


class Loading(Exception):
    """The model is still loading."""


class DeadlineExceeded(Exception):
    """The request ran past its deadline."""


class QueueFull(Exception):
    """The queue has no room for the request.

    Args:
        wait_s: seconds until there should be room.
    """

    def __init__(self, wait_s: float):
        super().__init__(wait_s)
        self.wait_s = wait_s


class ReplicaLost(Exception):
    """The process that computed for a request is lost, and so were those that tried again."""
