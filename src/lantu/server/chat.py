"""OpenAI's conversations, with pictures in and out.

A model that has learnt talking decides by itself whether it answers in words, in pictures or in both, and reads all
that was said before. One that has not still does what it can: a message of words alone is drawn, and a message with a
picture and few words or none is answered with the picture's caption; what was said before is not read.
"""

import secrets
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from lantu import document
from lantu.errors import PromptError
from lantu.pipeline import Model
from lantu.repetition import without_repeats
from lantu.requests import language_of
from lantu.server import files, schemas, uploads, wishes
from lantu.server.answers import Errand, Stream, finished
from lantu.server.errors import ApiError, not_learnt
from lantu.server.service import ERRORS, Service, Serving, chat_told
from lantu.server.shown import shown as seen
from lantu.server.shown import warnings
from lantu.server.tickets import Done, Progress, Ticket
from lantu.types import Picture

router = APIRouter(prefix="/v1/chat", tags=["openai"], responses=dict(ERRORS))
FEW_WORDS = 40  # characters that may stand beside a picture that is to be captioned, e.g. "What is this?"
MOST_PICTURES = 16
Said = list[str | Picture]


@router.post("/completions", response_class=Response, responses=chat_told())
async def completions(body: schemas.Chat, request: Request, service: Serving) -> Response:
    """Answer what was said and shown. Pictures are in ``message.images``, or ``delta.images`` of a stream."""
    check(body, service)
    turns = await heard(body.messages, request, service)
    model = service.model
    request.state.prompt = " ".join(part for part in turns[-1] if isinstance(part, str))
    talks = "talking" in model.folder.learnt
    tickets = talk(body, model, turns) if talks else plain(body, model, turns)
    # One that only draws reads the last message alone: a refused one before it must not end the conversation.
    said = "\n".join(part for turn in turns for part in turn if isinstance(part, str))
    errand = await service.errand(request, tickets, said if talks else request.state.prompt)
    reply = Reply(service, read_by(model, turns), body, warnings(request))
    if body.stream:
        return Stream(reply.events(errand), errand, service.count)
    return JSONResponse(await reply.whole(await finished(request, errand), tickets))


def check(body: schemas.Chat, service: Service) -> None:
    """Refuse what would be answered otherwise than asked.

    Raises:
        ApiError: there is such a wish.
    """
    service.check_model(body.model)
    wrong = {
        "response_format": (body.response_format or {}).get("type", "text") != "text",
        "logprobs": bool(body.logprobs),
        "audio": body.audio is not None,
        "modalities": not set(body.modalities or ()) <= {"text", "image"},
        "tool_choice": body.tool_choice not in (None, "none", "auto"),
    }
    for name, refused in wrong.items():
        if refused:
            raise ApiError(400, f"{name} can't be had here: leave it out", "unsupported_value", name)


async def heard(messages: Sequence[schemas.Message], request: Request, service: Service) -> list[Said]:
    """What was said by turns, the user first; what a system says is said by the user.

    Raises:
        ApiError: the last word is not the user's.
    """
    turns: list[tuple[bool, Said]] = []
    shown = 0
    for number, message in enumerate(messages):
        parts = [message.content] if isinstance(message.content, str) else message.content or []
        said: Said = []
        for part in [*parts, *(message.images or [])]:
            if isinstance(part, str):
                said += [part] if part.strip() else []
            elif isinstance(part, schemas.TextPart):
                said += [part.text] if part.text.strip() else []
            else:
                shown += 1
                if shown > MOST_PICTURES:
                    raise ApiError(400, f"{MOST_PICTURES} pictures are the most", "unsupported_value", "messages")
                param = f"messages.{number}.image_url"
                data = uploads.from_url(part.image_url.url, param)
                said.append(await seen(data, param, request, service, fit=True))
        speaks = message.role != "assistant"
        if turns and turns[-1][0] == speaks:
            turns[-1][1].extend(said)
        else:
            turns.append((speaks, said))
    if not turns[-1][0] or not turns[-1][1]:
        raise PromptError("there is nothing to answer", "end with a message of the user")
    return [said for _, said in (turns if turns[0][0] else turns[1:])]


def most_of(body: schemas.Chat) -> int | None:
    """Ids of an answer in words, at most."""
    return body.max_completion_tokens or body.max_tokens


def talk(body: schemas.Chat, model: Model, turns: list[Said]) -> list[Ticket]:
    """Tickets for a model that talks."""
    return wishes.talks(
        model,
        turns[-1],
        turns[:-1],
        body.n or 1,
        body.seed,
        body.dials(),
        most=most_of(body),
        marks=None if body.stream else frozenset(),
    )


def plain(body: schemas.Chat, model: Model, turns: list[Said]) -> list[Ticket]:
    """Tickets for a model that draws and captions only.

    Raises:
        ApiError: neither is asked for.
    """
    words = " ".join(part for part in turns[-1] if isinstance(part, str))
    pictures = [part for part in turns[-1] if isinstance(part, Picture)]
    if not pictures:
        size = wishes.parse_size(body.size, model)
        return wishes.drawings(model, words, body.n or 1, body.seed, size, body.dials())
    if len(pictures) > 1 or len(words) > FEW_WORDS:
        raise not_learnt(model.name, "talking")
    return wishes.captions(
        model,
        pictures[0].codes,
        language_of(words) or "en",
        body.n or 1,
        body.seed or 0,
        body.temperature or 0.0,
        most=most_of(body),
        marks=None if body.stream else frozenset(),
    )


def read_by(model: Model, turns: list[Said]) -> tuple[int, int]:
    """Ids of words and of pictures in what was said."""
    parts = [part for turn in turns for part in turn]
    words = sum(len(model.parts.text.encode(part)) for part in parts if isinstance(part, str))
    return words, sum(part.codes.size for part in parts if isinstance(part, Picture))


class Reply:
    """An answer in OpenAI's form.

    Args:
        read: ids of words and of pictures that were read.
        warnings: what the client should know of its pictures.
    """

    def __init__(self, service: Service, read: tuple[int, int], body: schemas.Chat, warnings: Sequence[str] = ()):
        self.service, self.model, self.read, self.body = service, service.model, read, body
        self.head: dict[str, Any] = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": self.model.name,
        }
        self.warnings = {"warnings": list(warnings)} if warnings else {}

    def plan(self, ids: Sequence[int], ticket: Ticket) -> str:
        """What was noted down before an answer: as other servers tell what a model reasons."""
        if not ticket.noted and is_drawing(ticket):
            return ""
        return document.read_reply(ticket.noted or ids, self.model.parts.vocabulary, self.model.parts.text.decode).plan

    def words(self, ids: Sequence[int], drawn: bool) -> str:
        """The words among an answer's ids.

        Args:
            drawn: whether they are codes of a picture alone.
        """
        if drawn:
            return ""
        said = document.read_reply(ids, self.model.parts.vocabulary, self.model.parts.text.decode)
        words = " ".join(part.strip() for part in said.parts if isinstance(part, str)).strip()
        # A model that talks may say a thing again; a caption may not.
        return words if "talking" in self.model.folder.learnt else without_repeats(words)

    async def whole(self, ends: Sequence[Done], tickets: Sequence[Ticket]) -> dict[str, Any]:
        choices = []
        for place, (end, ticket) in enumerate(zip(ends, tickets, strict=True)):
            pictures = [await self.shown(picture) for picture in end.pictures]
            message = {
                "role": "assistant",
                "content": self.words(end.ids, is_drawing(ticket)) or None,
                "refusal": None,
                "images": pictures,
            }
            if plan := self.plan(end.ids, ticket):
                message["reasoning_content"] = plan
            reason = self.reason(end.ids, ticket)
            choices.append({"index": place, "message": message, "finish_reason": reason, "logprobs": None})
        told: dict[str, Any] = {"object": "chat.completion", **self.head, "choices": choices}
        drawn = [picture for end in ends for picture in end.pictures]
        return told | {"usage": self.usage(ends, tickets)} | self.told_of(drawn)

    def told_of(self, drawn: Sequence[Picture]) -> dict[str, Any]:
        """What to know of an answer: words that the model was not taught, where a picture was drawn, and warnings."""
        warnings: list[str] = list(self.warnings.get("warnings", []))
        warnings += self.model.warnings(drawn[0].prompt, draws=False) if drawn else []
        return (files.unknown(drawn[0]) if drawn else {}) | ({"warnings": warnings} if warnings else {})

    async def events(self, errand: Errand) -> AsyncIterator[dict[str, Any] | None]:
        """Words as they come, pictures when they are there."""
        sent, ends = [""] * len(errand.tickets), []
        planned: set[int] = set()
        for place in range(len(errand.tickets)):
            yield self.chunk(place, {"role": "assistant", "content": ""}) | self.warnings
        async for place, event in errand.follow():
            ticket = errand.tickets[place]
            if event is None:
                yield None
            elif isinstance(event, Progress):
                words = self.words(event.ids, is_drawing(ticket))
                if words and place not in planned and (plan := self.plan(event.ids, ticket)):
                    yield self.chunk(place, {"reasoning_content": plan})
                    planned.add(place)
                # The end of what is there may be half a character.
                if words.startswith(sent[place]) and words != sent[place] and not words.endswith("\ufffd"):
                    yield self.chunk(place, {"content": words[len(sent[place]) :]})
                    sent[place] = words
            elif isinstance(event, Done):
                ends.append(event)
                words = self.words(event.ids, is_drawing(ticket))
                if place not in planned and (plan := self.plan(event.ids, ticket)):
                    yield self.chunk(place, {"reasoning_content": plan})
                if words.startswith(sent[place]) and words != sent[place]:
                    yield self.chunk(place, {"content": words[len(sent[place]) :]})
                for picture in event.pictures:
                    yield self.chunk(place, {"images": [await self.shown(picture)]})
                last = self.chunk(place, {}, self.reason(event.ids, ticket))
                yield last | self.told_of(event.pictures) if event.pictures else last
        if (self.body.stream_options or {}).get("include_usage"):
            yield {
                "object": "chat.completion.chunk",
                **self.head,
                "choices": [],
                "usage": self.usage(ends, errand.tickets),
            }

    async def shown(self, picture: Picture) -> dict[str, Any]:
        return {"type": "image_url", "image_url": {"url": files.data_url(await self.service.encode(picture))}}

    def chunk(self, place: int, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": place, "delta": delta, "finish_reason": reason, "logprobs": None}
        return {"object": "chat.completion.chunk", **self.head, "choices": [choice]}

    def reason(self, ids: Sequence[int], ticket: Ticket) -> str:
        """Why an answer ends."""
        stopped = is_drawing(ticket) or (ids and ids[-1] == self.model.parts.vocabulary.mark("eos"))
        return "stop" if stopped else "length"

    def usage(self, ends: Sequence[Done], tickets: Sequence[Ticket]) -> dict[str, Any]:
        """Ids read and drafted."""
        words, pictures = self.read
        made = sum(len(end.ids) for end in ends) + sum(len(ticket.noted) for ticket in tickets)
        drawn = sum(picture.codes.size for end in ends for picture in end.pictures)
        return {
            "prompt_tokens": words + pictures,
            "completion_tokens": made,
            "total_tokens": words + pictures + made,
            "prompt_tokens_details": {"text_tokens": words, "image_tokens": pictures, "cached_tokens": 0},
            "completion_tokens_details": {"text_tokens": max(0, made - drawn), "image_tokens": drawn},
        }


def is_drawing(ticket: Ticket) -> bool:
    """Whether a ticket drafts codes and nothing else."""
    return ticket.request is not None and ticket.request.stop is None
