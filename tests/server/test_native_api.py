"""The native routes."""

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

from lantu.images import metadata
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
    """A picture in base64, decoded."""
    return Image.open(io.BytesIO(base64.b64decode(text)))


def test_drawing_streams_each_row_and_gives_the_same_picture_as_offline(server, offline):
    events = server.events("/v1/lantu/draw", json={"prompt": "a cat", "seed": 5, "guidance": 3})
    progress = [event for event in events if event["type"] == "codes"]
    assert [event["done"] for event in progress] == [4, 8, 12]
    assert all(event["total"] == 16 for event in progress)
    assert progress[0]["codes"][1] == [-1] * 4
    assert opened(progress[0]["preview"]).size == (32, 32)
    picture = events[-1]["picture"]
    expected = offline.draw("a cat", seed=5, guidance=3)
    assert opened(picture["b64_json"]).tobytes() == expected.image.tobytes()
    assert picture["codes"] == expected.codes.tolist()
    assert (picture["seed"], picture["prompt"], picture["model"]) == (5, "a cat", "tiny")
    assert picture["settings"]["guidance"] == 3
    assert picture["digest"] == offline.digest
    assert set(picture["timings"]) == {"plan", "render", "total"}


def test_a_null_counts_as_not_given(server):
    body = {"prompt": "a cat", "seed": None, "size": None, "previews": None, "guidance": None, "control": None}
    assert server.events("/v1/lantu/draw", json=body)[-1]["type"] == "completed"


def test_previews_can_be_turned_off(server):
    events = server.events("/v1/lantu/draw", json={"prompt": "a cat", "previews": False})
    assert [event["preview"] for event in events if event["type"] == "codes"] == [None] * 3


def test_another_size(server):
    picture = server.events("/v1/lantu/draw", json={"prompt": "a cat", "size": "48x32"})[-1]["picture"]
    assert opened(picture["b64_json"]).size == (48, 32)


def test_a_saved_drawing_contains_its_prompt_and_codes(server):
    picture = server.events("/v1/lantu/draw", json={"prompt": "一只猫", "seed": 1})[-1]["picture"]
    read = server.post("/v1/lantu/read", files={"image": base64.b64decode(picture["b64_json"])}).json()
    assert (read["prompt"], read["seed"], read["codes"]) == ("一只猫", 1, picture["codes"])
    assert read["digest"] == picture["digest"]


def test_other_pictures_have_no_metadata(server, red):
    answer = server.post("/v1/lantu/read", files={"image": red})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_metadata")


def test_tokenize_and_render(server, offline, red):
    answer = server.post("/v1/lantu/tokenize", files={"image": red}).json()
    assert answer["size"] == [32, 32]
    assert answer["codes"] == offline.tokenize(Image.open(io.BytesIO(red))).tolist()
    picture = server.post("/v1/lantu/render", json={"codes": answer["codes"], "seed": 4, "steps": 3}).json()
    expected = offline.render(np.array(answer["codes"]), seed=4, steps=3)
    assert opened(picture["b64_json"]).tobytes() == expected.image.tobytes()


def test_pictures_of_another_size_need_fit(server):
    file = io.BytesIO()
    Image.new("RGB", (50, 40), "blue").save(file, "jpeg")
    refused = server.post("/v1/lantu/tokenize", files={"image": file.getvalue()})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_image")
    assert server.post("/v1/lantu/tokenize", files={"image": file.getvalue()}, data={"fit": "true"}).is_success


def test_redrawing_cells_keeps_all_others(server, offline, red):
    codes = offline.tokenize(Image.open(io.BytesIO(red))).tolist()
    body = {"codes": codes, "cells": [[0, 0], [3, 1]], "prompt": "a dog", "seed": 2}
    body["picture"] = base64.b64encode(red).decode()
    picture = server.events("/v1/lantu/redraw", json=body)[-1]["picture"]
    for row in range(4):
        for column in range(4):
            if [row, column] not in body["cells"]:
                assert picture["codes"][row][column] == codes[row][column]
    # Pixels far from the redrawn cells do not change.
    assert opened(picture["b64_json"]).getpixel((31, 8)) == (255, 0, 0)


def test_redrawing_gives_the_same_picture_as_editing_offline(server, offline):
    drawn = offline.draw("a cat", seed=1)
    expected = offline.edit(drawn, "a dog", box=(0, 0, 16, 16), seed=2)
    body = {"codes": drawn.codes.tolist(), "cells": [[0, 0], [0, 1], [1, 0], [1, 1]], "prompt": "a dog", "seed": 2}
    body["picture"] = base64.b64encode(file_of(drawn.image)).decode()
    picture = server.events("/v1/lantu/redraw", json=body)[-1]["picture"]
    assert picture["codes"] == expected.codes.tolist()
    assert opened(picture["b64_json"]).tobytes() == expected.image.tobytes()


def file_of(image):
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()


def test_parameters_that_a_task_does_not_have_are_named(server, offline):
    codes = offline.draw("a cat", seed=1).codes.tolist()
    given = {"seed": 2, "guidance": 4, "shots": 0, "steps": 1}
    calls = (
        ("instruct", {"instruction": "a dog"}, "guidance, shots: no effect on an instruction"),
        ("redraw", {"cells": [[0, 0]], "prompt": "a dog"}, "shots: no effect on filling"),
    )
    for route, body, said in calls:
        picture = server.events(f"/v1/lantu/{route}", json={"codes": codes, **body, **given})[-1]["picture"]
        assert said in picture["warnings"]
    rendered = server.post("/v1/lantu/render", json={"codes": codes, **given}).json()
    assert "guidance, shots: no effect on rendering" in rendered["warnings"]
    body = {"messages": [{"role": "user", "content": "a cat"}], "guidance": 4, "max_tokens": 4}
    assert server.post("/v1/chat/completions", json=body).json()["warnings"] == ["guidance: no effect on an answer"]


def test_instructions_give_the_same_picture_as_offline(server, offline):
    drawn = offline.draw("a cat", seed=1)
    expected = offline.edit(drawn, "a dog", seed=2)
    body = {"codes": drawn.codes.tolist(), "instruction": "a dog", "seed": 2}
    events = server.events("/v1/lantu/instruct", json=body)
    assert [event["done"] for event in events if event["type"] == "codes"] == [4, 8, 12]
    assert events[-1]["picture"]["codes"] == expected.codes.tolist()
    assert opened(events[-1]["picture"]["b64_json"]).tobytes() == expected.image.tobytes()


def test_an_answer_with_a_plan_alone_draws_the_plan(offline):
    drawn = offline.draw("a cat", seed=1)
    vocabulary, encode = offline.parts.vocabulary, offline.parts.text.encode
    plan, lantu, eos = map(vocabulary.special, ("plan", "assistant", "eos"))
    turns, params = [["a dog!", drawn]], offline.folder.settings

    def job_after(ids, most=None):
        job = Job(chat(offline.parts, turns, 3, params, most))
        job.advance([ids])
        return job

    job = job_after([plan, *encode("a dog"), eos])
    assert list(job.effect.requests) == [offline.parts.layout.change(turns, 3, params, "a dog")]
    job.advance([[vocabulary.code(n) for n in range(16)]])
    assert job.effect.codes.shape == (4, 4)
    for ids in ([*encode("a dog"), eos], [plan, *encode("a dog"), lantu, *encode("yes"), eos], [plan, *encode("a")]):
        job = job_after(ids)
        assert job.effect is None
        assert not any(isinstance(part, Picture) for part in job.result.parts)
    job = job_after([plan, *encode("a dog"), eos], most=10)  # too few tokens for the codes
    assert (job.effect, job.result.cut) == (None, True)


def test_a_plan_alone_is_sent_and_drawn(server, offline, red, monkeypatch):
    """The model is forced to answer with a plan and no text."""
    vocabulary = offline.parts.vocabulary
    plan_ids = [vocabulary.special("plan"), *offline.parts.text.encode("a cat; a dog"), vocabulary.special("eos")]
    layout = server.service.model.parts.layout
    answer_request = layout.answer

    def answer_with_plan(turns, seed, settings):
        return replace(
            answer_request(turns, seed, settings),
            allowed=lambda ids: (range(plan_ids[len(ids)], plan_ids[len(ids)] + 1),),
        )

    monkeypatch.setattr(layout, "answer", answer_with_plan)
    url = "data:image/png;base64," + base64.b64encode(red).decode()
    parts = [{"type": "text", "text": "a dog!"}, {"type": "image_url", "image_url": {"url": url}}]
    body = {"messages": [{"role": "user", "content": parts}], "seed": 4}
    picture = Picture(Image.open(io.BytesIO(red)), offline.tokenize(Image.open(io.BytesIO(red))))
    task = changed(offline.parts, [["a dog!", picture]], "a dog!", 4, offline.folder.settings, "a dog")
    expected = run_one(offline.parts, task).image.tobytes()

    answer = server.post("/v1/chat/completions", json=body).json()
    (choice,) = answer["choices"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("stop", None)
    assert choice["message"]["reasoning_content"] == "a cat; a dog"
    assert opened(choice["message"]["images"][0]["image_url"]["url"].partition(",")[2]).tobytes() == expected
    assert answer["usage"]["completion_tokens"] == len(plan_ids) + 16
    assert answer["usage"]["completion_tokens_details"]["image_tokens"] == 16

    deltas = [event["choices"][0] for event in server.events("/v1/chat/completions", json=body | {"stream": True})]
    assert [delta["delta"]["reasoning_content"] for delta in deltas if "reasoning_content" in delta["delta"]] == [
        "a cat; a dog"
    ]
    (images,) = [delta["delta"]["images"] for delta in deltas if "images" in delta["delta"]]
    assert opened(images[0]["image_url"]["url"].partition(",")[2]).tobytes() == expected
    assert not any(delta["delta"].get("content") for delta in deltas)
    assert deltas[-1]["finish_reason"] == "stop"


def test_caption(server, offline):
    codes = [[0, 1, 2, 3]] * 4
    for language in ("en", "zh"):
        answer = server.post("/v1/lantu/caption", json={"codes": codes, "language": language}).json()
        assert answer == {"caption": run_one(offline.parts, caption_codes(offline.parts, np.array(codes), language))}


def test_unknown_words_are_reported(tiny_model, tmp_path):
    folder = tmp_path / "taught"
    shutil.copytree(tiny_model, folder)
    words = {"names": {"en": ["cat"], "zh": ["猫"]}, "words": {"en": ["left"], "zh": []}, "emoji": {}}
    (folder / "words.json").write_text(json.dumps(words), encoding="utf-8")
    unknown = [{"word": "catt", "nearest": ["cat"]}]
    with serving(folder) as server:
        answer = server.post("/v1/images/generations", json={"prompt": "a catt", "n": 2}).json()
        assert [entry["unknown_words"] for entry in answer["data"]] == [unknown] * 2
        assert "names nothing" in answer["warnings"][0]
        assert "catt" in answer["warnings"][1]
        picture = server.events("/v1/lantu/draw", json={"prompt": "a catt and a cat"})[-1]["picture"]
        assert (picture["unknown_words"], len(picture["warnings"])) == (unknown, 1)
        answer = server.post("/v1/images/generations", json={"prompt": "a cat"}).json()
        assert (answer["data"][0]["unknown_words"], "warnings" in answer) == ([], False)


def test_info(server, offline):
    about = server.client.get("/v1/lantu/info").json()
    assert (about["name"], about["size"], about["grid"], about["patch"]) == ("tiny", [32, 32], [4, 4], 8)
    assert about["learnt"] == ["filling", "talking", "planning"]
    assert about["controls"] == []
    assert about["dials"]["guidance"] == {"minimum": 0, "maximum": 20, "default": 2.0}
    assert str(offline.folder.path) not in str(about)


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
def test_bad_input_is_refused_in_one_line(server, path, body, code):
    answer = server.post(f"/v1/lantu/{path}", json=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == code
    assert error["message"]
    assert "\n" not in error["message"]
    assert error["type"] == "invalid_request_error"


def test_a_controlled_drawing_is_the_same_as_offline(tiny_model, tmp_path, red):
    folder = tmp_path / "steered"
    shutil.copytree(tiny_model, folder)
    network = ControlNetwork.for_decoder(PixelDecoder.load(tiny_model / "decoder"))
    torch.manual_seed(0)
    for layer in (network.out, network.fit, network.picture):
        torch.nn.init.normal_(layer.weight, std=0.3)
    network.save(folder / "control")
    model = Model.load(folder, "cpu")
    expected = model.draw("a cat", seed=5, control=Control(Image.open(io.BytesIO(red)), "colour", 2.0))
    assert not np.array_equal(expected.codes, model.draw("a cat", seed=5).codes)
    body = {"prompt": "a cat", "seed": 5}
    with serving(folder) as server:
        assert server.client.get("/v1/lantu/info").json()["controls"] == list(KINDS)
        part = {"picture": base64.b64encode(red).decode(), "kind": "colour", "scale": 2.0}
        picture = server.events("/v1/lantu/draw", json=body | {"control": part})[-1]["picture"]
        assert picture["codes"] == expected.codes.tolist()
        assert opened(picture["b64_json"]).tobytes() == expected.image.tobytes()
        small = io.BytesIO()
        Image.new("RGB", (16, 16)).save(small, "png")
        part["picture"] = base64.b64encode(small.getvalue()).decode()
        assert server.post("/v1/lantu/draw", json=body | {"control": part}).status_code == 400


def test_control_needs_a_control_network(server, red):
    body = {"prompt": "a", "control": {"picture": base64.b64encode(red).decode()}}
    assert server.post("/v1/lantu/draw", json=body).status_code == 400


def test_examples_are_read_before_the_prompt_as_offline(server, offline, red, tmp_path):
    encoded = base64.b64encode(red).decode()
    shown = Image.open(io.BytesIO(red))
    expected = offline.draw("a zorp", seed=5, examples=[("a zorp", shown)])
    assert not np.array_equal(expected.codes, offline.draw("a zorp", seed=5).codes)
    body = {"prompt": "a zorp", "seed": 5, "examples": [{"caption": "a zorp", "picture": encoded}]}
    assert server.events("/v1/lantu/draw", json=body)[-1]["picture"]["codes"] == expected.codes.tolist()

    before, after = offline.draw("a cat", seed=1), offline.draw("a dog", seed=2)
    expected = offline.edit(before, "a dog", seed=3, examples=[(shown, after)])
    path = tmp_path / "after.png"
    metadata.save_picture(after, path)
    change = {"before": encoded, "after": base64.b64encode(path.read_bytes()).decode()}
    body = {"codes": before.codes.tolist(), "instruction": "a dog", "seed": 3, "examples": [change]}
    assert server.events("/v1/lantu/instruct", json=body)[-1]["picture"]["codes"] == expected.codes.tolist()


def test_examples_of_another_size_are_refused_or_fitted(server, red):
    large = io.BytesIO()
    Image.open(io.BytesIO(red)).resize((70, 70)).save(large, "png")
    example = {"caption": "a zorp", "picture": base64.b64encode(large.getvalue()).decode()}
    body = {"prompt": "a zorp", "seed": 5, "examples": [example]}
    refused = server.post("/v1/lantu/draw", json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_image")
    assert server.events("/v1/lantu/draw", json=body | {"fit": True})[-1]["type"] == "completed"


def test_captions_of_examples_are_filtered(tiny_model, red):
    example = {"caption": "a BADWORD", "picture": base64.b64encode(red).decode()}
    with serving(tiny_model, refused_phrases=("badword",)) as running:
        answer = running.post("/v1/lantu/draw", json={"prompt": "a cat", "examples": [example]})
        assert answer.status_code == 400


def test_a_caption_of_an_example_that_is_refused_is_named(server, red):
    picture = base64.b64encode(red).decode()
    for caption, says in (("  ", "is empty"), ("a dog " * 1000, "has 6,000 characters")):
        examples = [{"caption": "a cat", "picture": picture}, {"caption": caption, "picture": picture}]
        answer = server.post("/v1/lantu/draw", json={"prompt": "a cat", "examples": examples})
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert error["param"] == "examples.1.caption"
        assert error["message"].startswith(f"examples.1.caption {says}")
