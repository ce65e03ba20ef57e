"""Refusals as users meet them: one line on stderr that says what is wrong first, and exit code 2."""

import os

import pytest
from PIL import Image

OTHERS = ("janus", "emu3", "plain", "glm_image")


def refused(answer, *said):
    code, out, err = answer
    assert (code, out) == (2, ""), err
    assert err.count("\n") == 1, err
    for each in said:
        assert each in err


@pytest.fixture
def other(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("other", OTHERS, indirect=True)
def test_what_a_model_cant_do_comes_before_the_size_of_the_picture(other, lantu, tmp_path, monkeypatch):
    monkeypatch.setattr("lantu.models.terms.say", lambda family, notice: None)
    Image.new("RGB", (33, 17)).save(tmp_path / "odd.png")
    for command in (("edit", "odd.png", "a cat", "--box", "0,0,8,8"), ("edit", "odd.png", "paint it red"), ("chat",)):
        refused(lantu(*command, "--model", other), "has not learnt")


@pytest.mark.parametrize("other", OTHERS, indirect=True)
@pytest.mark.parametrize("target", ["gguf", "diffusers", "hub"])
def test_exports_say_that_a_model_is_not_lantus_own(other, lantu, target):
    refused(lantu("export", target, "--model", other, "-o", "out"), "takes models of lantu's own")
    assert not os.path.lexists("out")


def test_data_for_training_is_not_made_by_other_families(lantu, emu3):
    for command in ("tokenize", "export"):
        more = ("-o", "out") if command == "export" else ()
        refused(lantu("data", command, "data", "--model", emu3, *more), "takes models of lantu's own", "--tokenizer")


@pytest.mark.parametrize("command", [("export", "hub"), ("export", "diffusers"), ("assemble",), ("train", "decoder")])
def test_no_output_lies_in_the_model_that_it_is_made_of(lantu, tiny_model, tmp_path, captioned_folder, command):
    model = tmp_path / "model"
    os.symlink(tiny_model, model)  # a link is no way around
    named = {
        "export": ("--model", model),
        "assemble": ("--tokenizer", model, "--language", model, "--decoder", model),
        "train": ("--tokenizer", model / "tokenizer", "--data", captioned_folder, "--recipe", "debug"),
    }
    before = sorted(tiny_model.rglob("*"))
    inside = model / "tokenizer" / "sub"
    refused(lantu(*command, *named[command[0]], "-o", inside), "lies in the", "choose another place")
    assert sorted(tiny_model.rglob("*")) == before


@pytest.fixture(scope="module")
def captioned_folder(tmp_path_factory):
    from lantu.data.build import build_folder

    folder = tmp_path_factory.mktemp("pictures")
    for number in range(4):
        Image.new("RGB", (32, 32), "red").save(folder / f"{number}.png")
    return build_folder(folder, tmp_path_factory.mktemp("data") / "data", size=32)


def test_a_warning_is_not_said_before_a_refusal(lantu, monkeypatch):
    refused(lantu("draw", "x" * 3000, "--size", "40x40"), "3,000 characters")
    code, _, err = lantu("draw", "a cat", "--size", "40x40", "-o", "a.png")
    assert code == 0
    assert "things come apart" in err


@pytest.mark.parametrize("name", ["", "nope", "lantu models"])
def test_accepting_an_unknown_family_names_the_one_that_asks(lantu, name):
    refused(lantu("models", "accept", name), repr(name), "only tar has terms to accept")


@pytest.mark.parametrize(
    "words",
    [
        ("data", "build", "folder", "x", "--labels", "--no-captions"),
        ("make", "x", "-o", "out", "--labels", "--no-captions"),
        ("draw", "a cat", "--sampler", "--seed", "3"),
        ("draw", "a cat", "-o", "--seed=3"),
        ("adopt", "decoder", "x", "--license", "--json", "--tokenizer", "t", "-o", "out"),
        ("train", "decoder", "--data", "d", "--set", "--resume"),
    ],
)
def test_an_option_is_not_taken_for_the_value_of_another(lantu, words):
    refused(lantu(*words), "lacks its value")


def test_words_that_look_like_options_are_still_values(lantu):
    assert lantu("draw", "--temperature", "0", "-o", "a.png", "--", "--seed")[0] == 0
    assert lantu("draw", "a cat", "--seed", "3", "--size", "32x32", "-o", "b.png")[0] == 0


def test_make_has_the_options_that_its_refusals_name(lantu, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(3):
        Image.new("RGB", (32, 32), "red").save(pictures / f"{number}.png")
    (pictures / "captions.csv").write_text("picture,said\n7.png,a cat\n")
    code, _, err = lantu("data", "build", "folder", pictures, "-o", "data", "--size", 32)
    assert code == 2
    assert "--no-captions" in err
    from lantu.recipes.make.making import Making, Wanted, sources_of

    asked = {"pictures": pictures, "out": tmp_path / "m", "work": tmp_path, "minutes": 1, "size": 32, "labels": ""}
    wanted = Wanted(**asked, device="cpu", seed=0, captions=False)
    making = Making(wanted, *sources_of(wanted), *(None,) * 5)
    assert lantu(*making.data_command())[0] == 0
    assert "--no-captions" in lantu("make", "--help")[1]
