"""Warnings that an answer carries in its ``warnings`` field. They are collected in the request's state."""

from typing import Any

from fastapi import Request

from lantu.engine.sampling_params import without_effect
from lantu.models.spec import Size
from lantu.pipeline import Model
from lantu.server.routes import fields, schemas


def warn(request: Request, warning: str) -> None:
    """Add a warning to the answer."""
    request.state.warnings = [*warnings_of(request), warning]


def warnings_of(request: Request) -> list[str]:
    """The warnings so far."""
    return getattr(request.state, "warnings", [])


def as_field(warnings: list[str]) -> dict[str, Any]:
    """The answer's ``warnings`` field; empty when there are none."""
    return {"warnings": warnings} if warnings else {}


def warn_unused(task: str, body: schemas.SamplingFields, request: Request, model: Model) -> None:
    """Warn of sampling parameters that a client gave and that have no effect.

    Args:
        task: one of ``sampling_params.TAKEN``.
    """
    if note := without_effect(task, body.sampling_fields(), model.folder.unused_params):
        warn(request, note)


def read_size(text: str | None, request: Request, model: Model) -> Size:
    """Read a size like ``fields.read_size``; the answer warns if the model draws that size badly."""
    return fields.read_size(text, model, lambda warning: warn(request, warning))
