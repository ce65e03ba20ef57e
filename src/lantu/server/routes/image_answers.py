"""Pictures in the forms in which OpenAI's image routes answer: all at once, or as events."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from lantu.server import files
from lantu.server.routes import schemas
from lantu.server.routes import unsupported as refused
from lantu.server.routes.pictures import warn, warnings
from lantu.server.service import Service
from lantu.server.subscription import Stream, Subscription, finished, pictures_in
from lantu.server.worker.jobs import Done, Job, Progress, evenly
from lantu.tasks.effects import Task
from lantu.types import Picture


@dataclass(frozen=True)
class Form:
    """How a client wants its pictures.

    Attributes:
        event: what its events begin with.
        told: what each answer says of all pictures.
        text_tokens, image_tokens: that were read for one picture.
        draws: the prompt names what is to be drawn; an instruction need not.
        mixed: a part of a client's picture stays in each.
    """

    event: str
    body: schemas.Images
    told: dict[str, Any]
    text_tokens: int
    image_tokens: int
    draws: bool = True
    mixed: bool = False

    @property
    def format(self) -> str:
        return self.body.output_format or "png"

    async def encode(self, service: Service, picture: Picture) -> bytes:
        return await service.encode(picture, self.format, self.body.output_compression, self.mixed)

    def usage(self, drawn: Sequence[Done]) -> dict[str, Any]:
        """Ids read and drafted."""
        read, made = len(drawn) * (self.text_tokens + self.image_tokens), sum(end.tokens for end in drawn)
        text, image = sum(end.text_tokens for end in drawn), sum(end.image_tokens for end in drawn)
        return {
            "input_tokens": read,
            "output_tokens": made,
            "total_tokens": read + made,
            "input_tokens_details": {
                "text_tokens": len(drawn) * self.text_tokens,
                "image_tokens": len(drawn) * self.image_tokens,
            },
            "output_tokens_details": {"text_tokens": text, "image_tokens": image},
        }


def check(body: schemas.Images, request: Request, service: Service) -> None:
    """Refuse what this server can't do rather than do something else; warn of what changes nothing.

    Raises:
        ApiError: there is such a field.
    """
    service.check_model(body.model)
    for line in refused.check_images(body):
        warn(request, line)


def form_of(
    event: str,
    body: schemas.Images,
    size: tuple[int, int],
    text_tokens: int,
    image_tokens: int = 0,
    **how: bool,
) -> Form:
    """How a client wants its pictures, which will have ``size`` pixels."""
    common: dict[str, Any] = {"background": "opaque", "quality": "auto", "size": "{}x{}".format(*size)}
    common["output_format"] = body.output_format or "png"
    return Form(event, body, common, text_tokens, image_tokens, **how)


def jobs_of(tasks: Sequence[Task[Any]], body: schemas.Images) -> list[Job]:
    """Jobs for the pictures of one request; a stream has previews."""
    marks, previews = evenly(body.partial_images or 0 if body.stream else 0), "always" if body.stream else "never"
    return [Job(task, marks, previews=previews) for task in tasks]


async def answer(service: Service, request: Request, jobs: Sequence[Job], form: Form) -> Response:
    """The pictures of some jobs."""
    request.state.prompt = form.body.prompt
    subscription = await service.subscription(request, jobs, form.body.prompt)
    if form.body.stream:
        return Stream(events(service, subscription, form, warnings(request)), subscription, service.count)
    ends = await finished(request, subscription)
    data = []
    for end in ends:
        (picture,) = pictures_in(end.result)
        file = await form.encode(service, picture)
        told: dict[str, Any] = {"revised_prompt": None, "seed": picture.seed} | files.unknown(picture)
        if form.body.response_format == "url":
            base = service.options.public_url or str(request.base_url).rstrip("/")
            data.append(told | {"url": f"{base}/pictures/{service.shelf.put(file, form.format)}"})
        else:
            data.append(told | {"b64_json": files.in_base64(file)})
    # OpenAI's answers, unlike its events, know no quality "auto".
    told = {name: value for name, value in form.told.items() if (name, value) != ("quality", "auto")}
    told_of = [*warnings(request), *service.model.parts.layout.warnings(form.body.prompt, form.draws)]
    told |= {"warnings": told_of} if told_of else {}
    return JSONResponse({"created": int(time.time()), "data": data, **told, "usage": form.usage(ends)})


async def events(
    service: Service, subscription: Subscription, form: Form, warnings: Sequence[str]
) -> AsyncIterator[dict[str, Any] | None]:
    """Partial pictures as they come, and the whole ones; ``index`` tells of which picture, where there are several."""
    partial = [0] * len(subscription.jobs)
    async for place, event in subscription.follow():
        if event is None:
            yield None
        elif isinstance(event, Progress) and event.preview:
            file = await asyncio.to_thread(files.encode_partial, event.preview, form.format)
            told = {"partial_image_index": partial[place], "index": place}
            partial[place] += 1
            yield one(f"{form.event}.partial_image", file, form) | told
        elif isinstance(event, Done):
            (picture,) = pictures_in(event.result)
            file = await form.encode(service, picture)
            told: dict[str, Any] = {"usage": form.usage([event]), "seed": picture.seed, "index": place}
            told_of = [*warnings, *service.model.parts.layout.warnings(picture.prompt, form.draws)]
            told |= files.unknown(picture) | ({"warnings": told_of} if told_of else {})
            yield one(f"{form.event}.completed", file, form) | told


def one(kind: str, file: bytes, form: Form) -> dict[str, Any]:
    return {"type": kind, "b64_json": files.in_base64(file), "created_at": int(time.time()), **form.told}
