"""Every error is answered as ``{"error": {"message", "type", "param", "code"}}``.

400  unreadable, invalid or unsupported           404  no such model, picture or route
401  no valid API key                             405  the route takes another method
403  a page of another origin, or another host    408  the body did not arrive in time
413  the body is too large                        429  the queue is full
500  internal error                               503  starting, shutting down, or too slow
"""

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from lantu.errors import AbilityError, DataError, DiskError, ImageError, LantuError, ModelError, PromptError
from lantu.server.http import validation
from lantu.server.worker.unavailable import DeadlineExceeded, Draining, Loading, QueueFull, ReplicaLost

log = logging.getLogger("lantu.server")

TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}
MULTIPART_ONLY = ("/v1/lantu/tokenize", "/v1/lantu/read")
RETRYABLE = (408, 429, 503)


class ApiError(Exception):
    """An error that is answered to the client.

    Args:
        status: HTTP status.
        message: what is wrong and what to do, in one line without a full stop.
        code: for programs, e.g. "invalid_value".
        param: the field that is wrong.
        retry_s: seconds after which the client should try again.
        headers: additional headers of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str,
        param: str | None = None,
        retry_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(message)
        self.status, self.message, self.code, self.param, self.retry_s = status, message, code, param, retry_s
        self.extra_headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        """The answer's JSON object."""
        kind = TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        param = None if self.param is None else encodable(self.param)
        return {"error": {"message": encodable(self.message), "type": kind, "param": param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        """The answer's headers: whether and when to retry, and ``extra_headers``."""
        retry = {"x-should-retry": "true" if self.status in RETRYABLE else "false"}
        if self.retry_s is not None:
            retry["retry-after"] = str(max(1, math.ceil(self.retry_s)))
        return self.extra_headers | retry

    def response(self) -> JSONResponse:
        """The whole answer."""
        return JSONResponse(self.body, self.status, self.headers)


def encodable(text: str) -> str:
    """The text with lone surrogates replaced, which it may quote from a client and UTF-8 can't encode."""
    return text.encode("utf-8", "replace").decode()


class ClientDisconnected(ApiError):
    """The client closed the connection before the answer; only the log and the metrics see this error."""

    def __init__(self) -> None:
        super().__init__(499, "the client disconnected", "client_gone")


def as_api_error(problem: BaseException) -> ApiError:
    """Any exception as an error for the client. Faults of the server are logged."""
    match problem:
        case ApiError():
            return problem
        case Draining():
            return ApiError(
                503, "the server is shutting down: try again later, or another server", "draining", retry_s=5
            )
        case Loading():
            return ApiError(503, "the model is still loading: try again in a second", "loading", retry_s=1)
        case QueueFull(wait_s=wait_s):
            return ApiError(429, "the queue is full: try again later", "queue_full", retry_s=wait_s)
        case DeadlineExceeded():
            return ApiError(503, "the request took too long: ask for less, or try again", "timeout", retry_s=5)
        case ReplicaLost():
            log.error("replicas were lost again and again: %s", problem)
            return ApiError(503, "too many replicas of the server were lost: try again", "replicas_lost", retry_s=5)
        case ModelError() | DiskError():
            log.error("%s", problem)
            return ApiError(500, "the server has a problem with its model or disk; see its log", "internal_error")
        case AbilityError():
            hint = "use a server of another model"
            hint = f"ask for a drawing, or {hint}" if problem.ability == "talking" else hint
            return ApiError(400, f"{problem.message}: {hint}", "not_learnt")
        case PromptError():
            return bad_input(problem, "invalid_prompt", "prompt")
        case ImageError():
            return bad_input(problem, "invalid_image", None)
        case DataError():
            return bad_input(problem, "invalid_codes", "codes")
        case LantuError():
            return bad_input(problem, "invalid_value", None)
    log.error("internal error", exc_info=problem)
    return ApiError(500, "internal error; see the server's log", "internal_error")


def bad_input(problem: LantuError, code: str, param: str | None) -> ApiError:
    """The error for bad input, with the command line's message; its flags become fields."""
    return ApiError(400, str(problem).replace("--fit", "fit"), code, param)


def from_validation(problem: RequestValidationError, request: Request) -> ApiError:
    """The error for a body that does not match its schema."""
    if problem.errors()[0]["type"] == "json_invalid":
        return ApiError(400, "the body is not JSON", "invalid_json")
    multipart, content_type = request.url.path in MULTIPART_ONLY, request.headers.get("content-type", "")
    message, param, code = validation.describe(problem, multipart, content_type)
    return ApiError(400, message, code, param)


def from_http(problem: HTTPException, request: Request) -> ApiError:
    """The error for what the framework refuses: unknown routes and methods, broken multipart bodies."""
    if isinstance(problem.__cause__, ApiError):  # raised by guard.py while the framework read the body
        return problem.__cause__
    if problem.status_code == 404 and request.url.path == "/v1/images/variations":
        return ApiError(404, "this server has no variations: use /v1/images/edits instead", "not_found")
    messages = {404: "there is no such route: see /openapi.json", 405: "the route takes another method"}
    message = messages.get(problem.status_code, str(problem.detail))
    code = CODES.get(problem.status_code, "http_error")
    return ApiError(problem.status_code, message, code, headers=problem.headers)


def install(app: FastAPI, count: Callable[[str], None]) -> None:
    """Install the handlers that answer an app's exceptions as errors.

    Args:
        count: called with each error's code.
    """

    def answer(request: Request, problem: BaseException) -> JSONResponse:
        match problem:
            case RequestValidationError():
                error = from_validation(problem, request)
            case HTTPException():
                error = from_http(problem, request)
            case _:
                error = as_api_error(problem)
        count(error.code)
        return error.response()

    unavailable = (Draining, Loading, QueueFull, DeadlineExceeded, ReplicaLost)
    for kind in (ApiError, LantuError, *unavailable, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, answer)
    # guard.py catches everything else.
