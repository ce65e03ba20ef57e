"""A drawing is known by its codes only where they belong to its pixels; nothing that a file says breaks the reader."""

import contextlib
import dataclasses
import io
import time
import warnings

import numpy as np
import pytest
from PIL import Image

import lantu
from hostile_pictures import (
    damaged,
    described_by,
    drawn_file,
    file_of,
    hostile_descriptions,
    in_many_modes,
    text_of,
)
from lantu import cli
from lantu.errors import DataError, ImageError, LantuError
from lantu.images import metadata
from lantu.pipeline import Control
from lantu.tasks import reader

OTHER = "its pixels are read, not its codes"


@pytest.fixture(scope="module")
def model(tiny_model):
    return lantu.load(tiny_model, device="cpu")


@pytest.fixture(scope="module")
def cat(model):
    return model.draw("a cat", seed=1)


@pytest.fixture(scope="module")
def apple(model):
    return model.draw("a dog", seed=8)


@pytest.fixture
def lantu_in(tmp_path, tiny_model, monkeypatch, capsys):
    """Run the command in a folder of its own; gives exit code and the lines on stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = cli.main([*arguments, "--model", str(tiny_model), "--device", "cpu"])
        return code, capsys.readouterr().err.splitlines()

    return run


def read(data, model):
    return reader.read(io.BytesIO(data), "it", model.parts)


def old(picture):
    """The description as lantu 0.1 wrote it."""
    return metadata.describe(picture)


def test_a_drawing_is_known_by_its_codes(model, cat, tmp_path):
    metadata.save_picture(cat, tmp_path / "a.png")
    for seen in (reader.read(tmp_path / "a.png", "it", model.parts), read(drawn_file(cat), model)):
        assert metadata.describe(seen.drawing) == metadata.describe(cat)
        assert (seen.note, seen.drawing.image.tobytes()) == ("", cat.image.tobytes())


def test_so_is_one_that_was_edited(model, cat):
    edited = model.edit(cat, "a dog", box=(0, 0, 16, 16), seed=3)
    assert np.array_equal(read(drawn_file(edited), model).drawing.codes, edited.codes)
    again = read(drawn_file(dataclasses.replace(edited, image=cat.image)), model)
    assert again.drawing is not None  # saved with those pixels, so bound to them
    # What 0.1 wrote of it has no hash, and its codes are not what the pixels show.
    seen = read(described_by(edited.image, old(edited)), model)
    assert seen.drawing is None
    assert OTHER in seen.note


def test_other_pixels_under_a_description_are_read(model, cat, apple):
    said = text_of(drawn_file(cat))
    one = cat.image.copy()
    one.putpixel((31, 31), tuple(255 - level for level in one.getpixel((31, 31))))
    for image in (apple.image, one, cat.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)):
        seen = read(described_by(image, said), model)
        assert seen.drawing is None
        assert seen.note == f"it was changed since it was drawn: {OTHER}"
        assert seen.image.tobytes() == image.tobytes()
    for image in (cat.image.resize((64, 64)), cat.image.crop((0, 0, 24, 32)), cat.image.rotate(90, expand=True)):
        assert OTHER in read(described_by(image, said), model).note
        assert OTHER in read(described_by(image, old(cat)), model).note


def test_the_same_pixels_in_another_mode_are_still_the_drawing(model, cat):
    data = described_by(cat.image.convert("RGBA"), text_of(drawn_file(cat)))
    assert read(data, model).drawing is not None


def test_a_drawing_without_a_hash_is_known_where_its_codes_show_it(model, cat, apple):
    near = np.asarray(cat.image).astype(int) + np.where(np.indices((32, 32, 3)).sum(0) % 2, 1, -1)
    for image in (cat.image, Image.fromarray(near.clip(0, 255).astype(np.uint8))):
        assert np.array_equal(read(described_by(image, old(cat)), model).drawing.codes, cat.codes)
    cell = np.asarray(cat.image).copy()
    cell[8:16, 8:16] = 255 - cell[8:16, 8:16]  # a thing of one cell
    small = np.asarray(cat.image).copy()
    small[:2, :2] = 255 - small[:2, :2]  # far fewer than 2 of 255 on average
    assert np.abs(small.astype(int) - np.asarray(cat.image)).mean() < 2
    for image in (apple.image, Image.fromarray(cell)):
        seen = read(described_by(image, old(cat)), model)
        assert (seen.drawing, seen.note) == (None, f"it doesn't show what its codes stand for: {OTHER}")
    assert read(described_by(Image.fromarray(small), old(cat)), model).drawing is not None


def test_a_hash_counts_for_nothing_where_somebody_may_mean_harm(model, cat, apple):
    smuggled = drawn_file(dataclasses.replace(cat, image=apple.image))  # a hash that is right for other codes
    for data, known in ((smuggled, False), (drawn_file(cat), True)):
        image = Image.open(io.BytesIO(data)).convert("RGB")
        claim = reader.claim(io.BytesIO(data), image, "it", model.parts)
        assert claim.bound
        assert (reader.settle(claim, model.parts, forged=True).drawing is not None) == known


def test_a_check_that_would_take_long_or_another_library_is_not_made(model, cat, monkeypatch):
    monkeypatch.setattr(type(model.parts), "render", lambda *given: pytest.fail("rendered"))
    refined = {"refine": 0.5, "refine_steps": 1000}
    for settings in ({"steps": 1000}, refined, {"sampler": "unipc"}, {"sampler": "no such"}):
        said = old(cat) | {"settings": dict(cat.settings) | settings}
        assert OTHER in read(described_by(cat.image, said), model).note


def test_codes_of_another_model_are_not_ours(model, cat):
    for said in (text_of(drawn_file(cat)), old(cat)):
        seen = read(described_by(cat.image, said | {"model": "0123456789abcdef"}), model)
        assert (seen.drawing, seen.note) == (None, f"it was drawn by another model: {OTHER}")


@pytest.mark.parametrize("late", [False, True])
def test_descriptions_that_can_not_be_right(model, cat, late, tmp_path):
    honest = text_of(drawn_file(cat))
    for name, text in hostile_descriptions(honest).items():
        data = described_by(cat.image, text, late=late)
        seen = read(data, model)
        assert (seen.drawing, seen.note) == (None, f"the record of the drawing in it is damaged: {OTHER}"), name
        (tmp_path / "a.png").write_bytes(data)
        with pytest.raises(ImageError, match="damaged"):
            metadata.read_picture(tmp_path / "a.png")
    # Of a larger codebook, and vectors, which only other models draft.
    for codes in ([[32] * 4] * 4, [[2**31 - 1] * 4] * 4, [[[0]] * 4] * 4):
        assert "damaged" in read(described_by(cat.image, honest | {"codes": codes}), model).note


def test_where_a_description_may_stand(model, cat):
    honest = text_of(drawn_file(cat))
    for kind in (b"iTXt", b"tEXt", b"zTXt", b"izTX"):
        for late in (False, True):
            assert read(described_by(cat.image, honest, kind=kind, late=late), model).drawing is not None
    for texts in ([honest, honest], [honest, {}]):  # which one is meant?
        assert "damaged" in read(described_by(cat.image, *texts), model).note
    bomb = described_by(cat.image, b" " * 50_000_000, kind=b"zTXt", late=True)
    assert len(bomb) < 100_000
    assert "damaged" in reader.claim(io.BytesIO(bomb), cat.image, "it", model).note
    with pytest.raises(ImageError, match="can't read it"):
        read(bomb, model)
    for form in ("jpeg", "webp"):
        assert read(file_of(cat.image, form), model).note == ""


def test_programs_read_files_too(model, cat, apple, tmp_path):
    metadata.save_picture(cat, tmp_path / "cat.png")
    (tmp_path / "swapped.png").write_bytes(described_by(apple.image, text_of(drawn_file(cat))))
    apple.image.resize((50, 40)).save(tmp_path / "other.webp")
    assert np.array_equal(model.open(tmp_path / "cat.png").codes, cat.codes)
    with pytest.warns(UserWarning, match=OTHER):
        swapped = model.open(str(tmp_path / "swapped.png"))
    assert np.array_equal(swapped.codes, model.tokenize(apple.image))
    with pytest.raises(ImageError, match="50x40"):
        model.open(tmp_path / "other.webp")
    assert model.open(tmp_path / "other.webp", fit=True).image.size == model.size


def test_a_picture_that_is_not_of_its_codes_is_refused(model, cat):
    wrong = dataclasses.replace(cat, image=cat.image.resize((24, 32)))
    strange = dataclasses.replace(cat, codes=cat.codes + 1000)
    for said in (lambda it: model.edit(it, "a dog", box=(0, 0, 8, 8)), lambda it: model.chat(["what is it?", it])):
        with pytest.raises(ImageError, match="24x32 pixels, its codes stand for 32x32"):
            said(wrong)
        with pytest.raises(DataError, match="the model has 0 to 31"):
            said(strange)


def test_edit_and_chat_read_the_pixels_that_are_there(lantu_in, model, cat, apple, tmp_path, monkeypatch):
    metadata.save_picture(apple, tmp_path / "apple.png")
    (tmp_path / "swapped.png").write_bytes(described_by(apple.image, text_of(drawn_file(cat))))
    apple.image.save(tmp_path / "plain.png")
    results = {}
    for name in ("swapped", "plain"):
        code, lines = lantu_in("edit", f"{name}.png", "a dog", "--box", "0,0,8,8", "--seed", "3", "-o", f"{name}-e.png")
        assert code == 0
        assert sum(OTHER in line for line in lines) == (name == "swapped")
        results[name] = metadata.read_picture(tmp_path / f"{name}-e.png")
    assert np.array_equal(results["swapped"].codes, results["plain"].codes)
    assert results["swapped"].image.tobytes() == results["plain"].image.tobytes()
    monkeypatch.setattr("sys.stdin", io.StringIO("what is it? @swapped.png\n"))
    code, lines = lantu_in("chat", "--seed", "1")
    assert (code, sum(OTHER in line for line in lines)) == (0, 1)


def test_pictures_of_ours_that_were_changed_elsewhere_are_no_fault(lantu_in, model, cat, tmp_path):
    said, image = text_of(drawn_file(cat)), cat.image
    changed = {
        "scaled": image.resize((64, 64)),
        "odd": image.resize((37, 21)),
        "cropped": image.crop((0, 0, 16, 32)),
        "turned": image.rotate(90),
        "tall": image.crop((0, 0, 8, 32)),
        "tiny": image.resize((1, 1)),
        "grey": image.convert("L"),
    }
    for name, one in changed.items():
        for text in (old(cat), {**said, "codes": [[0] * 9] * 9}, {**said, "prompt": ""}, said):
            (tmp_path / f"{name}.png").write_bytes(described_by(one, text))
            assert reader.read(tmp_path / f"{name}.png", "it", model.parts).drawing is None, name
        code, lines = lantu_in("edit", f"{name}.png", "a dog", "--box", "0,0,8,8")
        assert code == (0 if one.size == (32, 32) else 2), (name, lines)
        assert code == 0 or (len(lines) == 1 and "--fit" in lines[0]), (name, lines)
        code, lines = lantu_in("draw", "--like", f"{name}.png", "-o", "again.png")
        assert (code, sum("changed since" in line for line in lines)) == (0, 1), (name, lines)


def test_drawing_like_a_changed_picture_draws_what_it_was_and_says_so(lantu_in, cat, tmp_path):
    (tmp_path / "scaled.png").write_bytes(described_by(cat.image.resize((64, 64)), text_of(drawn_file(cat))))
    code, lines = lantu_in("draw", "--like", "scaled.png", "-o", "again.png")
    assert (code, sum("changed since it was drawn" in line for line in lines)) == (0, 1)
    assert Image.open(tmp_path / "again.png").tobytes() == cat.image.tobytes()


def test_drawing_like_a_picture_of_bare_codes(lantu_in, model, apple, tmp_path):
    bare = model.render(apple.codes, seed=5)
    said = text_of(drawn_file(bare))
    for name, image, text, codes, line in (
        ("ours", bare.image, said, bare.codes, None),
        ("swapped", Image.new("RGB", (32, 32), "red"), said, None, "changed since"),
        ("other", bare.image, said | {"model": "0" * 16}, None, "another model"),
    ):
        (tmp_path / f"{name}.png").write_bytes(described_by(image, text))
        code, lines = lantu_in("draw", "--like", f"{name}.png", "-o", f"{name}-again.png")
        again = metadata.read_picture(tmp_path / f"{name}-again.png")
        assert np.array_equal(again.codes, model.tokenize(image) if codes is None else codes)
        assert (code, any(line and line in one for one in lines)) == (0, line is not None)


def test_hostile_descriptions_at_the_command_line(lantu_in, cat, tmp_path):
    texts = hostile_descriptions(text_of(drawn_file(cat)))
    for name in ("seed fraction", "codes huge", "setting steps '8'", "setting sampler 5", "deep", "long", "no text"):
        (tmp_path / "a.png").write_bytes(described_by(cat.image, texts[name]))
        code, lines = lantu_in("draw", "--like", "a.png")
        assert (code, len(lines)) == (2, 1), (name, lines)
        code, lines = lantu_in("edit", "a.png", "a dog", "--box", "0,0,8,8")
        assert (code, sum(OTHER in line for line in lines)) == (0, 1), (name, lines)


def test_one_picture_in_every_mode_is_one_picture_in_every_path(model, lantu_in, tmp_path):
    levels = np.random.default_rng(3).integers(0, 8, (32, 32), dtype=np.uint8) * 36
    grey = Image.fromarray(levels).convert("RGB")
    half = Image.new("L", (32, 32), 0)
    half.paste(255, (0, 0, 8, 8))
    codes = model.tokenize(grey)
    wanted = model.edit(grey, "a dog", mask=half, seed=3)
    masks = in_many_modes(half)
    for name, (picture, rounding) in in_many_modes(grey).items():
        edited = model.edit(picture, "a dog", mask=masks[name][0], seed=3)
        control = Control(picture)
        assert np.abs(np.asarray(control.picture, int) - np.asarray(grey, int)).max() <= rounding, name
        if rounding:
            assert (model.tokenize(picture) == codes).mean() > 0.6, name
            continue
        assert np.array_equal(model.tokenize(picture), codes), name
        assert np.array_equal(edited.codes, wanted.codes), name
        assert edited.image.tobytes() == wanted.image.tobytes(), name
        if name in ("F to 1", "RGBa"):
            assert model.caption(picture) == model.caption(grey), name
        if name in ("I;16B", "F to 1", "CMYK", "P"):
            picture.save(tmp_path / "a.tiff")
            code, _ = lantu_in("tokenize", "a.tiff", "-o", "codes.json")
            (told,) = metadata.read_tokens((tmp_path / "codes.json").read_text(), "it")
            assert (code, told["codes"].tolist()) == (0, codes.tolist()), name


def test_an_animation_at_the_command_line(lantu_in, tmp_path):
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "lime")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    for command in (["tokenize", "a.gif", "-o", "t.json"], ["edit", "a.gif", "a", "--box", "0,0,8,8"]):
        code, lines = lantu_in(*command)
        assert (code, sum("a.gif has 2 frames: the first is read" in line for line in lines)) == (0, 1)


def check_damaged(model, picture, path, numbers):
    """Every damaged file is a picture or bad input, soon; what is believed of it is true."""
    known = 0
    for number in numbers:
        path.write_bytes(damaged(number, picture))
        started = time.monotonic()
        with warnings.catch_warnings(record=True):
            try:
                seen = reader.read(path, "it", model.parts)
            except LantuError:
                continue
            finally:
                assert time.monotonic() - started < 5, number
            if seen.drawing:
                known += 1
                assert np.array_equal(seen.drawing.codes, picture.codes), number
            assert seen.image.mode == "RGB"
            with_codes = seen.drawing or seen.image
            with contextlib.suppress(LantuError):
                model.edit(with_codes, "a dog", box=(0, 0, 8, 8), seed=1, steps=1)
    return known


def test_damaged_files(model, cat, tmp_path):
    check_damaged(model, cat, tmp_path / "a", range(50))


@pytest.mark.slow
def test_many_damaged_files(model, cat, tmp_path):
    assert check_damaged(model, cat, tmp_path / "a", range(50, 550))
