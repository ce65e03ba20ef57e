"""Layout files: what they may say, and one line that names the field for each thing that they may not."""

import json

import pytest

from lantu.errors import ModelError
from lantu.models import registry
from lantu.models.plain import known
from lantu.models.plain.description import Description
from lantu.models.plain.folder import PlainFolder
from lantu.models.plain.layout import filled
from lantu.pipeline import Model
from tiny_plain import LAYOUT, make


def test_every_layout_that_comes_with_lantu_is_right():
    assert set(known.shipped()) == {"llamagen", "liquid", "simplear"}
    for name, content in known.shipped().items():
        made = Description.of(content, name)
        assert made.name
        assert made.source
    liquid = Description.of(known.shipped()["liquid"])
    assert (liquid.codes.first, liquid.codes.size, liquid.sampling.guidance) == (256000, 8192, 7.0)


def test_a_layout_can_name_only_its_differences(tmp_path, plain):
    path = tmp_path / "lantu_layout.json"
    path.write_text(json.dumps({"like": "simplear", "decoder": {"kind": "lantu"}}))
    made = known.describe(tmp_path)
    assert made.codes.size == 64000
    assert made.decoder.kind == "lantu"
    path.write_text(json.dumps({"like": "../simplear"}))
    with pytest.raises(ModelError, match="known are liquid, llamagen, simplear"):
        known.describe(tmp_path)
    assert registry.family_of(tmp_path).name == "plain"
    assert registry.family_of(plain).name == "plain"
    assert not known.recognise(plain / "decoder")
    with pytest.raises(ModelError, match="none of lantu's own"):
        known.describe(plain / "decoder")


def test_parts_may_lie_on_the_hub(tmp_path, plain, monkeypatch):
    """Here in a cache that is filled already: the two parts of the tiny model under ids of their own."""
    hub = tmp_path / "hub" / "hub"
    for name, source in (("models--owner--words", plain), ("models--owner--pixels", plain / "decoder")):
        snapshot = hub / name / "snapshots" / ("0" * 40)
        snapshot.mkdir(parents=True)
        for path in source.iterdir():
            if path.is_file() and path.name != "lantu_layout.json":
                (snapshot / path.name).write_bytes(path.read_bytes())
        (hub / name / "refs").mkdir()
        (hub / name / "refs" / "main").write_text("0" * 40)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    mine = tmp_path / "mine"
    mine.mkdir()
    parts = {"language": {"hub": "owner/words"}, "decoder": {"kind": "vqgan", "hub": "owner/pixels"}}
    (mine / "lantu_layout.json").write_text(json.dumps(LAYOUT | parts))
    assert registry.family_of(mine).name == "plain"
    ours, theirs = Model.load(mine, "cpu"), Model.load(plain, "cpu")
    assert ours.draw("a cat", seed=1).image.tobytes() == theirs.draw("a cat", seed=1).image.tobytes()
    assert ours.info()["parameters"] == theirs.info()["parameters"]


def test_a_prompt_may_contain_braces():
    assert filled("{prompt} {width}", {"prompt": "{width}", "width": "3"}) == "{width} 3"
    assert filled("{ prompt } {}", {}) == "{ prompt } {}"


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"prompts": "a"}, "unknown field 'prompts'"),
        ({"prompt": None}, 'lacks "prompt"'),
        ({"prompt": "<boi>"}, r'"prompt" .*\{prompt\}'),
        ({"prompt": "{prompt} {size}"}, r'"prompt" .*\{size\}'),
        ({"prompt": "{prompt}" * 1000}, '"prompt"'),
        ({"unconditional": None}, '"unconditional".*guidance of 3'),
        ({"unconditional": "{prompt}"}, r'"unconditional" .*\{prompt\}'),
        ({"chat": [{"role": "user", "content": "{prompt}"}]}, r'"prompt" .*\{prompt\}'),
        ({"chat": [{"role": "king", "content": "{prompt}"}], "prompt": "{chat}"}, "role 'king'|\"role\" 'king'"),
        ({"chat": [{"role": "user", "content": "a"}], "prompt": "{chat}"}, '"chat"'),
        ({"chat": "{prompt}"}, '"chat"'),
        ({"special_tokens": 1}, '"special_tokens"'),
        ({"codes": 7}, '"codes".*an object'),
        ({"codes": {"first": 0, "size": 1}}, '"size" 1'),
        ({"codes": {"first": 0, "size": 10**9}}, '"size"'),
        ({"codes": {"first": -1, "size": 64}}, '"first" -1'),
        ({"codes": {"first": "the end", "size": 64}}, '"first"'),
        ({"codes": {"size": 64}}, 'lacks "first"'),
        ({"codes": {"token": "<I{:0999999999d}>", "size": 64}}, '"token"'),
        ({"codes": {"token": "<I{0.__class__}>", "size": 64}}, '"token"'),
        ({"codes": {"token": "<I>", "size": 64}}, '"token"'),
        ({"row_end": -4}, '"row_end"'),
        ({"row_end": ""}, '"row_end"'),
        ({"grid": {"default": [4]}}, '"default"'),
        ({"grid": {"default": [4, 10**6]}}, '"default"'),
        ({"grid": {"default": [4, 4], "others": [4]}}, '"others"'),
        ({"grid": {"default": [4, 4], "sides": [5, 2]}}, '"sides"'),
        ({"grid": {"default": [4, 4], "size": 3}}, "unknown field 'size'"),
        ({"patch": 0}, '"patch" 0'),
        ({"sampling": {"top_k": -1}}, "top_k can't be -1"),
        ({"sampling": {"topk": 1}}, "unknown field 'topk'"),
        ({"decoder": {"kind": "pickle"}}, "\"kind\" 'pickle'.*vqgan"),
        ({"decoder": {"kind": "vqgan", "folder": "../decoder"}}, '"folder"'),
        ({"decoder": {"kind": "vqgan", "folder": "/decoder"}}, '"folder"'),
        ({"language": 3}, '"language"'),
        ({"language": {"hub": "no id"}}, '"hub"'),
        ({"decoder": {"kind": "vqgan", "hub": "../../x"}}, '"hub"'),
        ({"name": "a\nb"}, '"name"'),
        ({"codes": {"first": 100, "size": 64}}, "up to the id 163"),
    ],
)
def test_what_is_wrong_is_named(plain, tmp_path, changes, match):
    for part in ("config.json", "model.safetensors"):
        (tmp_path / part).symlink_to(plain / part)
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").write_bytes((plain / "config.json").read_bytes())
    content = {name: value for name, value in {**LAYOUT, **changes}.items() if value is not None}
    (tmp_path / "lantu_layout.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match=match) as found:
        PlainFolder(tmp_path)
    assert "\n" not in str(found.value)


def test_files_that_are_no_json_are_refused(plain, tmp_path):
    (tmp_path / "lantu_layout.json").write_text("[1")
    with pytest.raises(ModelError, match="JSON"):
        PlainFolder(tmp_path)


def test_a_tensor_that_is_missing_or_of_another_shape_is_named(tmp_path):
    from lantu.weights import tensors

    make(tmp_path)
    state = tensors.load(tmp_path)
    name = "model.layers.1.mlp.up_proj.weight"
    tensors.save({**state, name: state[name][:3]}, tmp_path, None)
    with pytest.raises(ModelError, match=rf"{name} .*\[3, 64\]"):
        PlainFolder(tmp_path).check()
    del state[name]
    tensors.save(state, tmp_path, None)
    with pytest.raises(ModelError, match=f"lacks {name}"):
        PlainFolder(tmp_path).check()
