"""A GLM-Image directory by the command line and the library: codes and pixels of diffusers' own pipeline."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lantu.errors import AbilityError, ImageError, LantuError, ModelError
from lantu.models import hub, registry
from lantu.models.glm_image.positions import preview_grid
from lantu.pipeline import Control, Model
from tiny_glm_image import CODES, GRID, PROMPTS

PLAIN, PROMPT, _ = PROMPTS
SIZE = (96, 64)


@pytest.fixture(scope="session")
def model(glm_image):
    return Model.load(glm_image, "cpu")


@pytest.fixture(scope="session")
def wanted(theirs, generated, model):
    """Codes (h, w) and picture of the pipeline, drafted greedily, rendered in 2 steps from the noise of seed 5."""
    ids = torch.tensor(generated[1][-GRID[0] * GRID[1] :])
    latents = torch.from_numpy(model.parts.decoder.noise(GRID, 5))[None]
    options = {"latents": latents, "height": SIZE[1], "width": SIZE[0], "num_inference_steps": 2}
    doubled = theirs._upsample_token_ids(ids, *GRID)
    picture = theirs(prompt=PROMPT, prior_token_ids=doubled, **options).images[0]
    return ids.reshape(GRID).numpy(), np.asarray(picture)


def is_close(picture, wanted) -> bool:
    """Whether pictures are equal but for one level of 255: torch sums in an order that depends on its threads."""
    return bool((np.abs(np.asarray(picture, np.int64) - wanted) <= 1).all())


def test_draw_gives_the_codes_and_the_picture_of_diffusers(lantu, glm_image, wanted):
    arguments = ("--temperature", 0, "--steps", 2, "--seed", 5, "--size", "96x64")
    outputs = ("--tokens-out", "t.json", "-o", "out.png", "--json")
    code, out, err = lantu("draw", PROMPT, "--model", glm_image, *arguments, *outputs)
    assert code == 0, err
    assert err.splitlines() == [
        "lantu: tiny-glm-image is made for pictures from 768x768 to 2048x2048; 96x64 may come out poor"
    ]
    assert (json.loads(out)["model"], json.loads(out)["tokens"]) == ("tiny-glm-image", 6)
    (told,) = json.loads(Path("t.json").read_text())["pictures"]
    assert told["codes"] == wanted[0].tolist()
    drawn = np.asarray(Image.open("out.png"))
    assert is_close(drawn, wanted[1])
    assert lantu("draw", "--like", "out.png", "--model", glm_image, "-o", "like.png")[0] == 0
    np.testing.assert_array_equal(np.asarray(Image.open("like.png")), drawn)
    options = ("--steps", 2, "--seed", 5, "--render-guidance", 2.5)
    code, out, err = lantu("detokenize", "t.json", "--model", glm_image, "-o", "again.png", *options)
    assert code == 0, err
    again = np.asarray(Image.open("again.png"))  # of other guidance, without the quoted text
    assert again.shape == wanted[1].shape
    assert not is_close(again, wanted[1])


def test_render_reads_the_prompt(model, wanted):
    picture = model.render(wanted[0], seed=5, prompt=PROMPT, steps=2)
    assert is_close(picture.image, wanted[1])
    assert not is_close(model.render(wanted[0], seed=5, steps=2).image, wanted[1])


def test_several_drawings_are_each_what_they_are_alone(model):
    reports: list[tuple[int, int]] = []
    options = {"size": SIZE, "steps": 1}
    pictures = model.draw_many(PLAIN, 2, seed=1, progress=lambda *report: reports.append(report), **options)
    assert pictures[0].codes.tolist() != pictures[1].codes.tolist()
    assert reports[-1] == (12, 12)
    assert all(done <= total for done, total in reports)
    alone = model.draw(PLAIN, seed=pictures[1].seed, **options)
    assert alone.codes.tolist() == pictures[1].codes.tolist()
    assert alone.image.tobytes() == pictures[1].image.tobytes()


def test_the_small_grid_is_shown_while_the_large_one_is_drafted(model):
    options = {"seed": 3, "size": (64, 64), "steps": 1}
    small, steps = preview_grid((2, 2)), list(model.stream(PLAIN, every=2, **options))
    assert len(steps) == 3  # 256 codes of the small grid, half of the picture's four, the picture
    assert [step.fraction for step in steps] == [0.0, 0.5, 1.0]
    assert {step.preview.size for step in steps[:2]} == {(small[1] * 32, small[0] * 32)}
    assert steps[0].preview is steps[1].preview  # rendered once
    assert (steps[1].codes[:1] >= 0).all()
    assert (steps[1].codes[1:] == -1).all()
    picture = model.draw(PLAIN, **options)
    assert steps[-1].picture.image.tobytes() == picture.image.tobytes()


def test_language_model_and_decoder_take_turns_where_memory_is_short(glm_image, model, monkeypatch):
    monkeypatch.setattr("lantu.models.glm_image.folder.SIDE", 64)
    needed = hub.find(glm_image).memory("cpu")
    monkeypatch.setenv("LANTU_MEMORY", str((needed.apart + needed.together) / 2e9))
    sparing, options = Model.load(glm_image, "cpu"), {"seed": 3, "size": SIZE, "steps": 1}
    picture = sparing.draw(PLAIN, **options)
    assert "decoder" in vars(sparing.parts)
    assert "language" not in vars(sparing.parts)
    assert picture.image.tobytes() == model.draw(PLAIN, **options).image.tobytes()
    monkeypatch.setenv("LANTU_MEMORY", "0.000001")
    with pytest.raises(LantuError, match=r"needs .* of memory"):
        Model.load(glm_image, "cpu")


WHITE = Image.new("RGB", SIZE, "white")


@pytest.mark.parametrize(
    ("ask", "error", "match"),
    [
        (lambda model: model.draw("a cat", size=(100, 64)), ImageError, "multiple of 32"),
        (lambda model: model.draw("a cat", guidance=3), LantuError, "guidance means nothing"),
        (lambda model: model.draw("a cat", control=Control(WHITE)), LantuError, "control"),
        (lambda model: model.draw("a cat", examples=[("a dog", WHITE)]), LantuError, "examples"),
        (lambda model: model.draw("a cat " * 1000), LantuError, "2,000"),
        (lambda model: model.edit(WHITE, "a cat", box=(0, 0, 16, 16)), AbilityError, "filling.*fill holes"),
        (lambda model: model.edit(WHITE, "make it red"), AbilityError, "talking"),
        (lambda model: model.chat(["hello"]), AbilityError, "talking"),
        (lambda model: model.caption(WHITE), AbilityError, "captioning"),
        (lambda model: model.tokenize(WHITE), LantuError, "tokenizes no pictures"),
        (lambda model: model.render(np.full((2, 2), CODES)), LantuError, "128"),
    ],
)
def test_what_it_cannot_do_is_said_in_one_line(model, ask, error, match):
    with pytest.raises(error, match=match) as found:
        ask(model)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("backend", ["transformers", "vllm"])
def test_other_backends_are_refused(glm_image, backend, monkeypatch):
    folder = hub.find(glm_image)
    with pytest.raises(LantuError, match="backend"):
        registry.load_parts(folder, "cpu", backend)


def test_info_and_models(lantu, glm_image, monkeypatch):
    told = json.loads(lantu("info", "--model", glm_image, "--json")[1])
    assert (told["pixels"], told["grid"], told["codebook"]) == ("1024x1024", "32x32", 128)
    assert set(told["parameters"]) == {"language", "reader", "decoder", "codec", "glyphs"}
    assert (told["license"], told["ids"]) == ("Apache-2.0", 256 + 1024)
    assert min(told["memory"].values()) > 0
    monkeypatch.setenv("LANTU_MODELS", str(glm_image.parent))
    told = json.loads(lantu("models", "--json")[1])
    assert "tiny-glm-image" in {one["name"] for one in told["installed"]}
    assert {one["name"]: one["tasks"] for one in told["families"]}["glm_image"] == ["draw"]


def test_without_diffusers_it_says_what_to_install(lantu, glm_image, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "diffusers" else find(name))
    code, out, err = lantu("draw", "a cat", "--model", glm_image, "--device", "cpu")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "diffusers" in err
    assert "pip install" in err


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder", "vision_language_encoder", "scheduler"])
def test_directories_without_a_part_are_refused(lantu, glm_image, tmp_path, part):
    folder = shutil.copytree(glm_image, tmp_path / "damaged")
    shutil.rmtree(folder / part)
    code, out, err = lantu("draw", "a cat", "--model", folder)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert part in err


def test_parts_of_unknown_classes_are_refused(glm_image, tmp_path):
    folder = shutil.copytree(glm_image, tmp_path / "other")
    index = json.loads((folder / "model_index.json").read_text())
    index["vae"] = ["diffusers", "AutoencoderDC"]
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"AutoencoderDC.*AutoencoderKL"):
        registry.open_folder(folder)
