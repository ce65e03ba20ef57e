"""Everything that goes wrong, as ``{"error": {"message", "type", "param", "code"}}``.

400  unreadable, invalid or unsupported           404  no such model, picture or route
401  no valid API key                             405  the route takes another method
403  a page of another origin, or another host    408  the body did not arrive in time
413  the body is too large                        429  the queue is full
500  internal error                               503  starting, shutting down, or too slow
"""

import logging
import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from lantu.errors import AbilityError, DataError, DiskError, ImageError, LantuError, ModelError, PromptError
from lantu.server.http import validation
from lantu.server.worker.unavailable import Crowded, Draining, Late, Loading

log = logging.getLogger("lantu.server")

TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}
FORMS = ("/v1/lantu/tokenize", "/v1/lantu/read")  # which read multipart bodies alone
RETRIED = (408, 429, 503)  # where another try can help


class ApiError(Exception):
    """An answer that is an error.

    Args:
        retry_s: when to try again.
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
        self.more = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        kind = TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        param = None if self.param is None else sound(self.param)
        return {"error": {"message": sound(self.message), "type": kind, "param": param, "code": self.code}}

    @property
    def headers(self) -> dict[str, str]:
        retry = {"x-should-retry": "true" if self.status in RETRIED else "false"}
        if self.retry_s is not None:
            retry["retry-after"] = str(max(1, math.ceil(self.retry_s)))
        return self.more | retry

    def response(self) -> JSONResponse:
        return JSONResponse(self.body, self.status, self.headers)


def sound(text: str) -> str:
    """A text that may quote a client's, as UTF-8 can hold it."""
    return text.encode("utf-8", "replace").decode()


class HungUp(ApiError):
    """The client is gone; nobody reads this."""

    def __init__(self) -> None:
        super().__init__(499, "the client hung up", "client_gone")


def as_api_error(problem: BaseException) -> ApiError:
    """Any problem as an answer; what is our fault is logged."""
    match problem:
        case ApiError():
            return problem
        case Draining():
            return ApiError(503, "the server is shutting down: try again, or elsewhere", "draining", retry_s=5)
        case Loading():
            return ApiError(503, "the model is being loaded: try again in a second", "loading", retry_s=1)
        case Crowded(wait_s=wait_s):
            return ApiError(429, "the queue is full: try again later", "queue_full", retry_s=wait_s)
        case Late():
            return ApiError(503, "the request took too long: ask for less, or try again", "timeout", retry_s=5)
        case ModelError() | DiskError():
            log.error("%s", problem)
            return ApiError(500, "the server's model or disk is broken; see its log", "internal_error")
        case AbilityError():
            hint = "serve a model that has"
            hint = f"ask for a drawing, or {hint}" if problem.ability == "talking" else hint
            return ApiError(400, f"{problem.message}: {hint}", "not_learnt")
        case PromptError():
            return refusal(problem, "invalid_prompt", "prompt")
        case ImageError():
            return refusal(problem, "invalid_image", None)
        case DataError():
            return refusal(problem, "invalid_codes", "codes")
        case LantuError():
            return refusal(problem, "invalid_value", None)
    log.error("our fault", exc_info=problem)
    return ApiError(500, "internal error; see the server's log", "internal_error")


def refusal(problem: LantuError, code: str, param: str | None) -> ApiError:
    """Bad input, said as the command line says it."""
    return ApiError(400, str(problem).replace("--fit", "fit"), code, param)


def of_validation(problem: RequestValidationError, request: Request) -> ApiError:
    """What doesn't fit, in one line."""
    if problem.errors()[0]["type"] == "json_invalid":
        return ApiError(400, "the body is not JSON", "invalid_json")
    message, param, code = validation.told(problem, request.url.path in FORMS, request.headers.get("content-type", ""))
    return ApiError(400, message, code, param)


def of_http(problem: HTTPException, request: Request) -> ApiError:
    """What the framework itself refuses: unknown routes and methods, broken multipart bodies."""
    if isinstance(problem.__cause__, ApiError):  # of guard.py, while the framework read the body
        return problem.__cause__
    if problem.status_code == 404 and request.url.path == "/v1/images/variations":
        return ApiError(404, "this server makes no variations: ask /v1/images/edits for a change", "not_found")
    message = {404: "there is no such route: see /openapi.json", 405: "the route takes another method"}
    text = message.get(problem.status_code, str(problem.detail))
    code = CODES.get(problem.status_code, "http_error")
    return ApiError(problem.status_code, text, code, headers=problem.headers)


def install(app: FastAPI, count: Any) -> None:
    """Have the app answer so.

    Args:
        count: called with each error's code.
    """

    def answer(request: Request, problem: BaseException) -> JSONResponse:
        match problem:
            case RequestValidationError():
                error = of_validation(problem, request)
            case HTTPException():
                error = of_http(problem, request)
            case _:
                error = as_api_error(problem)
        count(error.code)
        return error.response()

    for kind in (ApiError, LantuError, Draining, Loading, Crowded, Late, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, answer)
    # Anything else is caught by guard.py, inside of which nothing may raise.
