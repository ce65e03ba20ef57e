"""Discrete diffusion, trained in seconds: it learns, resumes, is opened, draws in any number of passes, is served."""

import json

import numpy as np
import pytest
from rival_checks import drawn_alike, losses, resumed_alike, served_alike

import lantu
from lantu import kernels
from lantu.engine.drafting import MASK_ID, draft
from lantu.errors import LantuError, ModelError, RecipeError
from lantu.models import registry
from lantu.recipes import train
from lantu.recipes.rivals import vq_diffusion
from lantu.recipes.rivals.assembling import assemble_rival
from lantu.rivals.vq_diffusion.drafter import VqDiffusionDrafter, chances
from lantu.rivals.vq_diffusion.native import VqDiffusionLanguage
from lantu.rivals.vq_diffusion.network import VqDiffusionTransformer
from lantu.training.config import override


@pytest.fixture(scope="module")
def settings(tiny_model):
    return [f"tokenizer={tiny_model}/tokenizer", "loop.batch_size=8"]


@pytest.fixture(scope="module")
def run(captioned_data, settings, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "vq"
    own = [*settings, "loop.steps=80", "loop.sample_every=0", "loop.validate_every=50"]
    train("rival", "vq-diffusion-debug", captioned_data, out, own, progress=False, device="cpu")
    return out


def test_a_batch_is_noised_codes_and_their_times(captioned_data, settings):
    task = vq_diffusion.Task(override(vq_diffusion.debug(), settings), captioned_data)
    batch, again = task.batch(3, 8), task.batch(3, 8)
    assert all(np.array_equal(batch[name], again[name]) for name in batch)
    hole, first = task.vocabulary.special("hole"), task.vocabulary.first_code
    read = batch["ids"][:, :16].numpy()
    assert np.array_equal(np.where(read == hole, 32, read - first), batch["noisy"])
    index = task.pictures.order.indices(3 * 8, 8)
    assert np.array_equal(batch["targets"], task.pictures.grids[index].reshape(8, -1))
    assert 1 <= batch["time"].min() <= batch["time"].max() <= task.recipe.steps
    with pytest.raises(RecipeError, match="30 passes"):
        override(vq_diffusion.debug(), ["passes=30"])


def test_it_learns_and_knows_its_cost(run):
    assert losses(run)[-1] < 0.4 * losses(run)[0]
    index = json.loads((run / "model/model_index.json").read_text())
    assert index["training"]["recipe"] == "vq-diffusion"
    assert index["training"]["flops_per_sample"] > 6 * 16 * 64 * 64


def test_resumed_is_unbroken(captioned_data, settings, tmp_path):
    resumed_alike("vq-diffusion-debug", captioned_data, tmp_path, settings)


def test_kernels_compute_what_torch_computes(run):
    folder = run / "model/language"
    native, network = VqDiffusionLanguage.load(folder, precise=True), VqDiffusionTransformer.load(folder)
    vocabulary = native.vocabulary
    prompts = [[vocabulary.special("bos"), 5, *(vocabulary.special("boi"), vocabulary.side(4), vocabulary.side(4))]]
    drafts = [[vocabulary.first_code + 3, *[MASK_ID] * 15]]
    for t in (1, 20):
        ours, theirs = (each.predict(prompts, drafts, (vocabulary.code_range,), t)[0] for each in (native, network))
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)
    early, late = (native.predict(prompts, drafts, (vocabulary.code_range,), t)[0] for t in (1, 20))
    assert abs(early - late).max() > 1e-3  # the network is told the time


@pytest.mark.skipif(not kernels.exact(), reason="NumPy's sums depend on what is computed together")
def test_it_draws_what_it_is_asked_for(run, captioned_data, settings):
    task = vq_diffusion.Task(override(vq_diffusion.debug(), settings), captioned_data)
    model = lantu.load(run / "model", "cpu")
    right = []
    for index, sample in enumerate(task.corpus.samples[:4]):
        picture = model.draw(sample.captions["en"][0], seed=index, guidance=2.0, temperature=0.5)
        right.append((picture.codes == task.pictures.grids[index]).mean())
    assert np.mean(right) > 0.7
    drawn_alike(run / "model", "a cat", temperature=3.0)


def test_passes_are_chosen_with_each_drawing(run, lantu):
    import lantu as library

    model = library.load(run / "model", "cpu")
    told = []
    request = model.parts.layout.draw("a cat", (4, 4), 3, model.folder.settings.change(passes=3, temperature=1.0))
    (ids,) = draft(VqDiffusionDrafter(model.parts.language), [request], lambda place, ids: told.append(list(ids)))
    assert (len(told), told[-1]) == (3, ids)
    assert MASK_ID not in ids
    assert len(list(model.stream("a cat", seed=3, every=1, passes=20))) > 4
    code, _, error = lantu("draw", "a cat", "--model", run / "model", "--passes", 2, "--seed", 1, "-o", "cat.png")
    assert (code, error) == (0, "")
    code, _, error = lantu("draw", "a cat", "--passes", 2)  # of a next-token model
    assert (code, error.count("\n")) == (2, 1)
    assert "code by code" in error
    with pytest.raises(LantuError, match="contrastive"):
        model.draw("a cat", contrast=3)


def test_holes_are_filled_around_what_is_there(run):
    model = lantu.load(run / "model", "cpu")
    picture = model.draw("a cat", seed=1)
    edited = model.edit(picture, "a dog", box=(0, 0, 16, 32), seed=2, temperature=3.0)
    assert np.array_equal(edited.codes[:, 2:], picture.codes[:, 2:])
    assert (edited.codes[:, :2] != picture.codes[:, :2]).any()
    *steps, _ = model.parts.layout.fill_codes(picture.codes, np.ones((4, 4), bool), [-1] * 16)
    assert all((row == -1).all() for row in steps)


def test_at_temperature_0_every_seed_draws_the_same(run):
    model = lantu.load(run / "model", "cpu")
    assert np.array_equal(*(model.draw("a cat", seed=seed, temperature=0).codes for seed in (1, 2)))


def test_truncated_chances():
    from lantu.engine.request import Request

    logits = np.log(np.array([[0.5, 0.1, 0.3, 0.1]], np.float32))

    def of(**how):
        return chances(logits, None, Request([1], (range(4),), 1, **how))[0]

    np.testing.assert_allclose(of(), [0.5, 0.1, 0.3, 0.1], atol=1e-6)
    np.testing.assert_allclose(of(top_k=2), [0.625, 0, 0.375, 0], atol=1e-6)
    np.testing.assert_allclose(of(top_p=0.6), [0.625, 0, 0.375, 0], atol=1e-6)
    np.testing.assert_allclose(of(temperature=0), [1, 0, 0, 0])
    guided = chances(
        logits, np.zeros((1, 4), np.float32), Request([1], (range(4),), 1, unconditional=[2], guidance=2.0)
    )
    assert guided[0, 0] > 0.6


def test_it_is_served(run):
    served_alike(run / "model", "a cat")


def test_it_is_assembled_and_damaged_ones_are_refused(run, captioned_data, tmp_path):
    folder = assemble_rival(run, tmp_path / "mine", licence="MIT", data=captioned_data, draw={"passes": 4})
    assert folder.settings.passes == 4
    card = (tmp_path / "mine/README.md").read_text()
    assert "VQ-Diffusion" in card
    assert "forward passes" in card
    (tmp_path / "mine/model_index.json").write_text(
        json.dumps({**json.loads((tmp_path / "mine/model_index.json").read_text()), "checksums": {}})
    )
    path = tmp_path / "mine/language/config.json"
    config = json.loads(path.read_text())
    for change in ({"masked": 1.0}, {"masked": 0}, {"steps": 3}, {"passes": 0}, {"layers": 3}, {"steps": "x"}):
        path.write_text(json.dumps(config | change))
        with pytest.raises(ModelError, match=r"config.json|discrete diffusion"):
            registry.open_folder(tmp_path / "mine").check()
