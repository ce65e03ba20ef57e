"""Continuous models, trained in seconds: they learn, resume, are opened, draw, caption, preview, are served."""

import json

import numpy as np
import pytest
from rival_checks import drawn_alike, losses, resumed_alike, served_alike

import lantu
from lantu import kernels
from lantu.errors import AbilityError, DataError, LantuError, ModelError
from lantu.models import registry
from lantu.recipes import train
from lantu.recipes.rivals import continuous
from lantu.recipes.rivals.assembling import assemble_rival
from lantu.training.config import override

# The first is made of what the other two are: the head of one, the space and the decoder of the other.
SYSTEMS = (pytest.param("continuous-regression", marks=pytest.mark.slow), "pixel-regression", "diffusion-head")
STEPS = 100


@pytest.fixture(scope="module")
def settings(tiny_model):
    features = [f"tokenizer={tiny_model}/tokenizer"]
    return {"continuous-regression": features, "pixel-regression": [], "diffusion-head": features}


@pytest.fixture(scope="module")
def runs(captioned_data, settings, tmp_path_factory):
    """Name → its run, trained when it is first asked for."""
    place = tmp_path_factory.mktemp("runs")

    def run(name):
        if not (place / name).exists():
            own = [*settings[name], f"loop.steps={STEPS}", "loop.sample_every=0", "loop.validate_every=60"]
            train("rival", f"{name}-debug", captioned_data, place / name, own, progress=False, device="cpu")
        return place / name

    return run


@pytest.mark.parametrize("name", SYSTEMS)
def test_it_learns_and_knows_its_cost(runs, name):
    assert losses(runs(name))[-1] < 0.5 * losses(runs(name))[0]
    index = json.loads((runs(name) / "model/model_index.json").read_text())
    assert index["training"]["recipe"] == name
    assert index["training"]["flops_per_sample"] > 6 * 16 * 2 * 64 * 64
    language = json.loads((runs(name) / "model/language/config.json").read_text())
    assert language["architectures"] == ["Qwen3ForCausalLM"]


@pytest.mark.parametrize("name", SYSTEMS)
def test_resumed_is_unbroken(captioned_data, settings, tmp_path, name):
    resumed_alike(f"{name}-debug", captioned_data, tmp_path, settings[name])


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_loss_is_of_the_next_vector_and_the_next_id(captioned_data, settings, name):
    task = continuous.Task(override(continuous.RECIPES[f"{name}-debug"](), settings[name]), captioned_data)
    batch, again = task.batch(3, 4), task.batch(3, 4)
    assert all(np.array_equal(batch[key], again[key]) for key in batch)
    assert (task.vocabulary.is_code(batch["ids"]).sum(1) == 16).all()
    assert batch["vectors"].shape[:2] == (4, 16)
    index = task.pictures.order.indices(12, 4)
    assert np.array_equal(batch["pixels"], task.pictures.pixels(index.tolist()))
    assert set(task.networks) == ({"model"} if "pixel" in name else {"model", "decoder"})


@pytest.mark.skipif(not kernels.exact(), reason="NumPy's sums depend on what is computed together")
@pytest.mark.parametrize("name", SYSTEMS)
def test_it_draws_what_it_is_asked_for(runs, name):
    model = lantu.load(runs(name) / "model", "cpu")
    for word, colour in (("cat", 0), ("dog", 2)):
        picture = model.draw(f"a {word}", seed=1)
        assert picture.codes.shape == (4, 4, *model.folder.cell_shape)
        assert picture.image.size == (32, 32)
        if "pixel" in name:
            assert np.asarray(picture.image).mean((0, 1)).argmax() == colour
    drawn_alike(runs(name) / "model", "a cat", guidance=1.5)


def test_regression_knows_one_picture_a_prompt_and_a_diffusion_head_many(runs):
    for name, count in (("pixel-regression", 1), ("diffusion-head", 3)):
        model = lantu.load(runs(name) / "model", "cpu")
        drawn = {picture.codes.tobytes() for picture in model.draw_many("a cat", 3, seed=1)}
        assert len(drawn) == count
        cold = [model.draw("a cat", seed=seed, temperature=0).codes for seed in (1, 2)]
        assert np.array_equal(*cold)


@pytest.mark.parametrize("name", SYSTEMS)
def test_native_code_computes_what_torch_computes(runs, name):
    from lantu.rivals.continuous.network import Vectors

    model = lantu.load(runs(name) / "model", "cpu")
    native, network = model.parts.head, Vectors.load(runs(name) / "model/vectors")
    rng = np.random.default_rng(0)
    width, channels = network.config.width, network.config.channels
    hidden = rng.normal(size=(3, width)).astype(np.float32)
    norm = native.norm["norm"] * hidden / np.sqrt((hidden**2).mean(-1, keepdims=True) + native.norm["eps"])
    import torch

    steps = network.config.steps if model.folder.diffuses else 1
    noise = rng.normal(size=(steps, 3, channels)).astype(np.float32)
    guidance, temperature = (np.full((3, 1), value, np.float32) for value in (1.5, 0.7))
    ours = native.sample(hidden, hidden[::-1].copy(), guidance, temperature, noise)
    normed = torch.from_numpy(norm.astype(np.float32))
    theirs = network.sample(normed, normed.flip(0), guidance, temperature, noise)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(native.embed(theirs), network.embed(theirs), rtol=1e-3, atol=1e-3)


def test_the_decoder_of_vectors_is_the_same_on_kernels_and_torch(runs):
    from lantu.diffusion.sample import sample
    from lantu.rivals.continuous.decoder import VectorDecoder, as_decoder
    from lantu.rivals.continuous.rendering import NativeVectorDenoiser, render

    folder = runs("diffusion-head") / "model/decoder"
    vectors = np.random.default_rng(0).normal(size=(2, 4, 4, 4)).astype(np.float32)
    known = np.arange(32).reshape(2, 4, 4) % 5 > 0
    params = lantu.load(folder.parent, "cpu").folder.settings.change(steps=2)
    ours = render(NativeVectorDenoiser.load(folder, precise=True), vectors, known, [1, 2], params)
    places = np.where(known, np.arange(32).reshape(2, 4, 4), -1)
    theirs = sample(as_decoder(VectorDecoder.load(folder), vectors), places, [1, 2], 2)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", SYSTEMS)
def test_it_captions_shows_previews_and_files_keep_its_vectors(runs, name, tmp_path):
    from lantu.images.metadata import save_picture

    model = lantu.load(runs(name) / "model", "cpu")
    picture = model.draw("a dog", seed=2)
    assert model.caption(picture) in ("a cat", "a dog", "a fox")
    *steps, last = model.stream("a dog", seed=2)
    assert [step.fraction for step in steps] == [0.25, 0.5, 0.75]
    assert np.array_equal(np.asarray(last.preview), np.asarray(picture.image))
    save_picture(picture, tmp_path / "dog.png")
    assert np.array_equal(model.open(tmp_path / "dog.png").codes, picture.codes)
    assert model.render(picture.codes, seed=2).image.tobytes() == picture.image.tobytes()
    assert model.tokenize(picture.image).shape == picture.codes.shape
    with pytest.raises(DataError):
        model.render(picture.codes[..., 0], seed=2)
    with pytest.raises(LantuError, match="top_k"):
        model.draw("a dog", top_k=3)
    with pytest.raises(AbilityError, match="filling"):
        model.edit(picture, "a cat", box=(0, 0, 8, 8))
    assert model.info()["ids"] == 16


@pytest.mark.parametrize("name", SYSTEMS)
def test_it_is_served(runs, name):
    served_alike(runs(name) / "model", "a cat")


def test_the_command_line_draws_again_from_levels(runs, lantu, tmp_path):
    model = runs("diffusion-head") / "model"
    code, out, error = lantu(
        "draw", "a cat", "--model", model, "--seed", 3, "--tokens-out", "t.json", "--json", "-o", "a.png"
    )
    assert (code, error) == (0, "")
    assert json.loads(out)["tokens"] == 16
    for again in (["--from-tokens", "t.json", "--seed", 3], ["--like", "a.png"]):
        code, _, error = lantu("draw", *again, "--model", model, "-o", "b.png")
        assert (code, error) == (0, "")
        assert (tmp_path / "a.png").exists()
    code, out, error = lantu("caption", "a.png", "--model", model)
    assert (code, error) == (0, "")


@pytest.mark.parametrize("name", ["diffusion-head", "pixel-regression"])
def test_it_is_assembled_and_damaged_ones_are_refused(runs, captioned_data, tmp_path, name):
    assemble_rival(runs(name), tmp_path / "mine", licence="MIT", data=captioned_data)
    card = (tmp_path / "mine/README.md").read_text()
    assert ("MAR" if name == "diffusion-head" else "regressed outright") in card
    index = json.loads((tmp_path / "mine/model_index.json").read_text())
    (tmp_path / "mine/model_index.json").write_text(json.dumps(index | {"checksums": {}}))
    path = tmp_path / "mine/vectors/config.json"
    config = json.loads(path.read_text())
    changes = [{"space": "colours"}, {"levels": 1}, {"reach": 0}, {"channels": 5}, {"width": 32}, {"x": 1}]
    for change in [
        *changes,
        {"patch": 4},
        {"head": "regression"} if name == "diffusion-head" else {"head": "diffusion"},
    ]:
        path.write_text(json.dumps(config | change))
        with pytest.raises(ModelError):
            registry.open_folder(tmp_path / "mine").check()
