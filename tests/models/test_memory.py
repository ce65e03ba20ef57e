"""What does not fit is refused before it is loaded; what fits in turns is drawn in turns, and draws the same."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from lantu.errors import LantuError
from lantu.files import control_groups
from lantu.models import free_memory
from lantu.models.estimate import cached_width
from lantu.models.memory import short
from lantu.models.registry import load_parts, open_folder
from lantu.pipeline import Model


@pytest.fixture
def allow(monkeypatch):
    """Pretends that so many bytes are free, and that nothing fits without a look at it."""
    monkeypatch.setattr("lantu.models.memory.AT_EASE", float("inf"))

    def set_free(count):
        monkeypatch.setattr("lantu.models.memory.free_bytes", lambda device: count)

    return set_free


@pytest.fixture(params=["tiny_model", "masked_model", "janus"])
def path(request):
    return request.getfixturevalue(request.param)


def test_both_parts_at_once_or_in_turns_draw_the_same(path, allow):
    folder = open_folder(path)
    need = folder.memory("cpu")
    assert min(need.language, need.caches, need.decoder, need.working) > 0
    assert need.apart < need.together
    allow(need.together)
    rich = Model.load(path, "cpu")
    wanted = rich.draw("a cat", seed=3)
    assert {"language", "drafter"} < vars(rich.parts).keys()
    allow(need.apart)
    poor = Model.load(path, "cpu")
    for _ in range(2):  # the language model is loaded again
        picture = poor.draw("a cat", seed=3)
        np.testing.assert_array_equal(picture.codes, wanted.codes)
        np.testing.assert_array_equal(np.asarray(picture.image), np.asarray(wanted.image))
        assert not vars(poor.parts).keys() & {"language", "drafter", "batched_drafter", "reader"}
    (*_, last) = poor.stream("a cat", seed=3)
    np.testing.assert_array_equal(last.codes, wanted.codes)


def test_the_language_model_is_freed_before_the_decoder_is_loaded(path, allow, monkeypatch):
    """And the decoder before the next draft."""
    allow(open_folder(path).memory("cpu").apart)
    parts = Model.load(path, "cpu").parts
    seen = []
    render = type(parts).render
    monkeypatch.setattr(type(parts), "render", lambda self, *rest: seen.append(set(vars(self))) or render(self, *rest))
    model = Model.__new__(Model)
    model.folder, model.parts = parts.folder, parts
    model.draw_many("a cat", 2, seed=3)
    assert seen
    assert not any(names & {"language", "drafter", "batched_drafter"} for names in seen)
    parts.make_room("drafting")
    assert not vars(parts).keys() & {"decoder", "vq"}


def test_what_does_not_fit_is_refused_before_it_is_loaded(path, allow):
    folder = open_folder(path)
    allow(folder.memory("cpu").apart - 1)
    with pytest.raises(LantuError, match=r"needs .* MB of memory, .* MB are free: choose a smaller model") as caught:
        Model.load(path, "cpu")
    assert "LANTU_MEMORY=any" in caught.value.hint
    allow(None)
    assert load_parts(folder).sparing is False


@pytest.mark.parametrize("name", ["emu3", "plain", "glm_image"])
def test_every_family_tells_what_it_takes(name, request):
    folder = open_folder(request.getfixturevalue(name))
    told = json.loads(json.dumps(folder.describe()))
    assert told["ids"] >= folder.grid[0] * folder.grid[1]
    assert min(told["memory"].values()) > 0
    parts = load_parts(folder)
    for names in parts.freed.values():  # its large parts are among those that can be freed
        assert any(hasattr(type(parts), each) for each in names)


def test_vllm_reserves_memory_itself(tiny_model, allow):
    allow(1)
    assert load_parts(open_folder(tiny_model), backend="vllm").sparing is False


def test_the_command_says_it_in_one_line(lantu, monkeypatch):
    monkeypatch.setenv("LANTU_MEMORY", "0.000001")
    code, out, err = lantu("draw", "a cat", "-o", "a.png", "--device", "cpu")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "tiny needs" in err
    monkeypatch.setenv("LANTU_MEMORY", "any")
    assert lantu("draw", "a cat", "-o", "a.png", "--device", "cpu")[0] == 0
    monkeypatch.setenv("LANTU_MEMORY", "much")
    assert "LANTU_MEMORY is 'much': give gigabytes, e.g. 12, or any" in lantu("draw", "a cat")[2]


def test_info_tells_it(lantu):
    told = json.loads(lantu("info", "--json")[1])
    assert told["ids"] == 16
    assert set(told["memory"]) == {"language", "caches", "decoder", "working"}
    assert "memory           language 0.1 MB" in lantu("info")[1]


def test_a_server_needs_both_at_any_time(tiny_model, allow):
    pytest.importorskip("fastapi")
    from lantu.server.metrics import Metrics
    from lantu.server.options import Options
    from lantu.server.worker.worker import Worker

    allow(open_folder(tiny_model).memory("cpu").apart)
    worker = Worker(lambda: Model.load(tiny_model, "cpu"), Options(), Metrics())
    worker.run()
    assert "to draft and render at any time" in str(worker.problem)


def test_the_gpu_is_asked_where_it_computes(tiny_model, monkeypatch):
    monkeypatch.delenv("LANTU_MEMORY", raising=False)
    fake = SimpleNamespace(cuda=SimpleNamespace(mem_get_info=lambda: (10, 100)))
    monkeypatch.setitem(sys.modules, "torch", fake)
    monkeypatch.setattr("lantu.models.memory.AT_EASE", float("inf"))
    folder = open_folder(tiny_model)
    assert short(folder, "cuda", "apart") == (folder.memory("cuda").apart, 10)
    with pytest.raises(LantuError, match=r"of GPU memory, 0.0 MB are free: choose a smaller model or --device cpu"):
        load_parts(folder, "cuda")


MEMINFO = "MemTotal: 8000 kB\nMemFree: 100 kB\nMemAvailable: 4000 kB\n"


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, None),
        ({"proc/meminfo": "MemTotal: 8000 kB\n"}, None),
        ({"proc/meminfo": MEMINFO}, 4000 * 1024),
        (
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/memory.max": "3000\n",
                "sys/fs/cgroup/a/memory.current": "2500\n",
                "sys/fs/cgroup/a/memory.stat": "anon 1000\ninactive_file 700\n",
                "sys/fs/cgroup/a/b/memory.max": "max\n",
                "sys/fs/cgroup/a/b/memory.current": "10\n",
            },
            1200,
        ),
        (  # in a container of its own control group, whose path is that of the host
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "0::/docker/abc\n",
                "sys/fs/cgroup/memory.max": "3000\n",
                "sys/fs/cgroup/memory.current": "3500\n",
            },
            0,
        ),
        (
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "5:cpu:/x\n4:memory,hugetlb:/x\n0::/\n",
                "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "3000\n",
                "sys/fs/cgroup/memory/x/memory.usage_in_bytes": "2000\n",
                "sys/fs/cgroup/memory/x/memory.stat": "total_inactive_file 5\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "2000\n",
            },
            1005,
        ),
    ],
)
def test_free_memory_of_machine_and_container(files, free, tmp_path, monkeypatch):
    monkeypatch.delenv("LANTU_MEMORY", raising=False)
    monkeypatch.setattr(control_groups, "ROOT", tmp_path)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert free_memory.free_bytes("cpu") == free


def test_keys_and_values_are_counted_by_the_names_of_every_config():
    llama = {"num_hidden_layers": 3, "num_attention_heads": 4, "hidden_size": 64, "num_key_value_heads": 2}
    assert cached_width(llama) == (3, 32)
    assert cached_width({"n_layer": 3, "n_head": 4, "n_embd": 64}) == (3, 64)
    assert cached_width({"n_layer": "3"}) == (0, 0)
