"""The content filter: a list of refused words, and the operator's judge."""

import base64
import io
import logging
import sys
import threading
from pathlib import Path

import openai
import pytest
from PIL import Image
from running import serving
from typer.testing import CliRunner

from lantu.cli import application
from lantu.errors import LantuError
from lantu.server.filter import first_match, load_judge, normalise, read_phrases

DRAW = "/v1/images/generations"
SHIPPED = Path(__file__).parents[2] / "models" / "lantu-emoji"


class Judge:
    """Applies ``rule``, and records its calls and the threads that they came from."""

    def __init__(self):
        self.calls, self.threads, self.rule = [], set(), lambda prompt, image: None

    def __call__(self, prompt, image):
        self.calls.append((prompt, image and image.size))
        self.threads.add(threading.current_thread())
        return self.rule(prompt, image)


@pytest.fixture(scope="module")
def judged(tiny_model):
    judge = Judge()
    with serving(tiny_model, refused_phrases=("dragon", "狗"), judge=judge, timeout_s=20) as running:
        running.judge = judge
        yield running


@pytest.fixture
def judge(judged):
    """A judge that refuses nothing until a test sets its rule."""
    judged.judge.__init__()
    return judged.judge


def no_pictures(prompt, image):
    """A rule that refuses every picture."""
    return "too red" if image else None


def refused(answer, param="prompt", stage="input"):
    """Check that an answer is a refusal in OpenAI's form; returns True."""
    assert answer.status_code == 400, answer.text
    assert answer.headers["x-should-retry"] == "false"
    is_refusal(answer.json()["error"], param, stage)
    return True


def is_refusal(error, param, stage):
    assert (error["code"], error["type"]) == ("moderation_blocked", "image_generation_user_error")
    assert (error["param"], error["moderation_details"]["moderation_stage"]) == (param, stage)


@pytest.mark.parametrize(
    ("phrase", "text", "matches"),
    [
        ("cat", "a CAT.", True),
        ("cat", "a ｃａｔ", True),
        ("cat", "a c\u200bat", True),
        ("cat", "concatenate", False),
        ("cat", "cats", False),
        ("cat", "concatenate a cat", True),
        ("cat", "画cat吃", True),
        ("cat", "the cat's hat", True),
        ("Straße", "STRASSE", True),
        ("red  cat", "a red\ncat", True),
        ("red cat", "a red fat cat", False),
        ("кот", "котик", False),
        ("क", "कि", False),
        ("猫", "一只小猫在睡", True),
        ("小猫", "小狗和猫", False),
        ("ねこ", "こねこです", True),
        ("c++", "in c++11", True),
        ("🔫", "a 🔫here", True),
    ],
)
def test_phrases_match_whole_words_in_scripts_with_spaces(phrase, text, matches):
    assert (first_match([normalise(phrase)], text) is not None) == matches


def test_reading_a_list_of_words(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("# not these\n\nＤragon\n red  CAT \n狗\ndragon\n", encoding="utf-8-sig")
    assert read_phrases(file) == ("dragon", "red cat", "狗")
    assert read_phrases(None) == ()


@pytest.mark.parametrize("content", [None, b"", b"# nothing\n\n", b"\xff\xfe"])
def test_a_bad_list_of_words_is_reported_at_start(tmp_path, content):
    file = tmp_path / "words.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(LantuError) as raised:
        read_phrases(file)
    assert raised.value.hint


@pytest.fixture
def rules(tmp_path, monkeypatch):
    """An operator's modules in the working folder."""
    (tmp_path / "my_rules.py").write_text(
        "NAMES = ['x']\ndef judge(prompt, image): return None\ndef one(prompt): return None\n"
        "async def later(prompt, image): return None\n"
    )
    (tmp_path / "my_broken_rules.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in ("my_rules", "my_broken_rules"):
        sys.modules.pop(name, None)


def test_a_judge_is_loaded_from_the_working_folder(rules):
    assert load_judge("my_rules:judge")("a", None) is None
    assert load_judge(None) is None


@pytest.mark.parametrize(
    "name",
    [
        "my_rules",
        ":judge",
        "my_rules:",
        "nowhere:judge",
        "..:judge",
        "my_rules:none",
        "my_rules:NAMES",
        "my_rules:one",
        "my_rules:later",
        "my_broken_rules:judge",
    ],
)
def test_a_bad_judge_is_reported_in_one_line_at_start(rules, name):
    outcome = CliRunner().invoke(application([]), ["serve", "--judge", name])
    assert isinstance(outcome.exception, LantuError)
    with pytest.raises(LantuError) as raised:
        load_judge(name)
    assert raised.value.hint
    assert "\n" not in str(raised.value)


def test_refused_words_reach_neither_worker_nor_judge(judged, judge):
    before = judged.service.metrics.renders._value.get()
    for path, body in {
        DRAW: {"prompt": "a Dragon!"},
        "/v1/lantu/draw": {"prompt": "一只小狗"},
        "/v1/lantu/redraw": {"codes": [[0] * 4] * 4, "cells": [[0, 0]], "prompt": "a dragon"},
        "/v1/lantu/instruct": {"codes": [[0] * 4] * 4, "instruction": "now a dragon"},
        "/v1/lantu/render": {"codes": [[0] * 4] * 4, "prompt": "a dragon"},
        "/v1/chat/completions": {"messages": [{"role": "user", "content": "a dragon"}]},
    }.items():
        assert refused(judged.post(path, json=body)), path
        assert refused(judged.post(path, json={**body, "stream": True})) if "/lantu/" not in path else True
    assert judge.calls == []
    assert judged.service.metrics.renders._value.get() == before
    assert judged.post(DRAW, json={"prompt": "a dragonfly"}).is_success


def test_edits_are_filtered(judged, judge, red, mask):
    files = {"image": ("a.png", red), "mask": ("m.png", mask)}
    assert refused(judged.post("/v1/images/edits", files=files, data={"prompt": "a dragon"}))
    assert refused(judged.post("/v1/images/edits", files={"image": ("a.png", red)}, data={"prompt": "a dragon"}))


def test_all_text_that_the_model_reads_of_a_conversation_is_filtered(judged, plain_model):
    earlier = [{"role": "user", "content": "a dragon"}, {"role": "assistant", "content": "no"}]
    body = {"messages": [*earlier, {"role": "user", "content": "a cat"}], "max_tokens": 16}
    assert refused(judged.post("/v1/chat/completions", json=body))
    parts = [{"type": "text", "text": "a dra"}, {"type": "text", "text": "dragon"}]
    assert refused(judged.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": parts}]}))
    with serving(plain_model, refused_phrases=("dragon",)) as running:  # this model reads only the last message
        assert running.post("/v1/chat/completions", json=body).is_success
        assert refused(running.post("/v1/chat/completions", json={"messages": earlier[:1]}))


def test_an_emoji_is_no_way_around_a_word():
    """The shipped model knows emoji by their names."""
    with serving(SHIPPED, refused_phrases=("dragon", "狗")) as running:
        for prompt in ("🐉", "a cat and 🐉", "一只🐶"):
            assert refused(running.post(DRAW, json={"prompt": prompt}))
        assert running.post(DRAW, json={"prompt": "🐱", "steps": 1}).is_success


def test_the_judge_sees_prompts_and_pictures_on_its_own_threads(judged, judge):
    assert judged.post(DRAW, json={"prompt": "a cat", "n": 2}).is_success
    assert judge.calls == [("a cat", None), ("a cat", (32, 32)), ("a cat", (32, 32))]
    assert {thread.name.rpartition("_")[0] for thread in judge.threads} == {"lantu judge"}


def test_a_judge_may_change_its_copy_of_a_picture(judged, judge, offline):
    judge.rule = lambda prompt, image: image and image.paste((0, 0, 0), (0, 0, 32, 32))
    base64_png = judged.events("/v1/lantu/draw", json={"prompt": "a cat", "seed": 5})[-1]["picture"]["b64_json"]
    image = Image.open(io.BytesIO(base64.b64decode(base64_png)))
    assert image.tobytes() == offline.draw("a cat", seed=5).image.tobytes()


def test_refusals_of_prompts_give_the_reason(judged, judge):
    judge.rule = lambda prompt, image: "no\ncats" if prompt == "a cat" else None
    answer = judged.post(DRAW, json={"prompt": "a cat"})
    assert refused(answer)
    assert "(no cats)" in answer.json()["error"]["message"]


def test_refused_pictures_are_not_sent(judged, judge):
    judge.rule = no_pictures
    for path, body in {
        DRAW: {"prompt": "a cat"},
        f"{DRAW}?url": {"prompt": "a cat", "response_format": "url"},
        "/v1/lantu/render": {"codes": [[0] * 4] * 4},
    }.items():
        assert refused(judged.post(path, json=body), None, "output"), path
    assert not judged.service.pictures.files


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (DRAW, {"prompt": "a cat", "stream": True, "partial_images": 3}),
        ("/v1/lantu/draw", {"prompt": "a cat", "previews": True}),
        ("/v1/lantu/redraw", {"codes": [[0] * 4] * 4, "cells": [[0, 0], [3, 3]], "prompt": "a cat"}),
    ],
)
def test_a_stream_sends_no_part_of_a_refused_picture(judged, judge, path, body):
    judge.rule = no_pictures
    *before, last = judged.events(path, json=body)
    is_refusal(last["error"], None, "output")
    assert not any(event.get("b64_json") or event.get("preview") or event.get("picture") for event in before)
    judge.rule = lambda prompt, image: None
    *before, last = judged.events(path, json=body)
    assert last["type"].endswith("completed")
    assert not any(event.get("b64_json") or event.get("preview") for event in before)


def test_a_conversation_sends_no_refused_picture(plain_model):
    body = {"messages": [{"role": "user", "content": "a cat"}]}
    with serving(plain_model, judge=no_pictures) as running:
        assert refused(running.post("/v1/chat/completions", json=body), None, "output")
        *before, last = running.events("/v1/chat/completions", json={**body, "stream": True})
    is_refusal(last["error"], None, "output")
    assert not any("images" in choice["delta"] for event in before for choice in event["choices"])


def test_pictures_from_clients_are_judged(judged, judge, red, mask):
    judge.rule = no_pictures
    url = "data:image/png;base64," + base64.b64encode(red).decode()
    chat = {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}
    cells = {"codes": [[0] * 4] * 4, "cells": [[0, 0]], "prompt": "a cat", "picture": url}
    assert refused(judged.post("/v1/lantu/tokenize", files={"image": red}), "image")
    assert refused(judged.post("/v1/lantu/redraw", json=cells), "picture")
    assert refused(judged.post("/v1/chat/completions", json=chat), "messages.0.image_url")
    files = {"image": ("a.png", red), "mask": ("m.png", mask)}
    assert refused(judged.post("/v1/images/edits", files=files, data={"prompt": "a cat"}), "image")
    assert [call for call in judge.calls if call[0]] == []
    judge.__init__()
    judged.post("/v1/images/edits", files=files, data={"prompt": "a cat"})
    assert judge.calls == [(None, (32, 32)), ("a cat", None), ("a cat", (32, 32))]  # the mask is not judged


@pytest.mark.parametrize("rule", [lambda *given: 1 / 0, lambda *given: sys.exit(), lambda *given: False])
def test_a_failing_judge_fails_only_its_own_request(judged, judge, rule, caplog):
    judge.rule = rule
    logging.getLogger("lantu.server").propagate = True
    answer = judged.post(DRAW, json={"prompt": "a cat"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "the judge failed" in caplog.text
    judge.__init__()
    assert judged.post(DRAW, json={"prompt": "a cat"}).is_success


def test_a_slow_judge_times_out(plain_model):
    go = threading.Event()
    with serving(plain_model, judge=lambda prompt, image: go.wait(30) and None, timeout_s=0.3) as running:
        answer = running.post(DRAW, json={"prompt": "a cat"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "timeout")
        assert running.client.get("/health").is_success
        go.set()


def test_refusals_are_counted(judged, judge, red):
    def counts():
        lines = judged.client.get("/metrics").text.splitlines()
        values = dict(line.rsplit(" ", 1) for line in lines if line.startswith("lantu_refusals_total"))
        return [
            float(values.get(f'lantu_refusals_total{{what="{what}"}}', 0)) for what in ("prompt", "upload", "picture")
        ]

    before = counts()
    judge.rule = no_pictures
    judged.post(DRAW, json={"prompt": "a dragon"})
    judged.post("/v1/lantu/tokenize", files={"image": red})
    judged.post(DRAW, json={"prompt": "a cat"})
    assert [after - one for after, one in zip(counts(), before, strict=True)] == [1, 1, 1]


def test_openais_client_raises_and_does_not_retry(judged, judge):
    with openai.OpenAI(base_url=f"{judged.url}/v1", api_key="none") as client:
        with pytest.raises(openai.BadRequestError) as raised:
            client.images.generate(prompt="a dragon")
        assert raised.value.code == "moderation_blocked"
        judge.rule = no_pictures
        with pytest.raises(openai.APIError) as raised:
            list(client.images.generate(prompt="a cat", stream=True))
        assert raised.value.code == "moderation_blocked"


@pytest.mark.parametrize(
    "hidden",
    [
        *"\u00ad\u034f\u061c\u115f\u1160\u17b4\u180b\u180e\u200b\u200d\u200e\u202e\u2060\u2065\u2066\u3164\ufe00\ufe0f",
        *"\ufeff\uffa0\ufff0\U0001d173\U000e0001\U000e0061\U000e0100\U000e0fff\x00\x08\x7f",
        *"\u0336\u0489\u20dd\u1ab0\u1dc0\ufe20",
        "\u034f\u0336",
    ],
)
def test_invisible_characters_and_decorating_marks_hide_no_word(hidden):
    assert first_match([normalise("cat")], f"a c{hidden}a{hidden}t{hidden}") is not None


@pytest.mark.parametrize(
    ("phrase", "text", "matches"),
    [
        ("café", "cafe\u0301", True),
        ("cafe", "café", False),
        ("café", "cafe", False),
        ("й", "и", False),
        ("red cat", "red\u2800cat", True),
        ("𝕔𝕒𝕥", "cat", True),
        ("한", "하\u034f\u11ab", True),
        ("cat", "ca\u0337\u0338t\u0336", True),
        ("❤", "a ❤\ufe0f b", True),
    ],
)
def test_marks_that_change_a_letter_are_kept(phrase, text, matches):
    assert (first_match([normalise(phrase)], text) is not None) == matches
