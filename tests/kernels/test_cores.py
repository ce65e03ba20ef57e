"""Cores that a process may use, where a container limits its processors."""

import os

import pytest

from lantu import kernels
from lantu.files import control_groups
from lantu.kernels import library


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Pretends to be a process that may run on 64 cores, in the control groups of these files."""

    def pretend(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        monkeypatch.setattr(control_groups, "ROOT", tmp_path)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)

    return pretend


V2 = {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}
V1 = {"proc/self/cgroup": "4:memory:/x\n3:cpu,cpuacct:/x\n", "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n"}


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 64),
        ({"proc/self/cgroup": "\nnonsense\n"}, 64),
        (V2, 64),
        (V2 | {"sys/fs/cgroup/a/cpu.max": "200000 100000\n"}, 2),
        (V2 | {"sys/fs/cgroup/a/cpu.max": "250000 100000\n"}, 3),
        (V2 | {"sys/fs/cgroup/a/cpu.max": "5000 100000\n"}, 1),
        (V2 | {"sys/fs/cgroup/a/cpu.max": "9900000 100000\n"}, 64),
        (V2 | {"sys/fs/cgroup/a/cpu.max": "400000 100000\n", "sys/fs/cgroup/a/b/cpu.max": "300000 100000\n"}, 3),
        (V2 | {"sys/fs/cgroup/a/cpu.max": "two\n"}, 64),
        ({"proc/self/cgroup": "0::/docker/abc\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),  # its own top
        (V1 | {"sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "-1\n"}, 64),
        (V1 | {"sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "150000\n"}, 2),
    ],
)
def test_a_quota_limits_cores(files, cores, machine):
    machine(files)
    assert kernels.usable_cores() == cores


@pytest.mark.skipif(bool(kernels.reason()), reason="threads are those of the native code")
@pytest.mark.parametrize(("given", "threads"), [(None, 2), ("3", 3), ("0", 2)])
def test_the_kernels_start_no_more_threads_than_a_quota_pays_for(given, threads, machine, monkeypatch):
    before = kernels.threads()
    machine(V2 | {"sys/fs/cgroup/a/cpu.max": "200000 100000\n"})
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    try:
        found = library.library.__wrapped__()
        assert found.lantu_threads() == threads
        kernels.use_threads(4)
        assert kernels.threads() == 4
        kernels.use_threads(0)
        assert kernels.threads() == 2
    finally:
        kernels.use_threads(before)
