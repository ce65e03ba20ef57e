"""OpenAI's conversations, with pictures in and out.

A model that has learnt talking decides by itself whether it answers in words, in pictures or in both, and reads the
whole conversation. One that has not still does what it can: it draws a message of words alone, and answers a message
with a picture and few words or none with the picture's caption; it doesn't read earlier messages.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

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
from lantu.server.routes import fields, schemas
from lantu.server.routes import unsupported as refused
from lantu.server.routes.intake import affordable
from lantu.server.routes.pictures import asked_size, warnings_of
from lantu.server.routes.pictures import shown as seen
from lantu.server.service import ERRORS, Service, Serving, chat_schema
from lantu.server.subscription import Stream, Subscription, finished, pictures_in
from lantu.server.worker.jobs import Done, Job, Progress, each_id, never
from lantu.tasks import caption
from lantu.tasks.chat import Answer, chat
from lantu.tasks.draw import draw
from lantu.tokens.repetition import without_repeats
from lantu.types import Picture

router = APIRouter(prefix="/v1/chat", tags=["openai"], responses=dict(ERRORS), route_class=Route)
FEW_WORDS = 40  # characters that may stand beside a picture that is to be captioned, e.g. "What is this?"
Said = list[str | Picture]


@router.post("/completions", response_class=Response, responses=chat_schema())
async def completions(body: schemas.Chat, request: Request, service: Serving) -> Response:
    """Answer what was said and shown. Pictures are in ``message.images``, or ``delta.images`` of a stream."""
    service.check_model(body.model)
    refused.check_chat(body)
    turns = await heard(body.messages, request, service)
    model = service.model
    request.state.prompt = " ".join(part for part in turns[-1] if isinstance(part, str))
    talks = "talking" in model.folder.abilities
    check_length(turns if talks else turns[-1:])
    jobs = talk(body, model, turns) if talks else plain(body, model, turns, request)
    # One that only draws reads the last message alone: a refused one before it must not end the conversation.
    words = "\n".join(part for turn in turns for part in turn if isinstance(part, str))
    subscription = await service.subscription(request, jobs, words if talks else request.state.prompt)
    reply = Reply(service, read_by(model, turns if talks else turns[-1:]), body, warnings_of(request))
    if body.stream:
        return Stream(reply.events(subscription), subscription, service.count)
    return JSONResponse(await reply.whole(await finished(request, subscription)))


async def heard(messages: Sequence[schemas.Message], request: Request, service: Service) -> list[Said]:
    """What was said by turns, the user first; what a system says is said by the user.

    Raises:
        ApiError: the last word is not the user's.
    """
    shown = await pictures_of(messages, request, service)
    turns: list[tuple[bool, Said]] = []
    for message in messages:
        said: Said = []
        for part in parts_of(message):
            if isinstance(part, schemas.ImagePart):
                said.append(next(shown))
            else:
                text = part if isinstance(part, str) else part.text
                said += [text] if text.strip() else []
        speaks = message.role != "assistant"
        if turns and turns[-1][0] == speaks:
            turns[-1][1].extend(said)
        else:
            turns.append((speaks, said))
    if not turns[-1][0] or not turns[-1][1]:
        raise PromptError("there is nothing to answer", "end with a message of the user")
    return [said for _, said in (turns if turns[0][0] else turns[1:])]


def parts_of(message: schemas.Message) -> "list[str | schemas.TextPart | schemas.ImagePart]":
    """A message's words and pictures."""
    content = [message.content] if isinstance(message.content, str) else message.content or []
    return [*content, *(message.images or [])]


async def pictures_of(messages: Sequence[schemas.Message], request: Request, service: Service) -> Iterator[Picture]:
    """All pictures of a conversation with their codes, scaled and cropped to the size that the model reads.

    All are looked at before the first is decoded, so that too many cost nothing.

    Raises:
        ApiError, ImageError: there are too many, or one can't be read.
    """
    urls = [
        (f"messages.{number}.image_url", part.image_url.url)
        for number, message in enumerate(messages)
        for part in parts_of(message)
        if isinstance(part, schemas.ImagePart)
    ]
    if len(urls) > schemas.MOST_PICTURES:
        raise ApiError(400, f"{schemas.MOST_PICTURES} pictures are the most", "unsupported_value", "messages")
    files = [(param, await asyncio.to_thread(uploads.from_url, url, param)) for param, url in urls]
    await affordable(files, service)
    return iter([await seen(data, param, request, service, fit=True) for param, data in files])


def most_of(body: schemas.Chat) -> int | None:
    """Ids of an answer in words, at most."""
    return body.max_completion_tokens or body.max_tokens


def check_length(turns: Sequence[Said]) -> None:
    """Refuse more words than any model reads before they are counted one by one.

    Raises:
        PromptError: there are more.
    """
    letters = sum(len(part) for turn in turns for part in turn if isinstance(part, str))
    if letters > schemas.LONGEST:
        raise PromptError(f"the conversation has {letters:,} characters", f"shorten it to {schemas.LONGEST:,}")


def talk(body: schemas.Chat, model: Model, turns: list[Said]) -> list[Job]:
    """Answers of a model that talks."""
    refused.check_answers(body, {"text", "image"})
    if body.size not in (None, "auto") and fields.read_size(body.size, model, []) != model.size:
        raise refused.refuse("size", "is what the model chooses in a conversation: leave it out")
    params, word_marks = fields.read_params(model, body.dials()), each_id if body.stream else never
    return [
        Job(chat(model.parts, turns, seed, params, most_of(body)), word_marks=word_marks)
        for seed in derive_seeds(body.seed, body.n or 1)
    ]


def plain(body: schemas.Chat, model: Model, turns: list[Said], request: Request) -> list[Job]:
    """Drawings or captions of a model that does nothing else.

    Args:
        request: whose answer says what the client should know.

    Raises:
        ApiError: neither is asked for.
    """
    words = " ".join(part for part in turns[-1] if isinstance(part, str))
    pictures = [part for part in turns[-1] if isinstance(part, Picture)]
    if not pictures:
        refused.check_answers(body, {"image"})
        size = asked_size(body.size, request, model)
        refused.check_room(body, most_of(body), size, model)
        params, grid = fields.read_params(model, body.dials()), model.parts.layout.grid_of(size)
        seeds = derive_seeds(body.seed, body.n or 1)
        return [Job(draw(model.parts, words, seed, grid, params)) for seed in seeds]
    if len(pictures) > 1 or len(words) > FEW_WORDS:
        require(model.folder, "talking")
    refused.check_answers(body, {"text"})
    refused.check_caption(body)
    # One candidate, whose words a stream can show as they come.
    how: dict[str, Any] = {"temperature": body.temperature or 0.0, "candidates": 1, "most": most_of(body)}
    word_marks = each_id if body.stream else never
    return [
        Job(
            caption.caption_codes(model.parts, pictures[0].codes, language_of(words), seed, **how),
            word_marks=word_marks,
        )
        for seed in derive_seeds(body.seed or 0, body.n or 1)
    ]


def read_by(model: Model, turns: list[Said]) -> tuple[int, int]:
    """Ids of words and of pictures in what was said."""
    parts = [part for turn in turns for part in turn]
    words = sum(model.parts.layout.count_tokens(part) for part in parts if isinstance(part, str))
    return words, sum(part.codes.size for part in parts if isinstance(part, Picture))


class Reply:
    """An answer in OpenAI's form.

    Args:
        read: ids of words and of pictures that were read.
        warnings: what the client should know, as fields of the answer.
    """

    def __init__(self, service: Service, read: tuple[int, int], body: schemas.Chat, warnings: dict[str, Any]):
        self.service, self.model, self.read, self.body = service, service.model, read, body
        self.warnings = warnings
        self.head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": self.model.name}

    def so_far(self, ids: Sequence[int]) -> tuple[str, str]:
        """The plan and the words among an answer's ids, which may be cut short."""
        reply = self.model.parts.layout.read_reply(ids)
        words = " ".join(part.strip() for part in reply.parts if isinstance(part, str)).strip()
        # A model that talks may say a thing again; a caption may not.
        return reply.plan, words if "talking" in self.model.folder.abilities else without_repeats(words)

    async def whole(self, ends: Sequence[Done]) -> dict[str, Any]:
        """The answer in one piece."""
        choices = []
        for place, end in enumerate(ends):
            plan, words = said(end)
            pictures = [await self.shown(picture) for picture in pictures_in(end.result)]
            message = {"role": "assistant", "content": words or None, "refusal": None, "images": pictures}
            if plan:
                message["reasoning_content"] = plan
            choices.append({"index": place, "message": message, "finish_reason": reason(end), "logprobs": None})
        answer: dict[str, Any] = {"object": "chat.completion", **self.head, "choices": choices}
        drawn = [picture for end in ends for picture in pictures_in(end.result)]
        return answer | {"usage": self.usage(ends)} | self.notes(drawn)

    def notes(self, drawn: Sequence[Picture]) -> dict[str, Any]:
        """Words that the model was not taught, where a picture was drawn, and warnings."""
        warnings: list[str] = list(self.warnings.get("warnings", []))
        warnings += self.model.parts.layout.warnings(drawn[0].prompt, draws=False) if drawn else []
        return (files.unknown(drawn[0]) if drawn else {}) | ({"warnings": warnings} if warnings else {})

    async def events(self, subscription: Subscription) -> AsyncIterator[dict[str, Any] | None]:
        """Words as they come, pictures when they are there."""
        spoken, ends = [Spoken() for _ in subscription.jobs], []
        for place in range(len(spoken)):
            yield self.chunk(place, {"role": "assistant", "content": ""}) | self.warnings
        async for place, event in subscription.follow():
            if event is None:
                yield None
            elif isinstance(event, Progress) and event.codes is None:
                plan, words = self.so_far(event.ids)
                for delta in spoken[place].deltas(plan if words else "", words, whole=False):
                    yield self.chunk(place, delta)
            elif isinstance(event, Done):
                ends.append(event)
                for delta in spoken[place].deltas(*said(event), whole=True):
                    yield self.chunk(place, delta)
                pictures = pictures_in(event.result)
                for picture in pictures:
                    yield self.chunk(place, {"images": [await self.shown(picture)]})
                last = self.chunk(place, {}, reason(event))
                yield last | self.notes(pictures) if pictures else last
        if self.body.stream_options and self.body.stream_options.include_usage:
            yield {"object": "chat.completion.chunk", **self.head, "choices": [], "usage": self.usage(ends)}

    async def shown(self, picture: Picture) -> dict[str, Any]:
        return {"type": "image_url", "image_url": {"url": files.data_url(await self.service.encode(picture))}}

    def chunk(self, place: int, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": place, "delta": delta, "finish_reason": reason, "logprobs": None}
        return {"object": "chat.completion.chunk", **self.head, "choices": [choice]}

    def usage(self, ends: Sequence[Done]) -> dict[str, Any]:
        """Ids read and drafted."""
        words, pictures = self.read
        made = sum(end.tokens for end in ends)
        drawn = sum(picture.codes.size for end in ends for picture in pictures_in(end.result))
        return {
            "prompt_tokens": words + pictures,
            "completion_tokens": made,
            "total_tokens": words + pictures + made,
            "prompt_tokens_details": {"text_tokens": words, "image_tokens": pictures, "cached_tokens": 0},
            "completion_tokens_details": {"text_tokens": max(0, made - drawn), "image_tokens": drawn},
        }


class Spoken:
    """What a stream has sent of an answer's words so far."""

    def __init__(self) -> None:
        self.plan, self.words = "", ""

    def deltas(self, plan: str, words: str, whole: bool) -> Iterator[dict[str, str]]:
        """The parts of a message that are new.

        Args:
            whole: nothing will follow; else the last character may be half of one, and waits.
        """
        if plan and not self.plan:
            self.plan = plan
            yield {"reasoning_content": plan}
        new = words.startswith(self.words) and words != self.words and (whole or not words.endswith("\ufffd"))
        if new:
            yield {"content": words[len(self.words) :]}
            self.words = words


def said(end: Done) -> tuple[str, str]:
    """An answer's plan and its words."""
    if isinstance(end.result, Answer):
        return end.result.plan, " ".join(part for part in end.result.parts if isinstance(part, str))
    return "", end.result if isinstance(end.result, str) else ""


def reason(end: Done) -> str:
    """Why an answer ends: "length" where it was cut off, or where the picture that it plans has no room."""
    cut = end.result.cut if isinstance(end.result, Answer) else not getattr(end.result, "ended", True)
    return "length" if cut else "stop"
