"""OpenAI's conversations, with pictures in and out.

A model that has learnt talking decides by itself whether it answers in words, in pictures or in both, and reads all
that was said before. One that has not still does what it can: a message of words alone is drawn, and a message with a
picture and few words or none is answered with the picture's caption; what was said before is not read.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from lantu.errors import PromptError
from lantu.pipeline import Model
from lantu.server import files, refused, schemas, uploads, wishes
from lantu.server.answers import Stream, Subscription, finished
from lantu.server.bodies import Route
from lantu.server.errors import ApiError, not_learnt
from lantu.server.intake import affordable
from lantu.server.jobs import Done, Progress, Ticket
from lantu.server.service import ERRORS, Service, Serving, chat_told
from lantu.server.shown import asked_size, warnings_of
from lantu.server.shown import shown as seen
from lantu.tasks.requests import language_of
from lantu.tokens import document
from lantu.tokens.repetition import without_repeats
from lantu.types import Picture

router = APIRouter(prefix="/v1/chat", tags=["openai"], responses=dict(ERRORS), route_class=Route)
FEW_WORDS = 40  # characters that may stand beside a picture that is to be captioned, e.g. "What is this?"
Said = list[str | Picture]


@router.post("/completions", response_class=Response, responses=chat_told())
async def completions(body: schemas.Chat, request: Request, service: Serving) -> Response:
    """Answer what was said and shown. Pictures are in ``message.images``, or ``delta.images`` of a stream."""
    service.check_model(body.model)
    refused.check_chat(body)
    turns = await heard(body.messages, request, service)
    model = service.model
    request.state.prompt = " ".join(part for part in turns[-1] if isinstance(part, str))
    talks = "talking" in model.folder.learnt
    check_length(turns if talks else turns[-1:])
    tickets = talk(body, model, turns) if talks else plain(body, model, turns, request)
    # One that only draws reads the last message alone: a refused one before it must not end the conversation.
    said = "\n".join(part for turn in turns for part in turn if isinstance(part, str))
    subscription = await service.subscription(request, tickets, said if talks else request.state.prompt)
    reply = Reply(service, read_by(model, turns if talks else turns[-1:]), body, warnings_of(request))
    if body.stream:
        return Stream(reply.events(subscription), subscription, service.count)
    return JSONResponse(await reply.whole(await finished(request, subscription), tickets))


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


def talk(body: schemas.Chat, model: Model, turns: list[Said]) -> list[Ticket]:
    """Tickets for a model that talks."""
    refused.check_answers(body, {"text", "image"})
    if body.size not in (None, "auto") and wishes.parse_size(body.size, model, []) != model.size:
        raise refused.refuse("size", "is what the model chooses in a conversation: leave it out")
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


def plain(body: schemas.Chat, model: Model, turns: list[Said], request: Request) -> list[Ticket]:
    """Tickets for a model that draws and captions only.

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
        return wishes.drawings(model, words, body.n or 1, body.seed, size, body.dials())
    if len(pictures) > 1 or len(words) > FEW_WORDS:
        raise not_learnt(model.name, "talking")
    refused.check_answers(body, {"text"})
    refused.check_caption(body)
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
        warnings: what the client should know, as fields of the answer.
    """

    def __init__(self, service: Service, read: tuple[int, int], body: schemas.Chat, warnings: dict[str, Any]):
        self.service, self.model, self.read, self.body = service, service.model, read, body
        self.warnings = warnings
        self.head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": self.model.name}

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
            reason = self.reason(end, ticket)
            choices.append({"index": place, "message": message, "finish_reason": reason, "logprobs": None})
        told: dict[str, Any] = {"object": "chat.completion", **self.head, "choices": choices}
        drawn = [picture for end in ends for picture in end.pictures]
        return told | {"usage": self.usage(ends, tickets)} | self.told_of(drawn)

    def told_of(self, drawn: Sequence[Picture]) -> dict[str, Any]:
        """What to know of an answer: words that the model was not taught, where a picture was drawn, and warnings."""
        warnings: list[str] = list(self.warnings.get("warnings", []))
        warnings += self.model.warnings(drawn[0].prompt, draws=False) if drawn else []
        return (files.unknown(drawn[0]) if drawn else {}) | ({"warnings": warnings} if warnings else {})

    async def events(self, subscription: Subscription) -> AsyncIterator[dict[str, Any] | None]:
        """Words as they come, pictures when they are there."""
        sent, ends = [""] * len(subscription.tickets), []
        planned: set[int] = set()
        for place in range(len(subscription.tickets)):
            yield self.chunk(place, {"role": "assistant", "content": ""}) | self.warnings
        async for place, event in subscription.follow():
            ticket = subscription.tickets[place]
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
                last = self.chunk(place, {}, self.reason(event, ticket))
                yield last | self.told_of(event.pictures) if event.pictures else last
        if self.body.stream_options and self.body.stream_options.include_usage:
            yield {
                "object": "chat.completion.chunk",
                **self.head,
                "choices": [],
                "usage": self.usage(ends, subscription.tickets),
            }

    async def shown(self, picture: Picture) -> dict[str, Any]:
        return {"type": "image_url", "image_url": {"url": files.data_url(await self.service.encode(picture))}}

    def chunk(self, place: int, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": place, "delta": delta, "finish_reason": reason, "logprobs": None}
        return {"object": "chat.completion.chunk", **self.head, "choices": [choice]}

    def reason(self, end: Done, ticket: Ticket) -> str:
        """Why an answer ends; "length" also where there was no room for the picture that it wants to draw."""
        if is_drawing(ticket):
            return "stop"
        vocabulary = self.model.parts.vocabulary
        stopped = end.ids and end.ids[-1] == vocabulary.special("eos")
        wants = document.read_reply(end.ids, vocabulary, self.model.parts.text.decode).draws
        return "stop" if stopped and (end.pictures or not wants) else "length"

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
