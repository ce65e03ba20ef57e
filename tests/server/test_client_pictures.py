"""Pictures that clients send: when their codes are trusted, all colour modes, damaged files."""

import base64
import dataclasses
import io
import time

import numpy as np
import pytest
from PIL import Image
from running import serving

from hostile_pictures import damaged, described_by, drawn_file, file_of, hostile_descriptions, in_many_modes, text_of

OTHER = "its pixels are read, not its codes"
EDITS, CHAT = "/v1/images/edits", "/v1/chat/completions"


@pytest.fixture(scope="module")
def cat(offline):
    return offline.draw("a cat", seed=1)


@pytest.fixture(scope="module")
def swapped(offline, cat):
    """Another drawing's pixels with the cat's description."""
    return described_by(offline.draw("a dog", seed=8).image, text_of(drawn_file(cat)))


def edited(server, data):
    answer = server.post(EDITS, files={"image": ("a.png", data)}, data={"prompt": "a dog", "seed": "3"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def chat_about(data):
    url = "data:image/png;base64," + base64.b64encode(data).decode()
    content = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    return {"messages": [{"role": "user", "content": content}], "seed": 1, "max_tokens": 8}


def answer_of(answer):
    """The texts and pictures of a chat's answer."""
    return [(choice["message"]["content"], choice["message"]["images"]) for choice in answer["choices"]]


def test_edits_distrust_codes_of_other_pixels(server, offline, cat, swapped):
    plain = file_of(Image.open(io.BytesIO(swapped)).convert("RGB"))
    of_swapped, of_plain = edited(server, swapped), edited(server, plain)
    assert of_swapped["data"] == of_plain["data"]
    assert (len(of_swapped["warnings"]), OTHER in of_swapped["warnings"][0], "warnings" in of_plain) == (1, True, False)
    known = edited(server, drawn_file(cat))
    assert "warnings" not in known
    drawn = io.BytesIO(base64.b64decode(known["data"][0]["b64_json"]))
    assert Image.open(drawn).tobytes() == offline.edit(cat, "a dog", seed=3).image.tobytes()


def test_conversations_distrust_codes_of_other_pixels(server, cat, swapped):
    answer = server.post(CHAT, json=chat_about(swapped)).json()
    plain = file_of(Image.open(io.BytesIO(swapped)).convert("RGB"))
    assert answer_of(answer) == answer_of(server.post(CHAT, json=chat_about(plain)).json())
    assert OTHER in answer["warnings"][0]
    first, *_ = server.events(CHAT, json=chat_about(swapped) | {"stream": True})
    assert OTHER in first["warnings"][0]
    assert "warnings" not in server.post(CHAT, json=chat_about(drawn_file(cat))).json()


def test_read_distrusts_false_descriptions(server, cat, swapped):
    def read(data):
        answer = server.post("/v1/lantu/read", files={"image": data})
        return answer.status_code, answer.json().get("error", {}).get("code")

    honest = text_of(drawn_file(cat))
    old = {name: value for name, value in honest.items() if name != "pixels"}
    assert read(drawn_file(cat)) == (200, None)
    assert read(described_by(cat.image, old)) == (200, None)
    for data in (
        swapped,
        described_by(Image.new("RGB", (32, 32)), old),
        described_by(cat.image.resize((64, 64)), honest),
        described_by(cat.image, honest | {"model": "0" * 16}),
    ):
        assert read(data) == (404, "no_metadata")


def test_a_judge_sees_what_the_model_reads(tiny_model, offline, cat):
    red = Image.new("RGB", (32, 32), "red")
    smuggled = drawn_file(dataclasses.replace(cat, image=red))  # whose hash is that of the red pixels
    codes = cat.codes.tolist()
    judged = []

    def judge(prompt, image):
        judged.append(image and image.tobytes())

    with serving(tiny_model, judge=judge) as running:
        of_smuggled, of_red = edited(running, smuggled), edited(running, file_of(red))
        assert of_smuggled["data"] == of_red["data"]
        assert OTHER in of_smuggled["warnings"][0]
        assert "warnings" not in edited(running, drawn_file(cat))
        rendered = offline.render(cat.codes, seed=0).image.tobytes()
        judged.clear()
        assert running.post("/v1/lantu/caption", json={"codes": codes, "language": "en"}).is_success
        assert judged == [rendered]
        judged.clear()
        picture = base64.b64encode(file_of(red)).decode()
        body = {"codes": codes, "cells": [[0, 0]], "prompt": "a dog", "picture": picture}
        running.events("/v1/lantu/redraw", json=body)
        assert judged[:2] == [red.tobytes(), rendered]


def test_impossible_descriptions_are_ignored(server, cat):
    plain, texts = edited(server, file_of(cat.image)), hostile_descriptions(text_of(drawn_file(cat)))
    for name, text in texts.items():
        answer = server.post("/v1/lantu/read", files={"image": described_by(cat.image, text)})
        assert answer.status_code == 404, name
    for name in ("codes huge", "setting sampler 5", "deep"):
        answer = edited(server, described_by(cat.image, texts[name], late=True))
        assert answer["data"] == plain["data"], name
        assert "damaged" in answer["warnings"][0]


def test_a_picture_is_the_same_in_every_colour_mode(server, offline):
    levels = np.random.default_rng(3).integers(0, 8, (32, 32), dtype=np.uint8) * 36
    half = Image.new("L", (32, 32), 0)
    half.paste(255, (0, 0, 8, 8))
    grey, masks = Image.fromarray(levels).convert("RGB"), in_many_modes(half)
    codes, expected = offline.tokenize(grey).tolist(), None
    for name, (picture, _) in in_many_modes(grey).items():
        if name not in ("L", "RGB", "LA", "P", "RGBA", "I;16"):
            continue
        data = file_of(picture)
        assert server.post("/v1/lantu/tokenize", files={"image": data}).json()["codes"] == codes, name
        files = {"image": ("a.png", data), "mask": ("m.png", file_of(masks[name][0]))}
        data_of_answer = server.post(EDITS, files=files, data={"prompt": "a dog", "seed": "3"}).json()["data"]
        expected = expected or data_of_answer
        assert data_of_answer == expected, name


def check_damaged(server, cat, numbers):
    """Every damaged picture is answered or refused with a message, and soon."""
    for number in numbers:
        data, started = damaged(number, cat), time.monotonic()
        answers = [server.post(f"/v1/lantu/{name}", files={"image": data}) for name in ("tokenize", "read")]
        if number % 5 == 0:
            answers.append(server.post(EDITS, files={"image": ("a", data)}, data={"prompt": "a dog"}))
            answers.append(server.post(CHAT, json=chat_about(data)))
        assert time.monotonic() - started < 30, number
        for answer in answers:
            assert answer.status_code in (200, 400, 404, 413, 422), (number, answer.text)
            assert answer.status_code == 200 or answer.json()["error"]["message"], number


def test_damaged_uploads(server, cat):
    check_damaged(server, cat, range(50))


@pytest.mark.slow
def test_many_damaged_uploads(server, cat):
    check_damaged(server, cat, range(50, 550))
