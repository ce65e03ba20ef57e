"""From codes to captions: what is likeliest, and what explains the picture."""

import numpy as np
import pytest

import lantu
from lantu.errors import LantuError
from lantu.tasks import caption
from lantu.tasks.run import run, run_one
from lantu.tokens import document, grammar
from lantu.tokens.repetition import first_repeat


@pytest.fixture(scope="module")
def model(tiny_model):
    return lantu.load(tiny_model, "cpu")


@pytest.fixture(scope="module")
def shipped():
    return lantu.load(device="cpu")


def test_log_probabilities_are_those_of_a_reader_that_goes_id_by_id(model):
    parts, codes = model.parts, np.arange(16).reshape(4, 4)
    prefix = document.caption_prefix(codes, "en", parts.vocabulary)
    endings = [parts.text.encode(text) for text in ("a cat", "a dog on the left", "a")]
    ranges = grammar.text(parts.vocabulary)
    told = caption.log_probabilities(parts, [prefix] * 3, endings, ranges)
    for ending, value in zip(endings, told, strict=True):
        total = 0.0
        for place, id_ in enumerate(ending):
            row = parts.language.open(99)
            parts.language.read([row], [[*prefix, *ending[:place]]])
            logits = np.asarray(parts.language.logits([row], ranges)[0], np.float64)
            total += logits[id_] - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
        assert value == pytest.approx(total, abs=0.05)


def test_a_caption_whose_letters_join_to_a_word_of_another_script_is_kept_as_it_is(shipped):
    parts, codes = shipped.parts, np.zeros((8, 8), int)
    text = "猫 cat"
    ids = parts.text.encode(text)
    allowed = caption.script(parts, "zh")
    assert not all(any(id_ in ids_ for ids_ in allowed) for id_ in ids)
    assert run_one(parts, caption.change_one_word(parts, codes, "zh", text)) == []


def test_the_script_of_a_language(model):
    parts = model.parts
    english, chinese = ({i for r in caption.script(parts, which) for i in r} for which in ("en", "zh"))
    assert set(parts.text.encode("a cat on the left")) <= english
    assert not set(parts.text.encode("一只猫")) <= english
    assert set(parts.text.encode("一只猫，3D")) <= chinese
    assert parts.vocabulary.special("eos") in english & chinese


def test_chinese_captions_hold_no_english_words(shipped):
    chinese = {id_ for ids in caption.script(shipped.parts, "zh") for id_ in ids}
    assert set(shipped.parts.text.encode("一只猫，3D风格，Noto")) <= chinese
    assert not set(shipped.parts.text.encode("一只 picture of a cat")) <= chinese


def test_captions_of_noise_end_and_repeat_nothing(model):
    codes = np.random.default_rng(0).integers(0, 32, (3, 4, 4))
    for language in ("en", "zh"):
        texts = run(model.parts, [caption.caption_codes(model.parts, grid, language) for grid in codes])
        # One by one as all together.
        assert texts == [run_one(model.parts, caption.caption_codes(model.parts, grid, language)) for grid in codes]
        assert all(first_repeat(text) is None for text in texts)
        if language == "en":
            assert all(max(map(ord, text), default=0) < 0x3400 for text in texts)


@pytest.mark.parametrize("temperature", [float("inf"), float("nan"), -1, 101, "warm", True])
def test_a_temperature_out_of_range_is_refused(model, temperature):
    with pytest.raises(LantuError, match="temperature can't be"):
        model.caption(model.draw("a cat", seed=1), temperature=temperature)


def test_the_encoder_says_how_far_each_code_is(model):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    distance = model.parts.distances(pixels)
    assert distance.shape == (2, 16, 32)
    assert np.array_equal(distance.argmin(2).reshape(2, 4, 4), model.parts.encode(pixels))
    assert distance.min() > -1e-3


@pytest.mark.parametrize("prompt", ["an apple", "a cat", "a dog and a cat"])
def test_a_drawing_that_is_read_anew_has_nearly_the_codes_that_it_was_drawn_from(shipped, prompt):
    picture = shipped.draw(prompt, seed=1)
    pixels = np.asarray(picture.image)
    plain = (shipped.parts.encode(pixels[None])[0] == picture.codes).mean()
    found = (run_one(shipped.parts, caption.denoise(shipped.parts, pixels)) == picture.codes).mean()
    assert found > max(0.7, plain + 0.1)


@pytest.mark.parametrize(
    ("prompt", "language", "named"),
    [("an apple", "en", "apple"), ("苹果", "zh", "苹果"), ("a cat", "en", "cat"), ("a banana", "zh", "香蕉")],
)
def test_own_drawings_are_named(shipped, prompt, language, named):
    picture = shipped.draw(prompt, seed=0)
    for shown in (picture, picture.image):
        text = shipped.caption(shown, language)
        assert named in text
        assert "猫头鹰" not in text
        assert first_repeat(text) is None
