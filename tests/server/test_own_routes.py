"""What OpenAI has no routes for."""

import base64
import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from running import serving

from lantu.models.lantu.controls import KINDS
from lantu.models.lantu.decoder.control import ControlNetwork
from lantu.models.lantu.decoder.network import PixelDecoder
from lantu.pipeline import Control, Model
from lantu.server.worker.jobs import Job
from lantu.tasks.caption import caption_codes
from lantu.tasks.chat import chat
from lantu.tasks.edit import changed
from lantu.tasks.run import run_one
from lantu.types import Picture


def opened(text):
    return Image.open(io.BytesIO(base64.b64decode(text)))


def test_a_drawing_is_told_row_by_row_and_is_the_one_drawn_offline(server, offline):
    events = server.events("/v1/lantu/draw", json={"prompt": "a cat", "seed": 5, "guidance": 3})
    told = [event for event in events if event["type"] == "codes"]
    assert [event["done"] for event in told] == [4, 8, 12]
    assert all(event["total"] == 16 for event in told)
    assert told[0]["codes"][1] == [-1] * 4
    assert opened(told[0]["preview"]).size == (32, 32)
    picture = events[-1]["picture"]
    wanted = offline.draw("a cat", seed=5, guidance=3)
    assert opened(picture["b64_json"]).tobytes() == wanted.image.tobytes()
    assert picture["codes"] == wanted.codes.tolist()
    assert (picture["seed"], picture["prompt"], picture["model"]) == (5, "a cat", "tiny")
    assert picture["settings"]["guidance"] == 3
    assert picture["digest"] == offline.digest
    assert set(picture["timings"]) == {"plan", "render", "total"}


def test_nulls_are_as_if_they_were_not_there(server):
    body = {"prompt": "a cat", "seed": None, "size": None, "previews": None, "guidance": None, "control": None}
    assert server.events("/v1/lantu/draw", json=body)[-1]["type"] == "completed"


def test_previews_can_be_left_out(server):
    events = server.events("/v1/lantu/draw", json={"prompt": "a cat", "previews": False})
    assert [event["preview"] for event in events if event["type"] == "codes"] == [None] * 3


def test_another_size(server):
    picture = server.events("/v1/lantu/draw", json={"prompt": "a cat", "size": "48x32"})[-1]["picture"]
    assert opened(picture["b64_json"]).size == (48, 32)


def test_a_saved_drawing_restores_prompt_and_codes(server):
    picture = server.events("/v1/lantu/draw", json={"prompt": "一只猫", "seed": 1})[-1]["picture"]
    read = server.post("/v1/lantu/read", files={"image": base64.b64decode(picture["b64_json"])}).json()
    assert (read["prompt"], read["seed"], read["codes"]) == ("一只猫", 1, picture["codes"])
    assert read["digest"] == picture["digest"]


def test_pictures_of_others_say_nothing_of_themselves(server, red):
    answer = server.post("/v1/lantu/read", files={"image": red})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_metadata")


def test_tokenize_and_render(server, offline, red):
    told = server.post("/v1/lantu/tokenize", files={"image": red}).json()
    assert told["size"] == [32, 32]
    assert told["codes"] == offline.tokenize(Image.open(io.BytesIO(red))).tolist()
    picture = server.post("/v1/lantu/render", json={"codes": told["codes"], "seed": 4, "steps": 3}).json()
    wanted = offline.render(np.array(told["codes"]), seed=4, steps=3)
    assert opened(picture["b64_json"]).tobytes() == wanted.image.tobytes()


def test_pictures_of_another_size_are_fitted_only_when_asked(server):
    file = io.BytesIO()
    Image.new("RGB", (50, 40), "blue").save(file, "jpeg")
    refused = server.post("/v1/lantu/tokenize", files={"image": file.getvalue()})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_image")
    assert server.post("/v1/lantu/tokenize", files={"image": file.getvalue()}, data={"fit": "true"}).is_success


def test_cells_are_drawn_anew_and_all_others_stay(server, offline, red):
    codes = offline.tokenize(Image.open(io.BytesIO(red))).tolist()
    body = {"codes": codes, "cells": [[0, 0], [3, 1]], "prompt": "a dog", "seed": 2}
    body["picture"] = base64.b64encode(red).decode()
    picture = server.events("/v1/lantu/redraw", json=body)[-1]["picture"]
    for row in range(4):
        for column in range(4):
            if [row, column] not in body["cells"]:
                assert picture["codes"][row][column] == codes[row][column]
    # Far from what is drawn anew no pixel changes.
    assert opened(picture["b64_json"]).getpixel((31, 8)) == (255, 0, 0)


def test_redrawing_is_what_editing_offline_gives(server, offline):
    drawn = offline.draw("a cat", seed=1)
    wanted = offline.edit(drawn, "a dog", box=(0, 0, 16, 16), seed=2)
    body = {"codes": drawn.codes.tolist(), "cells": [[0, 0], [0, 1], [1, 0], [1, 1]], "prompt": "a dog", "seed": 2}
    body["picture"] = base64.b64encode(file_of(drawn.image)).decode()
    picture = server.events("/v1/lantu/redraw", json=body)[-1]["picture"]
    assert picture["codes"] == wanted.codes.tolist()
    assert opened(picture["b64_json"]).tobytes() == wanted.image.tobytes()


def file_of(image):
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()


def test_instructions_end_in_the_picture_that_is_made_offline(server, offline):
    drawn = offline.draw("a cat", seed=1)
    wanted = offline.edit(drawn, "a dog", seed=2)
    body = {"codes": drawn.codes.tolist(), "instruction": "a dog", "seed": 2}
    told = server.events("/v1/lantu/instruct", json=body)
    assert [event["done"] for event in told if event["type"] == "codes"] == [4, 8, 12]
    assert told[-1]["picture"]["codes"] == wanted.codes.tolist()
    assert opened(told[-1]["picture"]["b64_json"]).tobytes() == wanted.image.tobytes()


def test_a_talk_goes_on_to_draw_what_it_planned(offline):
    drawn = offline.draw("a cat", seed=1)
    vocabulary, encode = offline.parts.vocabulary, offline.parts.text.encode
    plan, lantu, eos = map(vocabulary.special, ("plan", "assistant", "eos"))
    turns, params = [["a dog!", drawn]], offline.folder.settings

    def answered(ids, most=None):
        job = Job(chat(offline.parts, turns, 3, params, most))
        job.advance([ids])
        return job

    job = answered([plan, *encode("a dog"), eos])
    assert list(job.effect.requests) == [offline.parts.layout.change(turns, 3, params, "a dog")]
    job.advance([[vocabulary.code(n) for n in range(16)]])
    assert job.effect.codes.shape == (4, 4)
    for said in ([*encode("a dog"), eos], [plan, *encode("a dog"), lantu, *encode("yes"), eos], [plan, *encode("a")]):
        job = answered(said)
        assert job.effect is None
        assert not any(isinstance(part, Picture) for part in job.result.parts)
    job = answered([plan, *encode("a dog"), eos], most=10)  # no room for its codes
    assert (job.effect, job.result.cut) == (None, True)


def test_a_plan_alone_is_told_and_drawn(server, offline, red, monkeypatch):
    """The model is made to note a plan down and to say nothing."""
    vocabulary = offline.parts.vocabulary
    told = [vocabulary.special("plan"), *offline.parts.text.encode("a cat; a dog"), vocabulary.special("eos")]
    layout = server.service.model.parts.layout
    asking = layout.answer

    def planned(turns, seed, settings):
        return replace(asking(turns, seed, settings), allowed=lambda ids: (range(told[len(ids)], told[len(ids)] + 1),))

    monkeypatch.setattr(layout, "answer", planned)
    url = "data:image/png;base64," + base64.b64encode(red).decode()
    parts = [{"type": "text", "text": "a dog!"}, {"type": "image_url", "image_url": {"url": url}}]
    body = {"messages": [{"role": "user", "content": parts}], "seed": 4}
    seen = Picture(Image.open(io.BytesIO(red)), offline.tokenize(Image.open(io.BytesIO(red))))
    task = changed(offline.parts, [["a dog!", seen]], "a dog!", 4, offline.folder.settings, "a dog")
    wanted = run_one(offline.parts, task).image.tobytes()

    answer = server.post("/v1/chat/completions", json=body).json()
    (choice,) = answer["choices"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("stop", None)
    assert choice["message"]["reasoning_content"] == "a cat; a dog"
    assert opened(choice["message"]["images"][0]["image_url"]["url"].partition(",")[2]).tobytes() == wanted
    assert answer["usage"]["completion_tokens"] == len(told) + 16
    assert answer["usage"]["completion_tokens_details"]["image_tokens"] == 16

    deltas = [event["choices"][0] for event in server.events("/v1/chat/completions", json=body | {"stream": True})]
    assert [delta["delta"]["reasoning_content"] for delta in deltas if "reasoning_content" in delta["delta"]] == [
        "a cat; a dog"
    ]
    (shown,) = [delta["delta"]["images"] for delta in deltas if "images" in delta["delta"]]
    assert opened(shown[0]["image_url"]["url"].partition(",")[2]).tobytes() == wanted
    assert not any(delta["delta"].get("content") for delta in deltas)
    assert deltas[-1]["finish_reason"] == "stop"


def test_caption(server, offline):
    codes = [[0, 1, 2, 3]] * 4
    for language in ("en", "zh"):
        told = server.post("/v1/lantu/caption", json={"codes": codes, "language": language}).json()
        assert told == {"caption": run_one(offline.parts, caption_codes(offline.parts, np.array(codes), language))}


def test_words_that_were_never_taught_are_told(tiny_model, tmp_path):
    folder = tmp_path / "taught"
    shutil.copytree(tiny_model, folder)
    words = {"names": {"en": ["cat"], "zh": ["猫"]}, "words": {"en": ["left"], "zh": []}, "emoji": {}}
    (folder / "words.json").write_text(json.dumps(words), encoding="utf-8")
    unknown = [{"word": "catt", "nearest": ["cat"]}]
    with serving(folder) as server:
        told = server.post("/v1/images/generations", json={"prompt": "a catt", "n": 2}).json()
        assert [one["unknown_words"] for one in told["data"]] == [unknown] * 2
        assert "names nothing" in told["warnings"][0]
        assert "catt" in told["warnings"][1]
        done = server.events("/v1/lantu/draw", json={"prompt": "a catt and a cat"})[-1]["picture"]
        assert (done["unknown_words"], len(done["warnings"])) == (unknown, 1)
        told = server.post("/v1/images/generations", json={"prompt": "a cat"}).json()
        assert (told["data"][0]["unknown_words"], "warnings" in told) == ([], False)


def test_info(server, offline):
    told = server.client.get("/v1/lantu/info").json()
    assert (told["name"], told["size"], told["grid"], told["patch"]) == ("tiny", [32, 32], [4, 4], 8)
    assert told["learnt"] == ["filling", "talking", "planning"]
    assert told["controls"] == []
    assert told["dials"]["guidance"] == {"minimum": 0, "maximum": 20, "default": 2.0}
    assert str(offline.folder.path) not in str(told)


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("draw", {"prompt": ""}, "invalid_parameter"),
        ("draw", {"prompt": " "}, "invalid_prompt"),
        ("draw", {"prompt": "x" * 2001}, "invalid_prompt"),
        ("draw", {"prompt": "a", "size": "33x32"}, "invalid_image"),
        ("draw", {"prompt": "a", "size": "large"}, "invalid_value"),
        ("draw", {"prompt": "a", "sampler": "none"}, "invalid_value"),
        ("draw", {"prompt": "a", "sede": 1}, "unknown_parameter"),
        ("draw", {"prompt": "a", "seed": -1}, "invalid_parameter"),
        ("draw", {"prompt": "a", "control": {"picture": "AA=="}}, "invalid_image"),
        ("render", {"codes": [[0, 1], [2]]}, "invalid_codes"),
        ("render", {"codes": [[0, 99]]}, "invalid_codes"),
        ("render", {"codes": [[10**30]]}, "invalid_codes"),
        ("render", {"codes": []}, "invalid_parameter"),
        ("redraw", {"codes": [[0]], "cells": [[1, 0]], "prompt": "a"}, "invalid_codes"),
        ("caption", {"codes": [[0]], "language": "fr"}, "invalid_parameter"),
    ],
)
def test_bad_input_is_refused_with_a_reason(server, path, body, code):
    answer = server.post(f"/v1/lantu/{path}", json=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == code
    assert error["message"]
    assert "\n" not in error["message"]
    assert error["type"] == "invalid_request_error"


def test_a_controlled_drawing_is_the_one_drawn_offline(tiny_model, tmp_path, red):
    folder = tmp_path / "steered"
    shutil.copytree(tiny_model, folder)
    made = ControlNetwork.for_decoder(PixelDecoder.load(tiny_model / "decoder"))
    torch.manual_seed(0)
    for layer in (made.out, made.fit, made.picture):
        torch.nn.init.normal_(layer.weight, std=0.3)
    made.save(folder / "control")
    model = Model.load(folder, "cpu")
    wanted = model.draw("a cat", seed=5, control=Control(Image.open(io.BytesIO(red)), "colour", 2.0))
    assert not np.array_equal(wanted.codes, model.draw("a cat", seed=5).codes)
    body = {"prompt": "a cat", "seed": 5}
    with serving(folder) as server:
        assert server.client.get("/v1/lantu/info").json()["controls"] == list(KINDS)
        part = {"picture": base64.b64encode(red).decode(), "kind": "colour", "scale": 2.0}
        picture = server.events("/v1/lantu/draw", json=body | {"control": part})[-1]["picture"]
        assert picture["codes"] == wanted.codes.tolist()
        assert opened(picture["b64_json"]).tobytes() == wanted.image.tobytes()
        small = io.BytesIO()
        Image.new("RGB", (16, 16)).save(small, "png")
        part["picture"] = base64.b64encode(small.getvalue()).decode()
        assert server.post("/v1/lantu/draw", json=body | {"control": part}).status_code == 400


def test_control_needs_a_model_that_has_it(server, red):
    body = {"prompt": "a", "control": {"picture": base64.b64encode(red).decode()}}
    assert server.post("/v1/lantu/draw", json=body).status_code == 400
