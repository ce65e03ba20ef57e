"""Every parameter of OpenAI's routes is supported, refused with a reason, or named in a warning."""

import base64
import io
import json
import shutil

import pytest
from PIL import Image
from running import png, serving

from lantu.diffusion import samplers
from lantu.server import subscription
from lantu.server.routes import schemas, unsupported

DRAW, EDIT, CHAT = "/v1/images/generations", "/v1/images/edits", "/v1/chat/completions"
URL = "data:image/png;base64," + base64.b64encode(png(Image.new("RGB", (32, 32), "red"))).decode()


def error_of(answer):
    """The error of an answer, in OpenAI's form and without the validator's terms."""
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    for inside in ("validat", "function-", "Input should", "str]", "body.", "pydantic", "\n"):
        assert inside not in error["message"]
    return error


@pytest.fixture(scope="module")
def exact(plain_model, tmp_path_factory):
    """A server of a model that only draws and captions, and only at the size that it was trained on."""
    folder = tmp_path_factory.mktemp("models") / "exact"
    shutil.copytree(plain_model, folder)
    index = json.loads((folder / "model_index.json").read_text())
    del index["sides"]
    (folder / "model_index.json").write_text(json.dumps(index))
    with serving(folder) as running:
        yield running


IMAGE_UNSUPPORTED = [
    {"background": "transparent"},
    {"output_format": "gif"},
    {"output_format": "bmp"},
    {"output_compression": 50},
    {"output_compression": 101, "output_format": "jpeg"},
    {"response_format": "url", "stream": True},
    {"response_format": "json"},
    {"partial_images": 2},
    {"partial_images": 4, "stream": True},
    {"n": 99},
    {"n": 0},
    {"n": "two"},
    {"size": "31x32"},
    {"size": "large"},
    {"quality": "best"},
    {"style": "plain"},
    {"moderation": "none"},
    {"frame_count": 2},
    {"stop": "x"},
    {"mask": "x"},
    {"seed": -1},
    {"seed": 1.5},
    {"sampler": "none"},
    {"prompt": ["a", "b"]},
    {"prompt": None},
    {"stream": "perhaps"},
    {"user": 5},
]


@pytest.mark.parametrize("field", IMAGE_UNSUPPORTED, ids=str)
def test_unsupported_image_parameters_are_refused(server, red, field):
    error = error_of(server.post(DRAW, json={"prompt": "a cat"} | field))
    name = next(iter(field))
    assert error["param"] in (name, None)
    if name in ("n", "quality", "background", "mask", "stop", "partial_images"):
        assert error["param"] == name
    fields = {name: str(value) for name, value in ({"prompt": "a"} | field).items() if value is not None}
    if set(field).isdisjoint({"mask", "prompt", "user"}):
        error_of(server.post(EDIT, data=fields, files={"image": red}))


IMAGE_SUPPORTED = [
    {},
    {"background": "opaque", "moderation": "low", "user": "me", "safety_identifier": "x", "size": "auto"},
    {"quality": "auto", "n": 2, "response_format": "b64_json"},
    {"output_format": "jpeg", "output_compression": 10},
]


@pytest.mark.parametrize("fields", IMAGE_SUPPORTED, ids=str)
def test_supported_image_parameters_cause_no_warnings(server, fields):
    answer = server.post(DRAW, json={"prompt": "a cat"} | fields).json()
    assert "warnings" not in answer
    assert len(answer["data"]) == fields.get("n", 1)
    start = b"\xff\xd8" if "output_format" in fields else b"\x89PNG"
    assert base64.b64decode(answer["data"][0]["b64_json"]).startswith(start)


@pytest.mark.parametrize(("name", "value"), [("quality", "hd"), ("quality", "low"), ("style", "vivid")])
def test_image_parameters_without_effect_cause_a_warning(server, name, value):
    body = {"prompt": "a cat", name: value}
    answer = server.post(DRAW, json=body).json()
    assert name in answer["warnings"][0]
    assert "quality" not in answer  # the model has no quality setting
    assert server.events(DRAW, json=body | {"stream": True})[-1]["warnings"] == answer["warnings"]


def test_every_image_parameter_is_handled():
    """Each is supported, or in one of the tables."""
    supported = {"prompt", "model", "n", "size", "response_format", "output_format", "output_compression", "background"}
    supported |= {"stream", "partial_images", "seed", "fit", *schemas.SamplingFields.model_fields}
    ignored = {"moderation", "user", "safety_identifier"}
    refused_always = {"frame_count", "frame_duration_ms", "svg"}
    fields = {*schemas.Generation.model_fields, *schemas.Edit.model_fields}
    assert fields == supported | ignored | refused_always | set(unsupported.WITHOUT_EFFECT)


def test_untrained_sizes_are_refused_or_cause_a_warning(exact):
    """The model was trained on 32x32."""
    for size in ("256x256", "48x48", "96x8", "8x8"):
        for path, body in ((DRAW, {"prompt": "a"}), ("/v1/lantu/draw", {"prompt": "a"}), (CHAT, message("a"))):
            error = error_of(exact.post(path, json=body | {"size": size}))
            assert "32x32" in error["message"]
    for size, count in (("32x32", 0), ("64x32", 1), ("32x24", 1)):
        body = {"prompt": "a", "size": size}
        answer = exact.post(DRAW, json=body).json()
        warnings = answer.get("warnings", [])
        assert len(warnings) == count
        drawn = Image.open(io.BytesIO(base64.b64decode(answer["data"][0]["b64_json"])))
        assert "{}x{}".format(*drawn.size) == size
        assert exact.events("/v1/lantu/draw", json=body)[-1]["picture"].get("warnings", []) == warnings
        assert exact.post(CHAT, json=message("a") | {"size": size}).json().get("warnings", []) == warnings


def test_grids_that_no_drawing_has_are_refused(exact):
    answer = exact.post("/v1/lantu/render", json={"codes": [[0] * 64] * 64, "steps": 1})
    assert error_of(answer)["message"].startswith("a grid of 64x64 codes, the model has 4x4")
    assert exact.post("/v1/lantu/render", json={"codes": [[0] * 4] * 4, "steps": 1}).is_success


def test_samplers_that_are_not_installed_are_refused(server, monkeypatch):
    monkeypatch.setattr(samplers, "find_spec", lambda name: None)
    for path in (DRAW, "/v1/lantu/draw", "/v1/lantu/render"):
        body = {"codes": [[0]]} if path.endswith("render") else {"prompt": "a"}
        assert "lantu[train]" in error_of(server.post(path, json=body | {"sampler": "unipc"}))["message"]


def message(text):
    """A body with one message of the user."""
    return {"messages": [{"role": "user", "content": text}]}


CHAT_UNSUPPORTED = [
    {"stop": "x"},
    {"stop": ["x"]},
    {"tools": [{"type": "function", "function": {"name": "f"}}]},
    {"tool_choice": "required"},
    {"functions": [{"name": "f"}]},
    {"function_call": {"name": "f"}},
    {"logprobs": True},
    {"top_logprobs": 3},
    {"logit_bias": {"5": 10}},
    {"frequency_penalty": 0.5},
    {"presence_penalty": -1},
    {"response_format": {"type": "json_object"}},
    {"modalities": ["text", "audio"]},
    {"audio": {"voice": "alloy"}},
    {"web_search_options": {}},
    {"store": True},
    {"verbosity": "low"},
    {"reasoning_effort": "high"},
    {"stream_options": {"include_usage": True}},
    {"stream_options": {"usage": True}, "stream": True},
    {"n": 99},
    {"temperature": "hot"},
    {"top_p": 2},
    {"max_tokens": 0},
    {"sede": 1},
    {"messages": []},
]


@pytest.mark.parametrize("field", CHAT_UNSUPPORTED, ids=str)
def test_unsupported_chat_parameters_are_refused(server, field):
    error = error_of(server.post(CHAT, json=message("a cat") | {"max_tokens": 2} | field))
    assert error["param"].split(".")[0] == next(iter(field))


CHAT_SUPPORTED = [
    {"n": 2, "seed": 1, "temperature": 0.5, "top_p": 0.9, "max_completion_tokens": 3},
    {
        "user": "me",
        "metadata": {"a": "b"},
        "service_tier": "auto",
        "prompt_cache_key": "x",
        "prediction": {"type": "x"},
    },
    {"tools": [], "logit_bias": {}, "stop": [], "frequency_penalty": 0, "presence_penalty": 0.0, "logprobs": False},
    {"tools": [{"type": "function"}], "tool_choice": "none", "parallel_tool_calls": False, "store": False},
    {"response_format": {"type": "text"}, "modalities": ["text", "image"], "verbosity": "medium", "top_logprobs": 0},
    {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
    dict.fromkeys(schemas.Chat.model_fields, None) | {"messages": message("a cat")["messages"]},
]


@pytest.mark.parametrize("fields", CHAT_SUPPORTED, ids=lambda fields: ",".join(fields)[:40])
def test_supported_chat_parameters(server, fields):
    answer = server.post(CHAT, json=message("a cat") | {"max_tokens": 3} | fields)
    assert answer.is_success, answer.text
    if not fields.get("stream"):
        assert len(answer.json()["choices"]) == (fields.get("n") or 1)
        assert "warnings" not in answer.json()


def test_every_chat_parameter_is_handled():
    supported = {"messages", "model", "n", "seed", "size", "stream", "stream_options", "max_tokens"}
    supported |= {"max_completion_tokens", "modalities", *schemas.SamplingFields.model_fields}
    assert set(schemas.Chat.model_fields) == supported | set(unsupported.NO_EFFECT) | set(unsupported.IGNORED)


def test_chat_parameters_of_a_model_that_only_draws(exact):
    assert error_of(exact.post(CHAT, json=message("a cat") | {"max_tokens": 15}))["param"] == "max_tokens"
    assert exact.post(CHAT, json=message("a cat") | {"max_tokens": 16}).is_success
    assert error_of(exact.post(CHAT, json=message("a cat") | {"modalities": ["text"]}))["param"] == "modalities"
    assert exact.post(CHAT, json=message("a cat") | {"modalities": ["image"]}).is_success
    chatted = [{"role": "system", "content": "You are helpful."}, {"role": "user", "content": "a dog"}]
    drawn = [
        exact.post(CHAT, json=body | {"seed": 1}).json()["choices"]
        for body in (message("a cat"), {"messages": [*chatted, *message("a cat")["messages"]]})
    ]
    assert drawn[0] == drawn[1]  # only the last message is read
    with_picture = message([{"type": "image_url", "image_url": {"url": URL}}])
    for field in ({"top_p": 0.5}, {"guidance": 3}, {"size": "32x24"}, {"modalities": ["image"]}):
        assert error_of(exact.post(CHAT, json=with_picture | field))["param"] == next(iter(field))
    assert exact.post(CHAT, json=with_picture | {"top_p": 1, "temperature": 1, "max_tokens": 2}).is_success


@pytest.mark.parametrize(
    ("message", "param", "words"),
    [
        ({"role": "user", "content": 5}, "messages.0.content", "text"),
        ({"role": "user", "content": [{"type": "input_audio"}]}, "messages.0.content.0", "type"),
        ({"role": "user", "content": [{"text": "a"}]}, "messages.0.content.0", "type"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages.0.content.0.text", "required"),
        ({"role": "user", "content": ["a"]}, "messages.0.content.0", "object"),
        ({"role": "user", "content": [{"type": "text", "text": 5}]}, "messages.0.content.0.text", "text"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": "x"}]},
            "messages.0.content.0.image_url",
            "obj",
        ),
        ({"role": "user", "content": "\ud800"}, "messages.0.content", "Unicode"),
        ({"role": "tool", "content": "a"}, "messages.0.role", "'user'"),
        ({"content": "a"}, "messages.0.role", "required"),
        ("a", "messages.0", "object"),
    ],
)
def test_a_bad_message_is_described_in_plain_words(server, message, param, words):
    body = json.dumps({"messages": [message]}).encode()
    error = error_of(server.post(CHAT, content=body, headers={"content-type": "application/json"}))
    assert error["param"] == param
    assert words in error["message"]


def test_the_wrong_kind_of_body_is_refused(server, red):
    assert "application/json" in error_of(server.post(DRAW, data={"prompt": "a"}))["message"]
    assert "application/json" in error_of(server.post(DRAW, content=b'{"prompt": "a"}'))["message"]
    assert "application/json" in error_of(server.post(DRAW, json=["a"]))["message"]
    for path in ("/v1/lantu/tokenize", "/v1/lantu/read"):
        assert "multipart/form-data" in error_of(server.post(path, json={"image": URL}))["message"]
    assert "multipart/form-data" in error_of(server.post(EDIT, content=b"x"))["message"]
    assert error_of(server.post("/v1/lantu/tokenize", files={"picture": red}))["param"] == "image"


def test_a_mask_works_in_every_form(server, red, mask):
    """As a file, as a data: URL in a text field, and in a JSON body."""
    fields = {"prompt": "a dog", "seed": "3"}
    as_url = "data:image/png;base64," + base64.b64encode(mask).decode()
    expected = server.post(EDIT, data=fields, files={"image": red, "mask": mask})
    picture = expected.json()["data"][0]["b64_json"]
    answers = [server.post(EDIT, data=fields | {"mask": as_url}, files={"image": red})]
    body = {"prompt": "a dog", "seed": 3, "images": [{"image_url": URL}], "mask": {"image_url": as_url}}
    answers.append(server.post(EDIT, json=body))
    assert [answer.json()["data"][0]["b64_json"] for answer in answers] == [picture] * 2
    assert "mask" in error_of(server.post(EDIT, data=fields | {"mask": "a cat"}, files={"image": red}))["message"]
    two = [("image", red), ("mask", mask), ("mask", mask)]
    assert error_of(server.post(EDIT, data=fields, files=two))["param"] == "mask"
    assert error_of(server.post(EDIT, json=body | {"mask": {"file_id": "file-1"}}))["param"] == "mask.file_id"
    assert error_of(server.post(EDIT, json=body | {"images": [{}]}))["param"] == "images.0.image_url"
    assert error_of(server.post(EDIT, json=body | {"images": []}))["param"] == "images"
    assert error_of(server.post(EDIT, json=body | {"n": 99}))["param"] == "n"
    assert error_of(server.post(EDIT, json={"prompt": "a"}))["param"] == "images"


def test_a_field_that_is_sent_twice_is_refused(server, red):
    body = b"".join(
        b'--b\r\ncontent-disposition: form-data; name="%s"\r\n\r\n%s\r\n' % field
        for field in ((b"prompt", b"a"), (b"seed", b"1"), (b"seed", b"2"))
    )
    answer = server.post(EDIT, content=body + b"--b--", headers={"content-type": "multipart/form-data; boundary=b"})
    assert error_of(answer)["param"] == "seed"


def test_variations_are_not_supported(server, red):
    answer = server.post("/v1/images/variations", files={"image": red})
    assert answer.status_code == 404
    assert "/v1/images/edits" in answer.json()["error"]["message"]


def test_slow_streams_send_keep_alives(server, monkeypatch):
    """Here the encoding of the finished picture is slow."""
    monkeypatch.setattr(subscription, "KEEP_ALIVE_S", 0.02)
    encode = server.service.encode

    async def slow(*arguments, **named):
        import asyncio

        await asyncio.sleep(0.2)
        return await encode(*arguments, **named)

    monkeypatch.setattr(server.service, "encode", slow)
    for path, body in ((DRAW, {"prompt": "a cat"}), ("/v1/lantu/draw", {"prompt": "a cat", "previews": False})):
        text = server.post(path, json=body | ({"stream": True} if path == DRAW else {})).text
        assert ": keep-alive\n\n" in text
        assert text.endswith("data: [DONE]\n\n")


def test_a_wrong_value_under_a_former_name_is_named_as_it_was_sent(server):
    answer = server.post("/v1/images/generations", json={"prompt": "a cat", "ahead": "many"})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["param"], error["message"]) == ("ahead", "ahead: it must be a whole number")
