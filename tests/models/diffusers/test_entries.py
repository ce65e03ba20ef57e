"""Every entry of a published config that is read has a checked type, whatever its class."""

import inspect
import json

import pytest
from tiny_pipelines import PIPELINES, parts, write

from lantu.errors import ModelError
from lantu.models.diffusers.entries import check_entries
from lantu.models.diffusers.kinds import numbers_in
from lantu.models.diffusers.scheduler import read_scheduler
from lantu.recipes.adopt_decoder import adopt_decoder

UNREAD = {  # entries of the scheduler that only its own steps use, and _class_name, which is another test's
    *("_class_name", "_diffusers_version", "clip_sample", "clip_sample_range", "dynamic_thresholding_ratio"),
    *("sample_max_value", "set_alpha_to_one", "steps_offset", "thresholding", "timestep_spacing"),
}
FILES = ("unet/config.json", "vae/config.json", "scheduler/scheduler_config.json")


def wrong(value):
    """A value of another type."""
    kinds = {type(each) for each in numbers_in(value)}
    if kinds <= {type(None)}:
        return {"a": 1}
    return 7.5 if str in kinds else "x"


@pytest.mark.parametrize("name", PIPELINES)
def test_an_entry_of_another_type_is_refused_by_name(name):
    for module in parts(name)[:2]:
        config = json.loads(module.to_json_string())
        check_entries(config, type(module).__init__, "config.json")
        arguments = inspect.signature(type(module).__init__).parameters
        for entry in sorted(config.keys() & arguments.keys() - {"siglip_feat_dim"}):
            for value in (wrong(config[entry]), {"a": 1}, [{}]):
                with pytest.raises(ModelError, match=f"config.json has {entry} "):
                    check_entries(config | {entry: value}, type(module).__init__, "config.json")


def test_null_and_lists_stand_where_real_configs_have_them():
    unet = parts("sd")[0]
    real = {"upcast_attention": None, "attention_head_dim": [5, 10, 20, 20], "sample_size": None}
    check_entries({**unet.config, **real}, type(unet).__init__, "config.json")
    with pytest.raises(ModelError, match="norm_eps"):
        check_entries({**unet.config, "norm_eps": 1e30}, type(unet).__init__, "config.json")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published") / "sd"
    write("sd", folder)
    return folder


def test_adopting_refuses_each_entry_by_file_and_name(published, tiny_model, tmp_path):
    for name in FILES:
        path = published / name
        whole = path.read_text()
        config = json.loads(whole)
        for entry in config.keys() - UNREAD:
            path.write_text(json.dumps(config | {entry: wrong(config[entry])}))
            with pytest.raises(ModelError) as refused:
                adopt_decoder(str(published), tiny_model, tmp_path / "out", size=16, width=32)
            assert entry in refused.value.message, (name, entry, refused.value.message)
            assert "\n" not in str(refused.value)
        path.write_text(whole)
    adopt_decoder(str(published), tiny_model, tmp_path / "out", size=16, width=32)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("unet/config.json", {"sample_size": 0}),
        ("vae/config.json", {"scaling_factor": 0}),
        ("vae/config.json", {"scaling_factor": None}),
        ("vae/config.json", {"shift_factor": True}),
        ("scheduler/scheduler_config.json", {"beta_start": None}),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": None}),
        ("model_index.json", {"requires_aesthetics_score": "no"}),
    ],
)
def test_values_out_of_range_are_refused(tiny_model, tmp_path, name, changes):
    write("refiner", tmp_path / "sd")
    path = tmp_path / "sd" / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ModelError, match=next(iter(changes))):
        adopt_decoder(str(tmp_path / "sd"), tiny_model, tmp_path / "out", width=32)


def test_the_numbers_of_a_flow_are_checked():
    flow = {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}
    assert read_scheduler(flow)[1] == "flow"
    dynamic = {"use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 1.15, "time_shift_type": "linear"}
    read_scheduler(flow | dynamic)
    for changes in ({"shift": None}, {"use_dynamic_shifting": "no"}, dynamic | {"time_shift_type": "cubic"}):
        with pytest.raises(ModelError, match=list(changes)[-1]):
            read_scheduler(flow | changes)
