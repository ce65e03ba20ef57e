"""The server's log: one JSON object per line on stderr."""

import json
import logging
import sys
import time
from typing import TextIO


class JsonLines(logging.Formatter):
    """Formats records as JSON; ``extra={"fields": {…}}`` adds fields to the object."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's line."""
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        entry = {"time": when, "level": record.levelname.lower(), "event": record.getMessage()}
        entry |= getattr(record, "fields", {})
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


def set_up(stream: TextIO | None = None) -> None:
    """Write the server's log and uvicorn's warnings as JSON lines.

    Args:
        stream: where to; stderr if None.
    """
    handler: logging.Handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    for name, level in (("lantu.server", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
