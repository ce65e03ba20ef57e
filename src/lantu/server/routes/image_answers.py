"""Answers of OpenAI's image routes: all pictures at once, or as events."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from lantu.models.spec import Size
from lantu.server import files
from lantu.server.routes import schemas, unsupported
from lantu.server.routes.warnings import as_field, warn, warnings_of
from lantu.server.service import Service
from lantu.server.subscription import Stream, Subscription, finished, pictures_in
from lantu.server.worker.jobs import Done, Job, Progress, evenly_spaced
from lantu.tasks.effects import Task
from lantu.types import Picture


@dataclass(frozen=True)
class AnswerFormat:
    """How a client's pictures are answered.

    Attributes:
        event: the prefix of the events' types.
        body: the request.
        size: width and height of the pictures.
        text_tokens, image_tokens: numbers of tokens read for one picture.
        draws: whether the prompt names what to draw, which an instruction need not.
        composite: whether each picture contains a part of a client's picture.
    """

    event: str
    body: schemas.Images
    size: Size
    text_tokens: int
    image_tokens: int = 0
    draws: bool = True
    composite: bool = False

    @property
    def file_format(self) -> str:
        """One of ``files.TYPES``."""
        return self.body.output_format or "png"

    @property
    def common_fields(self) -> dict[str, Any]:
        """The fields that are the same for all pictures."""
        size = "{}x{}".format(*self.size)
        return {"background": "opaque", "quality": "auto", "size": size, "output_format": self.file_format}

    async def encode(self, service: Service, picture: Picture) -> bytes:
        """A finished picture's file."""
        return await service.encode(picture, self.file_format, self.body.output_compression, self.composite)

    def usage(self, drawn: Sequence[Done]) -> dict[str, Any]:
        """Numbers of tokens read and drafted."""
        read, drafted = len(drawn) * (self.text_tokens + self.image_tokens), sum(end.tokens for end in drawn)
        text, image = sum(end.text_tokens for end in drawn), sum(end.image_tokens for end in drawn)
        return {
            "input_tokens": read,
            "output_tokens": drafted,
            "total_tokens": read + drafted,
            "input_tokens_details": {
                "text_tokens": len(drawn) * self.text_tokens,
                "image_tokens": len(drawn) * self.image_tokens,
            },
            "output_tokens_details": {"text_tokens": text, "image_tokens": image},
        }


def check(body: schemas.Images, request: Request, service: Service) -> None:
    """Check the fields of a request, and warn about those that have no effect.

    Raises:
        ApiError: one is not supported.
    """
    service.check_model(body.model)
    for warning in unsupported.check_images(body):
        warn(request, warning)


def jobs_of(tasks: Sequence[Task[Any]], body: schemas.Images) -> list[Job]:
    """Jobs for the pictures of one request; those of a stream have previews."""
    marks = evenly_spaced(body.partial_images or 0 if body.stream else 0)
    previews = "always" if body.stream else "never"
    return [Job(task, marks, previews=previews) for task in tasks]


async def answer(service: Service, request: Request, jobs: Sequence[Job], form: AnswerFormat) -> Response:
    """Run jobs, each of which draws one picture, and answer with the pictures."""
    request.state.prompt = form.body.prompt
    subscription = await service.subscription(request, jobs, form.body.prompt)
    if form.body.stream:
        return Stream(events(service, subscription, form, warnings_of(request)), subscription, service.count_error)
    ends = await finished(request, subscription)
    data = []
    for end in ends:
        (picture,) = pictures_in(end.result)
        file = await form.encode(service, picture)
        entry: dict[str, Any] = {"revised_prompt": None, "seed": picture.seed} | files.unknown_words(picture)
        if form.body.response_format == "url":
            base = service.options.public_url or str(request.base_url).rstrip("/")
            data.append(entry | {"url": f"{base}/pictures/{service.pictures.put(file, form.file_format)}"})
        else:
            data.append(entry | {"b64_json": files.in_base64(file)})
    # OpenAI's events may have the quality "auto", but its answers may not.
    common = {name: value for name, value in form.common_fields.items() if name != "quality"}
    warnings = [*warnings_of(request), *service.model.parts.layout.warnings(form.body.prompt, form.draws)]
    content = {"created": int(time.time()), "data": data, **common, **as_field(warnings), "usage": form.usage(ends)}
    return JSONResponse(content)


async def events(
    service: Service, subscription: Subscription, form: AnswerFormat, warnings: Sequence[str]
) -> AsyncIterator[dict[str, Any] | None]:
    """Previews as they are rendered, and finished pictures; ``index`` is the picture's place among several."""
    previews_sent = [0] * len(subscription.jobs)
    async for place, event in subscription.follow():
        if event is None:
            yield None
        elif isinstance(event, Progress) and event.preview:
            file = await asyncio.to_thread(files.encode_preview, event.preview, form.file_format)
            fields = {"partial_image_index": previews_sent[place], "index": place}
            previews_sent[place] += 1
            yield picture_event(f"{form.event}.partial_image", file, form) | fields
        elif isinstance(event, Done):
            (picture,) = pictures_in(event.result)
            file = await form.encode(service, picture)
            fields: dict[str, Any] = {"usage": form.usage([event]), "seed": picture.seed, "index": place}
            all_warnings = [*warnings, *service.model.parts.layout.warnings(picture.prompt, form.draws)]
            fields |= files.unknown_words(picture) | as_field(all_warnings)
            yield picture_event(f"{form.event}.completed", file, form) | fields


def picture_event(kind: str, file: bytes, form: AnswerFormat) -> dict[str, Any]:
    """The fields of every event.

    Args:
        file: the picture's or the preview's.
    """
    return {"type": kind, "b64_json": files.in_base64(file), "created_at": int(time.time()), **form.common_fields}
