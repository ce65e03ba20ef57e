"""OpenAI's chat, with pictures in and out.

A model with the ability "talking" reads the whole conversation, and decides whether to answer with text, pictures or
both. Other models read only the last message: they draw a message of text alone, and answer a message of a picture and
at most a few words with the picture's caption.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from lantu.engine.seeds import derive_seeds
from lantu.errors import PromptError
from lantu.models.lantu.requests import language_of
from lantu.models.validation import require
from lantu.pipeline import Model
from lantu.server import files, uploads
from lantu.server.http.bodies import Route
from lantu.server.http.errors import ApiError
from lantu.server.routes import fields, schemas, unsupported, warnings
from lantu.server.routes.client_pictures import check_total_size, read_picture
from lantu.server.routes.openapi import ERRORS, chat_schema
from lantu.server.service import Service, Serving
from lantu.server.subscription import Stream, Subscription, finished, pictures_in
from lantu.server.worker.jobs import Done, Job, Progress, each_token, no_progress
from lantu.tasks import caption
from lantu.tasks.chat import Answer, chat
from lantu.tasks.draw import draw
from lantu.tasks.effects import Task
from lantu.tokens.repetition import without_repeats
from lantu.types import Caption, Picture

router = APIRouter(prefix="/v1/chat", tags=["openai"], responses=dict(ERRORS), route_class=Route)
MAX_CAPTION_TEXT = 40  # characters that a message to be answered with a caption may have, e.g. "What is this?"
Turn = list[str | Picture]


@router.post("/completions", response_class=Response, responses=chat_schema())
async def completions(body: schemas.Chat, request: Request, service: Serving) -> Response:
    """Answer a conversation. Pictures are in ``message.images``, or in ``delta.images`` of a stream."""
    service.check_model(body.model)
    unsupported.check_chat(body)
    model = service.model
    talks = "talking" in model.folder.abilities
    turns = await read_turns(body.messages if talks else body.messages[-1:], request, service)
    request.state.prompt = " ".join(part for part in turns[-1] if isinstance(part, str))
    check_length(turns)
    jobs = talk_jobs(body, model, turns, request) if talks else plain_jobs(body, model, turns[-1], request)
    # Filter only the text that the model reads: a refused earlier message must not end the whole conversation.
    text = "\n".join(part for turn in turns for part in turn if isinstance(part, str))
    subscription = await service.subscription(request, jobs, text)
    read = count_tokens(model, turns)
    reply = Reply(service, read, body, warnings.warnings_of(request))
    if body.stream:
        return Stream(reply.events(subscription), subscription, service.count_error)
    return JSONResponse(await reply.whole(await finished(request, subscription)))


async def read_turns(messages: Sequence[schemas.Message], request: Request, service: Service) -> list[Turn]:
    """Join messages into alternating turns, the user's first. System messages count as the user's.

    Raises:
        PromptError: the last turn is empty, or is not the user's.
        ApiError, ImageError: a picture can't be read.
    """
    pictures = await read_pictures(messages, request, service)
    turns: list[tuple[bool, Turn]] = []
    for message in messages:
        parts: Turn = []
        for part in parts_of(message):
            if isinstance(part, schemas.ImagePart):
                parts.append(next(pictures))
            else:
                text = part if isinstance(part, str) else part.text
                parts += [text] if text.strip() else []
        is_user = message.role != "assistant"
        if turns and turns[-1][0] == is_user:
            turns[-1][1].extend(parts)
        else:
            turns.append((is_user, parts))
    if not turns[-1][0] or not turns[-1][1]:
        raise PromptError("there is nothing to answer", "end with a message of the user")
    return [parts for _, parts in (turns if turns[0][0] else turns[1:])]


def parts_of(message: schemas.Message) -> "list[str | schemas.TextPart | schemas.ImagePart]":
    """A message's texts and pictures."""
    content = [message.content] if isinstance(message.content, str) else message.content or []
    return [*content, *(message.images or [])]


async def read_pictures(messages: Sequence[schemas.Message], request: Request, service: Service) -> Iterator[Picture]:
    """All pictures of a conversation with their codes, scaled and cropped to the size that the model reads.

    Number and sizes are checked before the first picture is decoded.

    Raises:
        ApiError, ImageError: there are too many, or one can't be read.
    """
    urls = [
        (f"messages.{number}.image_url", part.image_url.url)
        for number, message in enumerate(messages)
        for part in parts_of(message)
        if isinstance(part, schemas.ImagePart)
    ]
    if len(urls) > schemas.MAX_PICTURES:
        message = f"there are too many pictures: {schemas.MAX_PICTURES} is the limit"
        raise ApiError(400, message, "unsupported_value", "messages")
    files = [(param, await asyncio.to_thread(uploads.from_url, url, param)) for param, url in urls]
    await check_total_size(files, service)
    return iter([await read_picture(data, param, request, service, fit=True) for param, data in files])


def max_tokens_of(body: schemas.Chat) -> int | None:
    """The most tokens of an answer; None if the client sets no limit."""
    return body.max_completion_tokens or body.max_tokens


def check_length(turns: Sequence[Turn]) -> None:
    """Refuse far too much text before it is tokenized, which would take a while.

    Raises:
        PromptError: there is too much.
    """
    characters = sum(len(part) for turn in turns for part in turn if isinstance(part, str))
    if characters > schemas.MAX_TEXT:
        raise PromptError(f"the conversation has {characters:,} characters", f"shorten it to {schemas.MAX_TEXT:,}")


def talk_jobs(body: schemas.Chat, model: Model, turns: list[Turn], request: Request) -> list[Job]:
    """Jobs for the answers of a model that talks.

    Args:
        request: receives warnings.

    Raises:
        ApiError: a field is not supported.
    """
    unsupported.check_modalities(body, {"text", "image"})
    if body.size not in (None, "auto") and fields.read_size(body.size, model) != model.size:
        raise unsupported.unsupported("size", "can't be set in a conversation with this model: leave it out")
    params, text_marks = fields.read_params(model, body.sampling_fields()), each_token if body.stream else no_progress
    warnings.warn_unused("an answer", body, request, model)
    return [
        Job(chat(model.parts, turns, seed, params, max_tokens_of(body)), text_marks=text_marks)
        for seed in derive_seeds(body.seed, body.n or 1)
    ]


def plain_jobs(body: schemas.Chat, model: Model, turn: Turn, request: Request) -> list[Job]:
    """Jobs for the drawings or captions of a model that does not talk.

    Args:
        turn: the last one.
        request: receives warnings.

    Raises:
        AbilityError: the message calls for neither a drawing nor a caption.
        ApiError: a field is not supported.
    """
    text = " ".join(part for part in turn if isinstance(part, str))
    pictures = [part for part in turn if isinstance(part, Picture)]
    if not pictures:
        unsupported.check_modalities(body, {"image"})
        size = warnings.read_size(body.size, request, model)
        unsupported.check_max_tokens(body, max_tokens_of(body), size, model)
        params, grid = fields.read_params(model, body.sampling_fields()), model.parts.layout.grid_of(size)
        seeds = derive_seeds(body.seed, body.n or 1)
        return [Job(draw(model.parts, text, seed, grid, params)) for seed in seeds]
    if len(pictures) > 1 or len(text) > MAX_CAPTION_TEXT:
        require(model.folder, "talking")
    unsupported.check_modalities(body, {"text"})
    unsupported.check_caption(body)
    picture, language, temperature = pictures[0], language_of(text), body.temperature or 0.0

    def task(seed: int) -> Task[Caption]:
        if model.parts.reads_pixels:
            pixels_HWC, most = np.asarray(picture.image), max_tokens_of(body)
            return caption.caption(model.parts, pixels_HWC, language, seed, temperature, most=most)
        # With one candidate, a stream can show its text while it is drafted.
        options: dict[str, Any] = {"candidates": 1, "most": max_tokens_of(body)}
        return caption.caption_codes(model.parts, picture.codes, language, seed, temperature, **options)

    text_marks = each_token if body.stream else no_progress
    return [Job(task(seed), text_marks=text_marks) for seed in derive_seeds(body.seed or 0, body.n or 1)]


def count_tokens(model: Model, turns: list[Turn]) -> tuple[int, int]:
    """Numbers of text tokens and of image tokens in turns."""
    parts = [part for turn in turns for part in turn]
    text_tokens = sum(model.parts.layout.count_tokens(part) for part in parts if isinstance(part, str))
    return text_tokens, sum(part.cells for part in parts if isinstance(part, Picture))


class Reply:
    """An answer in OpenAI's form.

    Args:
        read: numbers of text tokens and of image tokens read.
        warnings: for the answer's ``warnings`` field.
    """

    def __init__(self, service: Service, read: tuple[int, int], body: schemas.Chat, warnings: list[str]):
        self.service, self.model, self.read, self.body = service, service.model, read, body
        self.warnings = warnings
        self.head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": self.model.name}

    def partial(self, ids: Sequence[int]) -> tuple[str, str]:
        """The plan and the text in an unfinished answer's token ids."""
        reply = self.model.parts.layout.read_reply(ids)
        text = " ".join(part.strip() for part in reply.parts if isinstance(part, str)).strip()
        # Repetitions are removed from captions, but not from the answers of a model that talks.
        return reply.plan, text if "talking" in self.model.folder.abilities else without_repeats(text)

    async def whole(self, ends: Sequence[Done]) -> dict[str, Any]:
        """The complete answer."""
        choices = []
        for place, end in enumerate(ends):
            plan, text = plan_and_text(end)
            images = [await self.image_part(picture) for picture in pictures_in(end.result)]
            message = {"role": "assistant", "content": text or None, "refusal": None, "images": images}
            if plan:
                message["reasoning_content"] = plan
            choices.append({"index": place, "message": message, "finish_reason": reason(end), "logprobs": None})
        answer: dict[str, Any] = {"object": "chat.completion", **self.head, "choices": choices}
        drawn = [picture for end in ends for picture in pictures_in(end.result)]
        return answer | {"usage": self.usage(ends)} | self.notes(drawn)

    def notes(self, drawn: Sequence[Picture]) -> dict[str, Any]:
        """The fields for unknown words, if a picture was drawn, and for warnings."""
        all_warnings = list(self.warnings)
        all_warnings += self.model.parts.layout.warnings(drawn[0].prompt, draws=False) if drawn else []
        return (files.unknown_words(drawn[0]) if drawn else {}) | warnings.as_field(all_warnings)

    async def events(self, subscription: Subscription) -> AsyncIterator[dict[str, Any] | None]:
        """Chunks with text as it is drafted, and with pictures as they are finished."""
        sent, ends = [SentText() for _ in subscription.jobs], []
        for place in range(len(sent)):
            yield self.chunk(place, {"role": "assistant", "content": ""}) | warnings.as_field(self.warnings)
        async for place, event in subscription.follow():
            if event is None:
                yield None
            elif isinstance(event, Progress) and event.codes is None:
                plan, text = self.partial(event.ids)
                for delta in sent[place].deltas(plan if text else "", text, final=False):
                    yield self.chunk(place, delta)
            elif isinstance(event, Done):
                ends.append(event)
                for delta in sent[place].deltas(*plan_and_text(event), final=True):
                    yield self.chunk(place, delta)
                pictures = pictures_in(event.result)
                for picture in pictures:
                    yield self.chunk(place, {"images": [await self.image_part(picture)]})
                last = self.chunk(place, {}, reason(event))
                yield last | self.notes(pictures) if pictures else last
        if self.body.stream_options and self.body.stream_options.include_usage:
            yield {"object": "chat.completion.chunk", **self.head, "choices": [], "usage": self.usage(ends)}

    async def image_part(self, picture: Picture) -> dict[str, Any]:
        """A finished picture as a part of a message."""
        return {"type": "image_url", "image_url": {"url": files.data_url(await self.service.encode(picture))}}

    def chunk(self, place: int, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        """A chunk of a stream."""
        choice = {"index": place, "delta": delta, "finish_reason": reason, "logprobs": None}
        return {"object": "chat.completion.chunk", **self.head, "choices": [choice]}

    def usage(self, ends: Sequence[Done]) -> dict[str, Any]:
        """Numbers of tokens read and drafted."""
        text, images = self.read
        drafted = sum(end.tokens for end in ends)
        # Drafts of pictures may have more ids than codes; drafts of whole answers have both words and pictures.
        codes = [sum(picture.cells for picture in pictures_in(end.result)) for end in ends]
        drawn = sum(max(end.image_tokens, count) for end, count in zip(ends, codes, strict=True))
        return {
            "prompt_tokens": text + images,
            "completion_tokens": drafted,
            "total_tokens": text + images + drafted,
            "prompt_tokens_details": {"text_tokens": text, "image_tokens": images, "cached_tokens": 0},
            "completion_tokens_details": {"text_tokens": max(0, drafted - drawn), "image_tokens": drawn},
        }


class SentText:
    """What a stream has sent of an answer's plan and text so far."""

    def __init__(self) -> None:
        self.plan, self.text = "", ""

    def deltas(self, plan: str, text: str, final: bool) -> Iterator[dict[str, str]]:
        """The parts of a message that have not been sent yet.

        Args:
            final: whether plan and text are complete. Until then, a text that ends in half a character waits.
        """
        if plan and not self.plan:
            self.plan = plan
            yield {"reasoning_content": plan}
        grown = text.startswith(self.text) and text != self.text
        if grown and (final or not text.endswith("\ufffd")):
            yield {"content": text[len(self.text) :]}
            self.text = text


def plan_and_text(end: Done) -> tuple[str, str]:
    """A finished answer's plan and its text."""
    if isinstance(end.result, Answer):
        return end.result.plan, " ".join(part for part in end.result.parts if isinstance(part, str))
    return "", end.result if isinstance(end.result, str) else ""


def reason(end: Done) -> str:
    """The finish reason: "length" if the text was cut off or the planned picture did not fit, else "stop"."""
    cut = end.result.cut if isinstance(end.result, Answer) else not getattr(end.result, "ended", True)
    return "length" if cut else "stop"
