"""A pretrained decoder as users meet it: adopted, assembled, drawn with, and refused where something is wrong."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_pipelines import ddim, unet, write

from lantu.diffusion.sample import sample
from lantu.errors import DiskError, LantuError, ModelError, RecipeError
from lantu.models.diffusers import tiny_autoencoder
from lantu.models.lantu.components import load_decoder
from lantu.pipeline import Model
from lantu.recipes.adopt_decoder import adopt_decoder
from lantu.recipes.assemble import assemble

TAEF2 = os.environ.get("LANTU_TAEF2", "")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A published Stable Diffusion with a card."""
    folder = tmp_path_factory.mktemp("published") / "sd"
    write("sd", folder)
    (folder / "README.md").write_text('---\nlicense: openrail++\ntags: ["text-to-image"]\n---\n# SD\n')
    return folder


@pytest.fixture(scope="module")
def model(tiny_model, published, tmp_path_factory):
    """The tiny model with a pretrained decoder in the place of its own."""
    folder = tmp_path_factory.mktemp("models")
    adopt_decoder(str(published), tiny_model, folder / "decoder", size=16, width=32, layers=1)
    made = assemble(tiny_model, tiny_model, folder / "decoder", folder / "mixed", draw={"guidance": 2.0, "steps": 3})
    return made.path


def test_the_published_folders_are_kept_and_open_in_diffusers(published, model):
    decoder = model / "decoder"
    for part in ("unet", "vae"):
        name = "diffusion_pytorch_model.safetensors"
        assert (decoder / part / name).read_bytes() == (published / part / name).read_bytes()
    UNet2DConditionModel.from_pretrained(decoder / "unet")
    AutoencoderKL.from_pretrained(decoder / "vae")
    config = json.loads((decoder / "config.json").read_text())
    assert config["license"] == "openrail++"
    assert config["patch"] == 4


def test_it_draws_by_the_command_and_the_library(lantu, model):
    code, out, err = lantu("draw", "a cat on the left", "--model", model, "--seed", 7, "-n", 2, "-o", "a.png", "--json")
    assert code == 0, err
    opened = Model.load(model)
    picture = opened.draw("a cat on the left", seed=7)
    with Image.open(json.loads(out)["files"][0]) as drawn:
        assert drawn.size == (16, 16)
        np.testing.assert_array_equal(np.asarray(drawn), np.asarray(picture.image))
    assert np.asarray(picture.image).std() > 1


def test_a_picture_is_the_same_in_any_company(model):
    opened = Model.load(model)
    for picture in opened.draw_many("a dog", 3, seed=1):
        alone = opened.draw("a dog", seed=picture.seed)
        np.testing.assert_array_equal(picture.codes, alone.codes)
        np.testing.assert_array_equal(np.asarray(picture.image), np.asarray(alone.image))


def test_previews_steps_guidance_and_samplers(model):
    opened = Model.load(model)
    previews = [step.preview for step in opened.stream("a cat", seed=3) if step.preview is not None]
    assert previews
    assert previews[0].size == (16, 16)
    plain = np.asarray(opened.draw("a cat", seed=3).image)
    for changed in ({"steps": 5}, {"render_guidance": 3.0}, {"sampler": "heun"}):
        assert (np.asarray(opened.draw("a cat", seed=3, **changed).image) != plain).any()


def test_info_tells_where_it_comes_from(lantu, model, published):
    code, out, _ = lantu("info", "--model", model, "--json")
    assert code == 0
    facts = json.loads(out)
    assert facts["decoder"] == f"UNet2DConditionModel, {published}, openrail++"
    assert facts["pixels"] == "16x16"
    assert facts["parameters"]["decoder"] > 10_000
    assert facts["memory"]["decoder"] == 4 * facts["parameters"]["decoder"]


def test_the_command_adopts_and_says_the_licence(lantu, published, tiny_model):
    how = ("--tokenizer", tiny_model, "-o", "out", "--size", 16, "--width", 32, "--layers", 0)
    code, out, err = lantu("adopt", "decoder", published, *how)
    assert code == 0, err
    assert "UNet2DConditionModel, 16 px, 32 codes of 4 px" in out
    assert f"licence of {published}: openrail++" in err
    code, out, err = lantu("adopt", "decoder", published, *how, "--license", "mine", "--json")
    assert code == 0, err
    facts = json.loads(out)
    assert (facts["license"], facts["pixels"], facts["network"]) == ("mine", 16, "UNet2DConditionModel")
    code, out, err = lantu("adopt", "decoder", tiny_model, *how)
    assert (code, out) == (2, "")
    assert "a model of the family lantu, not a pipeline of diffusers" in err
    assert err.count("\n") == 1


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def resave(path, change):
    """Rewrite a file of tensors after ``change`` of its state."""
    state = load_file(path)
    change(state)
    save_file(state, path)


def copied(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


UNET = "unet/diffusion_pytorch_model.safetensors"
DAMAGE = {
    "a missing tensor": (lambda f: resave(f / UNET, lambda s: s.pop("conv_in.weight")), "conv_in.weight is missing"),
    "an odd shape": (
        lambda f: resave(f / UNET, lambda s: s.update({"conv_in.bias": torch.zeros(3)})),
        r"conv_in.bias is \[3\], in config.json \[8\]",
    ),
    "an unknown tensor": (lambda f: resave(f / UNET, lambda s: s.update(extra=torch.zeros(1))), "extra is a tensor"),
    "another type": (
        lambda f: resave(f / UNET, lambda s: s.update({"conv_in.bias": torch.zeros(8).long()})),
        "conv_in.bias in .* is I64",
    ),
    "a cut file": (lambda f: (f / UNET).write_bytes((f / UNET).read_bytes()[:-10]), "can't read the weights"),
    "a pickle": (lambda f: (f / UNET).rename(f / "unet/diffusion_pytorch_model.bin"), "no diffusion_pytorch_model"),
    "a link": (lambda f: ((f / UNET).unlink(), (f / UNET).symlink_to("/dev/zero")), "link that leaves"),
    "a pipe": (lambda f: ((f / UNET).unlink(), os.mkfifo(f / UNET)), "not a regular file"),
    "another class": (lambda f: edit(f / "unet/config.json", _class_name="UNet1DModel"), "UNet1DModel"),
    "quantised": (lambda f: edit(f / "unet/config.json", quantization_config={"bits": 4}), "quantised"),
    "inputs of inpainting": (lambda f: edit(f / "unet/config.json", in_channels=9), "9, 3, 3"),
    "nonsense": (lambda f: edit(f / "unet/config.json", norm_num_groups=3), "diffusers can't read"),
    "no network": (lambda f: shutil.rmtree(f / "unet"), "no unet/ and no transformer/"),
    "a strange scheduler": (
        lambda f: edit(f / "scheduler/scheduler_config.json", _class_name="EDMEulerScheduler"),
        "EDMEulerScheduler",
    ),
    "no scheduler": (lambda f: shutil.rmtree(f / "scheduler"), "scheduler_config.json can't be read"),
    "no autoencoder": (lambda f: shutil.rmtree(f / "vae"), r"has no vae/, and its network denoises latents"),
    "scaled latents": (lambda f: edit(f / "vae/config.json", latents_mean=[0.0] * 4), "latents_mean"),
    "an autoencoder of video": (lambda f: edit(f / "vae/config.json", _class_name="AutoencoderKLWan"), "Wan"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_pipelines_are_refused_by_name(published, tiny_model, tmp_path, damage):
    harm, named = DAMAGE[damage]
    folder = copied(published, tmp_path)
    harm(folder)
    for size in (16, None):
        with pytest.raises(ModelError, match=named):
            adopt_decoder(str(folder), tiny_model, tmp_path / "out", size=size, width=32)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy"]


def test_an_adopted_decoder_is_checked_as_it_is_opened(model, tmp_path):
    decoder = copied(model / "decoder", tmp_path)
    resave(decoder / UNET, lambda state: state.pop("conv_out.bias"))
    with pytest.raises(ModelError, match=r"conv_out\.bias is missing"):
        load_decoder(decoder)
    decoder = shutil.copytree(model / "decoder", tmp_path / "second")
    resave(decoder / "adapter/model.safetensors", lambda state: state.pop("context.bias"))
    with pytest.raises(ModelError, match=r"adapter of the diffusion decoder lacks context\.bias"):
        load_decoder(decoder)
    edit(decoder / "config.json", patch="wide")
    with pytest.raises(ModelError, match="patch"):
        load_decoder(decoder)


def test_a_changed_file_of_an_assembled_model_is_refused(model, tmp_path):
    changed = copied(model, tmp_path)
    edit(changed / "decoder/scheduler/scheduler_config.json", beta_end=0.02)
    with pytest.raises(ModelError, match=r"scheduler_config\.json differs"):
        Model.load(changed)


def test_an_adopted_decoder_is_not_adopted_again(model, tiny_model, tmp_path):
    with pytest.raises(ModelError, match="adopted already"):
        adopt_decoder(str(model / "decoder"), tiny_model, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_codes_of_another_tokenizer_are_refused(model, tiny_model, tmp_path):
    decoder = copied(model / "decoder", tmp_path)
    edit(decoder / "config.json", tokenizer="0" * 64)
    with pytest.raises(ModelError, match="codes of another tokenizer"):
        assemble(tiny_model, tiny_model, decoder, tmp_path / "model")


@pytest.mark.parametrize(
    "how", [{"variant": "fp16"}, {"max_shard_size": "20KB"}, {"variant": "fp16", "max_shard_size": "20KB"}]
)
def test_variants_and_shards_open_in_diffusers_under_plain_names(tiny_model, tmp_path, how):
    network, _, _ = write("sd", tmp_path / "published", **how)
    assert not (tmp_path / "published" / UNET).exists()
    adopt_decoder(str(tmp_path / "published"), tiny_model, tmp_path / "out", size=16, width=32)
    theirs = UNet2DConditionModel.from_pretrained(tmp_path / "out" / "unet").state_dict()
    assert all(torch.equal(theirs[name], value) for name, value in network.state_dict().items())
    load_decoder(tmp_path / "out")


def test_a_variant_is_chosen_by_name(published, tiny_model, tmp_path):
    folder = copied(published, tmp_path)
    for part in ("unet", "vae"):
        plain = folder / part / "diffusion_pytorch_model.safetensors"
        shutil.copy(plain, plain.with_name("diffusion_pytorch_model.fp16.safetensors"))
    with pytest.raises(ModelError, match="the plain one, fp16"):
        adopt_decoder(str(folder), tiny_model, tmp_path / "out", size=16, width=32, variant="bf16")
    adopt_decoder(str(folder), tiny_model, tmp_path / "out", size=16, width=32, variant="fp16")
    adopt_decoder(str(folder), tiny_model, tmp_path / "out", size=16, width=32)  # its own output may be replaced
    (tmp_path / "out" / "thesis.txt").write_text("thesis")
    with pytest.raises(DiskError, match=r"thesis\.txt"):
        adopt_decoder(str(folder), tiny_model, tmp_path / "out", size=16, width=32)


def test_sizes_that_do_not_fit_are_refused(published, tiny_model, tmp_path):
    with pytest.raises(RecipeError, match="multiple of 4"):
        adopt_decoder(str(published), tiny_model, tmp_path / "out", size=17)
    with pytest.raises(ModelError, match="multiple of 2"):
        adopt_decoder(str(published), tiny_model, tmp_path / "out", size=4)
    made = adopt_decoder(str(published), tiny_model, tmp_path / "out", width=32)
    assert made.size == 16  # the pipeline's own: 8 latents of 2 pixels


def test_without_diffusers_one_line_says_so(model, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "diffusers" else True)
    with pytest.raises(LantuError, match=r"needs diffusers.*lantu\[train\]"):
        load_decoder(model / "decoder")


def test_a_tiny_autoencoder_takes_the_place_of_the_large_one(published, tiny_model, tmp_path):
    torch.manual_seed(0)
    (tmp_path / "tiny").mkdir()
    for name, make in (("encoder", tiny_autoencoder.encoder), ("decoder", tiny_autoencoder.decoder)):
        save_file(make(4, 8, pooled=True).half().state_dict(), tmp_path / "tiny" / f"{name}.safetensors")
    adopt_decoder(str(published), tiny_model, tmp_path / "out", size=64, vae=str(tmp_path / "tiny"), width=32)
    decoder = load_decoder(tmp_path / "out")
    assert decoder.codec.factor == 8
    assert sample(decoder, np.zeros((1, 4, 4), np.int64), [0], 1).shape == (1, 3, 64, 64)
    for name, make in (("encoder", tiny_autoencoder.encoder), ("decoder", tiny_autoencoder.decoder)):
        save_file(make(5, 8).state_dict(), tmp_path / "tiny" / f"{name}.safetensors")
    with pytest.raises(ModelError, match="denoises 4 channels, the autoencoder has 5"):
        adopt_decoder(str(published), tiny_model, tmp_path / "other", size=64, vae=str(tmp_path / "tiny"))


@pytest.mark.skipif(not TAEF2, reason="needs TAEF2's weights, see LANTU_TAEF2 in tests/diffusion")
def test_taef2_decodes_what_a_network_denoises(tiny_model, tmp_path):
    channels = tiny_autoencoder.TinyAutoencoder.load(TAEF2).channels
    (tmp_path / "published").mkdir()
    network = unet(in_channels=channels, out_channels=channels)
    network.save_pretrained(tmp_path / "published" / "unet")
    ddim(prediction_type="v_prediction").save_pretrained(tmp_path / "published" / "scheduler")
    adopt_decoder(str(tmp_path / "published"), tiny_model, tmp_path / "out", size=64, vae=TAEF2, width=32)
    for half in ("encoder", "decoder"):
        name = f"{half}.safetensors"
        assert (tmp_path / "out" / "vae" / name).read_bytes() == (Path(TAEF2) / name).read_bytes()
    decoder = load_decoder(tmp_path / "out")
    latents = decoder.codec.encode(np.full((1, 3, 64, 64), 0.5, np.float32))
    np.testing.assert_allclose(decoder.codec.decode(latents).numpy(), 0.5, atol=0.15)
    assert sample(decoder, np.zeros((1, 4, 4), np.int64), [0], 2).shape == (1, 3, 64, 64)
