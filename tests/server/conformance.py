"""Checks what clients rely on with the real ``openai`` client: python conformance.py http://127.0.0.1:8000

It needs only ``openai``, so that any version of it can be tested in its own environment. The server may require the key
in $LANTU_API_KEY. Editing and talking are checked as far as the server's model has these abilities.
"""

import base64
import io
import json
import os
import struct
import sys
import urllib.request
import zlib

import openai

PNG, JPEG = b"\x89PNG", b"\xff\xd8"


def size_of(png):
    assert png[:4] == PNG
    return struct.unpack(">II", png[16:24])


def plain_png(width, height, pixel, holes=None):
    """A PNG of one colour; with ``holes``, an RGBA one that is transparent there."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = []
    for y in range(height):
        row = b"\0"
        for x in range(width):
            row += pixel if holes is None else pixel + (b"\0" if holes(x, y) else b"\xff")
        rows.append(row)
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if holes is None else 6, 0, 0, 0)
    return (
        PNG
        + b"\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"".join(rows)))
        + chunk(b"IEND", b"")
    )


def refused(call, kind, status):
    """The error that a call must raise."""
    problem = None
    try:
        call()
    except kind as raised:
        problem = raised
    assert problem is not None, "the call was not refused"
    assert problem.status_code == status, problem
    assert isinstance(problem.body, dict), problem.body
    assert {"message", "type", "param", "code"} <= set(problem.body), problem.body
    assert problem.request_id, "no request id"
    return problem


def models(client, about):
    (model,) = client.models.list().data
    assert (model.id, model.object, model.owned_by) == (about["name"], "model", "lantu")
    assert client.models.retrieve(model.id).id == model.id
    refused(lambda: client.models.retrieve("gpt-image-9"), openai.NotFoundError, 404)


def generations(client, about):
    (width, height), codes = about["size"], about["grid"][0] * about["grid"][1]
    request = {"prompt": "a cat", "model": about["name"], "extra_body": {"seed": 7}}
    answer = client.images.generate(**request)
    first = base64.b64decode(answer.data[0].b64_json)
    assert size_of(first) == (width, height)
    assert (answer.usage.input_tokens_details.image_tokens, answer.usage.output_tokens) == (0, codes)
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert answer.created > 0
    everything = client.images.generate(
        **request,
        n=3,
        size="auto",
        quality="auto",
        response_format="b64_json",
        output_format="png",
        output_compression=100,
        background="auto",
        moderation="auto",
        user="someone",
        style="vivid",
        stream=False,
        partial_images=0,
    )
    files = [base64.b64decode(image.b64_json) for image in everything.data]
    assert len(set(files)) == 3
    assert files[0] == first, "the same seed gave a different picture"
    fields = (
        "n",
        "size",
        "quality",
        "response_format",
        "output_format",
        "output_compression",
        "background",
        "moderation",
        "style",
        "stream",
        "partial_images",
        "model",
    )
    nulls = client.images.generate(prompt="a cat", extra_body=dict.fromkeys(fields) | {"seed": 7, "guidance": None})
    assert base64.b64decode(nulls.data[0].b64_json) == first
    dialled = client.images.generate(prompt="a cat", extra_body={"seed": 7, "guidance": 5.0, "temperature": 2.0})
    assert base64.b64decode(dialled.data[0].b64_json) != first
    for form, start in (("jpeg", JPEG), ("webp", b"RIFF")):
        image = client.images.generate(prompt="a cat", output_format=form, output_compression=50)
        assert base64.b64decode(image.data[0].b64_json).startswith(start)
        assert image.output_format == form
    sized = client.images.generate(prompt="a cat", size=f"{width * 2}x{height}")
    assert size_of(base64.b64decode(sized.data[0].b64_json)) == (width * 2, height)
    by_url = client.images.generate(**request, response_format="url")
    with urllib.request.urlopen(by_url.data[0].url) as answer:
        assert answer.read() == first
        assert answer.headers["content-type"] == "image/png"


def refusals(client, about):
    wrong = openai.BadRequestError
    problem = refused(lambda: client.images.generate(prompt="a", size="1023x1023"), wrong, 400)
    assert problem.code == "invalid_image", problem
    refused(lambda: client.images.generate(prompt=" "), wrong, 400)
    refused(lambda: client.images.generate(prompt="a", background="transparent"), wrong, 400)
    refused(lambda: client.images.generate(prompt="a", output_format="gif"), wrong, 400)
    problem = refused(lambda: client.images.generate(prompt="a", model="dall-e-3"), openai.NotFoundError, 404)
    assert (problem.code, problem.param) == ("model_not_found", "model")
    for body in ({"n": 11}, {"n": 0}, {"seed": "x"}, {"sede": 1}, {"partial_images": 4}):
        problem = refused(lambda body=body: client.images.generate(prompt="a", extra_body=body), wrong, 400)
        assert (problem.type, problem.param) == ("invalid_request_error", next(iter(body))), problem


def streamed(client, about):
    request = {"prompt": "a cat", "stream": True, "extra_body": {"seed": 7}}
    whole = client.images.generate(prompt="a cat", extra_body={"seed": 7}).data[0].b64_json
    for partial in (0, 1, 2, 3):
        events = list(client.images.generate(**request, partial_images=partial))
        kinds = ["image_generation.partial_image"] * partial + ["image_generation.completed"]
        assert [event.type for event in events] == kinds, [event.type for event in events]
        assert [event.partial_image_index for event in events[:-1]] == list(range(partial))
        assert events[-1].b64_json == whole, "the streamed picture is different"
        assert events[-1].usage.output_tokens == about["grid"][0] * about["grid"][1]
        assert all(event.size == "{}x{}".format(*about["size"]) and event.output_format == "png" for event in events)
    several = [event.type for event in client.images.generate(**request, n=2, partial_images=1)]
    assert several.count("image_generation.completed") == 2
    assert several.count("image_generation.partial_image") == 2


def edits(client, about):
    width, height = about["size"]
    picture = plain_png(width, height, b"\xff\0\0")
    mask = plain_png(width, height, b"\0\0\0", lambda x, y: x < width // 2 and y < height // 2)
    fill = {"image": ("a.png", picture), "mask": ("m.png", mask), "prompt": "a dog"}
    if "filling" not in about["learnt"]:
        assert refused(lambda: client.images.edit(**fill), openai.BadRequestError, 400).code == "not_learnt"
    else:
        answer = client.images.edit(**fill, n=2, size="auto", model=about["name"], extra_body={"seed": 1})
        assert len(answer.data) == 2
        assert answer.usage.input_tokens_details.image_tokens > 0
        assert size_of(base64.b64decode(answer.data[0].b64_json)) == (width, height)
        drawn = client.images.generate(prompt="a cat", extra_body={"seed": 7}).data[0].b64_json  # it contains its codes
        client.images.edit(image=io.BytesIO(base64.b64decode(drawn)), mask=("m.png", mask), prompt="a dog")
        kinds = [event.type for event in client.images.edit(**fill, stream=True, partial_images=2)]
        assert kinds == ["image_edit.partial_image"] * 2 + ["image_edit.completed"], kinds
        small = ("m.png", plain_png(8, 8, b"\0\0\0", lambda x, y: True))
        refused(lambda: client.images.edit(**{**fill, "mask": small}), openai.BadRequestError, 400)
        refused(lambda: client.images.edit(**fill, size=f"{2 * width}x{height}"), openai.BadRequestError, 400)
    instruct = {"image": [("a.png", picture), ("b.png", picture)], "prompt": "a dog on the left"}
    if "talking" not in about["learnt"]:
        assert refused(lambda: client.images.edit(**instruct), openai.BadRequestError, 400).code == "not_learnt"
        return
    try:
        client.images.edit(**instruct)
    except openai.BadRequestError as problem:
        if problem.code != "no_picture":  # the model may answer with text
            raise


def chat(client, about):
    draw = [{"role": "user", "content": "a cat"}]
    request = {"model": about["name"], "messages": draw, "seed": 7}
    answer = client.chat.completions.create(**request)
    message, reason = answer.choices[0].message, answer.choices[0].finish_reason
    assert (message.role, reason in ("stop", "length")) == ("assistant", True)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    pictures = (message.model_extra or {})["images"]
    if "talking" not in about["learnt"]:
        assert len(pictures) == 1
        assert message.content is None
    several = client.chat.completions.create(**request, n=2)
    assert [choice.index for choice in several.choices] == [0, 1]
    words, drawn, reasons = "", [], []
    for chunk in client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True}):
        for choice in chunk.choices:
            words += choice.delta.content or ""
            drawn += (choice.delta.model_extra or {}).get("images", [])
            reasons.append(choice.finish_reason)
        usage = chunk.usage
    assert words == (message.content or ""), (words, message.content)
    assert drawn == pictures, "the streamed answer is different"
    assert reasons[-1] == reason
    assert usage == answer.usage, (usage, answer.usage)
    url = "data:image/png;base64," + base64.b64encode(plain_png(*about["size"], b"\xff\0\0")).decode()
    content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    caption = client.chat.completions.create(**{**request, "messages": [{"role": "user", "content": content}]})
    assert caption.choices[0].message.role == "assistant"
    web = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    with_web_url = {**request, "messages": [{"role": "user", "content": web}]}
    refused(lambda: client.chat.completions.create(**with_web_url), openai.BadRequestError, 400)
    refused(lambda: client.chat.completions.create(**{**request, "model": "gpt-9"}), openai.NotFoundError, 404)
    refused(lambda: client.chat.completions.create(**request, logprobs=True), openai.BadRequestError, 400)


def main(url):
    key = os.environ.get("LANTU_API_KEY", "none")
    request = urllib.request.Request(f"{url}/v1/lantu/info", headers={"authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request) as answer:
        about = json.load(answer)
    client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
    for check in (models, generations, refusals, streamed, edits, chat):
        check(client, about)
        print(f"{check.__name__}: passed")
    print(f"openai {openai.__version__}: all passed")


if __name__ == "__main__":
    main(sys.argv[1])
