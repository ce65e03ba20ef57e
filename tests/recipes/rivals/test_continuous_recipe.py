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

# The last two are made of what the others are: a head, a space, an order.
RASTER = (
    *("continuous-regression", "pixel-regression"),
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("feature-regression", "diffusion-head-raster")),
)
SYSTEMS = ("diffusion-head", *RASTER)
SIDES = {"continuous-regression": 2}  # vectors a side; the vision encoder's are of 16 pixels
STEPS = 100


@pytest.fixture(scope="module")
def settings(tiny_model):
    features = [f"tokenizer={tiny_model}/tokenizer"]
    own = {"continuous-regression": [], "pixel-regression": []}
    return own | dict.fromkeys(("feature-regression", "diffusion-head", "diffusion-head-raster"), features)


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
    shuffles = name == "diffusion-head"
    assert language["architectures"] == ["MaskedVectorTransformer" if shuffles else "Qwen3ForCausalLM"]


@pytest.mark.parametrize("name", SYSTEMS)
def test_resumed_is_unbroken(captioned_data, settings, tmp_path, name):
    resumed_alike(f"{name}-debug", captioned_data, tmp_path, settings[name])


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_loss_is_of_the_next_vector_and_the_next_id(captioned_data, settings, name):
    task = continuous.Task(override(continuous.RECIPES[f"{name}-debug"](), settings[name]), captioned_data)
    batch, again = task.batch(3, 4), task.batch(3, 4)
    assert all(np.array_equal(batch[key], again[key]) for key in batch)
    count = SIDES.get(name, 4) ** 2
    assert batch["vectors"].shape[:2] == (4, count)
    if name == "diffusion-head":
        assert ((batch["ids"] == task.vocabulary.special("hole")).sum(1) == count).all()
        assert (batch["masked"].sum(1) >= 0.7 * count).all()
    else:
        assert (task.vocabulary.is_code(batch["ids"]).sum(1) == count).all()
    index = task.pictures.order.indices(12, 4)
    assert np.array_equal(batch["pixels"], task.pictures.pixels(index.tolist()))
    assert set(task.networks) == ({"model"} if "pixel" in name else {"model", "decoder"})


@pytest.mark.skipif(not kernels.exact(), reason="NumPy's sums depend on what is computed together")
@pytest.mark.parametrize("name", SYSTEMS)
def test_it_draws_what_it_is_asked_for(runs, name):
    model = lantu.load(runs(name) / "model", "cpu")
    for word, colour in (("cat", 0), ("dog", 2)):
        picture = model.draw(f"a {word}", seed=1)
        side = SIDES.get(name, 4)
        assert picture.codes.shape == (side, side, *model.folder.cell_shape)
        assert picture.image.size == (32, 32)
        if "pixel" in name:
            assert np.asarray(picture.image).mean((0, 1)).argmax() == colour
    drawn_alike(runs(name) / "model", "a cat", certain="regression" in name, guidance=1.5)


def test_regression_knows_one_picture_a_prompt_and_a_diffusion_head_many(runs):
    for name, count in (("pixel-regression", 1), ("continuous-regression", 1), ("diffusion-head", 3)):
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
    if name == "diffusion-head":
        assert model.parts.language.passes == 6
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


@pytest.mark.parametrize("name", RASTER)
def test_it_captions_and_shows_rows(runs, name):
    model = lantu.load(runs(name) / "model", "cpu")
    assert model.caption(model.draw("a dog", seed=2)) in ("a cat", "a dog", "a fox")
    *steps, _ = model.stream("a dog", seed=2)
    side = SIDES.get(name, 4)
    assert [step.fraction for step in steps] == [row / side for row in range(1, side)]


@pytest.mark.parametrize("name", SYSTEMS)
def test_files_keep_its_vectors(runs, name, tmp_path):
    from lantu.images.metadata import save_picture

    model = lantu.load(runs(name) / "model", "cpu")
    picture = model.draw("a dog", seed=2)
    *_, last = model.stream("a dog", seed=2)
    assert np.array_equal(np.asarray(last.preview), np.asarray(picture.image))
    save_picture(picture, tmp_path / "dog.png")
    assert np.array_equal(model.open(tmp_path / "dog.png").codes, picture.codes)
    assert model.render(picture.codes, seed=2).image.tobytes() == picture.image.tobytes()
    assert model.tokenize(picture.image).shape == picture.codes.shape
    with pytest.raises(DataError):
        model.render(picture.codes[..., 0], seed=2)
    with pytest.raises(LantuError, match="top_k"):
        model.draw("a dog", top_k=3)
    if name == "diffusion-head":
        edited = model.edit(picture, "a cat", box=(0, 0, 16, 32), seed=3)
        assert np.array_equal(edited.codes[:, 2:], picture.codes[:, 2:])
        assert (edited.codes[:, :2] != picture.codes[:, :2]).any(-1).all()
    else:
        with pytest.raises(AbilityError, match="filling"):
            model.edit(picture, "a cat", box=(0, 0, 8, 8))
    assert model.info()["ids"] == SIDES.get(name, 4) ** 2


def test_in_random_order_a_draft_takes_as_many_passes_as_asked_for(runs):
    model = lantu.load(runs("diffusion-head") / "model", "cpu")
    *steps, _ = model.stream("a dog", seed=2)
    shares = [step.fraction for step in steps]
    assert 1 < len(shares) < 6
    assert shares == sorted(shares)
    assert not np.array_equal(model.draw("a dog", seed=2, passes=16).codes, model.draw("a dog", seed=2, passes=1).codes)
    with pytest.raises(AbilityError, match="captioning"):
        model.caption(model.draw("a dog", seed=2))
    with pytest.raises(LantuError, match="passes"):
        lantu.load(runs("pixel-regression") / "model", "cpu").draw("a dog", passes=3)


def test_hidden_states_of_random_order_are_the_same_on_kernels_and_torch(runs):
    import torch

    from lantu.models.masked.sequence import ids_of
    from lantu.rivals.continuous.bidirectional import MaskedVectorTransformer
    from lantu.rivals.continuous.bidirectional_native import MaskedVectorLanguage
    from lantu.tokens.document import draw_prefix

    folder = runs("diffusion-head") / "model/language"
    native, network = MaskedVectorLanguage.load(folder, precise=True), MaskedVectorTransformer.load(folder)
    cells = np.random.default_rng(0).normal(size=(16, 64)).astype(np.float32)
    cells[::3] = np.nan
    prompts = [draw_prefix(text, 4, 4, network.vocabulary) for text in ([5, 6, 7], [])]
    theirs = network.cells(prompts, [cells, cells])
    for ours, wanted in zip(native.cells(prompts, [cells, cells]), theirs, strict=True):
        normed = network.norm(torch.from_numpy(np.array(ours)))
        np.testing.assert_allclose(normed.numpy(), wanted.numpy(), rtol=2e-3, atol=2e-3)
    # What training reads in one batch, padded, is what drawing reads alone.
    rows = [ids_of(prompt, [-1] * 16, network.vocabulary) for prompt in prompts]
    ids = torch.full((2, len(rows[0])), network.vocabulary.special("pad"))
    for padded, row in zip(ids, rows, strict=True):
        padded[: len(row)] = torch.from_numpy(row)
    seen = torch.arange(ids.shape[1]) < torch.tensor([len(row) for row in rows])[:, None]
    both = torch.from_numpy(np.stack([cells, cells]))
    with torch.inference_mode():
        hidden = network.hidden(network.told(ids, both, both[..., 0].isnan()), seen, 4, 4)
    np.testing.assert_allclose(hidden.numpy(), torch.stack(theirs).numpy(), rtol=1e-4, atol=1e-4)


def test_the_vision_encoder_is_kept_as_it_was_trained_with(runs, captioned_data):
    """A model directory sees pictures as its training did, and refuses another encoder."""
    from lantu.recipes.rivals.vectors import Embeddings
    from lantu.rivals.continuous.vision import VisionEncoder

    folder = runs("continuous-regression") / "model"
    kept, used = VisionEncoder.load(folder / "vision"), Embeddings(trained=False)
    assert kept.digest() == used.digest == json.loads((folder / "vectors/config.json").read_text())["tokenizer"]
    task = continuous.Task(continuous.RECIPES["continuous-regression-debug"](), captioned_data)
    pixels = task.batch(0, 2)["pixels"]
    model = lantu.load(folder, "cpu")
    pictures = ((pixels.numpy().transpose(0, 2, 3, 1) + 1) * 127.5).round().astype(np.uint8)
    vectors = model.parts.levels.vectors(model.parts.encode(pictures)).reshape(2, 4, -1)
    np.testing.assert_allclose(vectors, task.space.vectors(pixels).numpy(), atol=0.02)


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
    code, _, error = lantu("draw", "a cat", "--passes", 2, "--model", model, "-o", "c.png")
    assert (code, error) == (0, "")
    code, out, error = lantu("caption", "a.png", "--model", model)
    assert (code, "draws and fills holes" in error) == (2, True)


@pytest.mark.parametrize("name", ["diffusion-head", "pixel-regression", "continuous-regression"])
def test_it_is_assembled_and_damaged_ones_are_refused(runs, captioned_data, tmp_path, name):
    assemble_rival(runs(name), tmp_path / "mine", licence="MIT", data=captioned_data)
    card = (tmp_path / "mine/README.md").read_text()
    about = {"diffusion-head": "random order", "pixel-regression": "regressed outright"}
    assert about.get(name, "as in Emu") in card
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
