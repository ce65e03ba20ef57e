"""A Ray cluster of two nodes on this machine, and ways to hurt it."""

import contextlib
import os
import signal
import time
from pathlib import Path

QUIET = {  # and patient: a busy machine starts and answers late
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_raylet_start_wait_time_s": "300",
    "RAY_gcs_server_request_timeout_seconds": "300",
    "RAY_SERVE_QUEUE_LENGTH_RESPONSE_DEADLINE_S": "1.0",
}


@contextlib.contextmanager
def two_nodes(cpus, attempts=5):
    """The address of a cluster of two nodes, each a set of processes.

    A node gives up when its agents don't start within 15 s, as on a busy machine: they start without what the dashboard
    needs, and some are tried again.
    """
    os.environ.update(QUIET)  # before Ray is imported
    import ray
    from ray._private import utils
    from ray.cluster_utils import Cluster

    utils.get_dashboard_dependency_error = lambda: ImportError("left out on purpose")

    cluster, node = Cluster(), {"num_cpus": cpus, "object_store_memory": 80_000_000, "include_dashboard": False}
    try:
        for attempt in range(attempts):
            try:
                while len(cluster.list_all_nodes()) < 2:
                    cluster.add_node(**node)
                break
            except Exception:
                if attempt == attempts - 1:
                    raise
                if not cluster.list_all_nodes():  # the head's processes are left
                    cluster.shutdown()
                    cluster = Cluster()
        yield cluster.address
    finally:
        ray.shutdown()
        cluster.shutdown()


def replicas(stage, name="lantu-"):
    """The processes of a stage's replicas."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            command = (folder / "cmdline").read_bytes() if folder.name.isdecimal() else b""
            if command.startswith(f"ray::ServeReplica:{name}".encode()) and f":{stage}".encode() in command:
                found.append(int(folder.name))
    return sorted(found)


def kill_one(stage, name="lantu-"):
    """Kill a replica of a stage at once, as a failing machine does."""
    process = replicas(stage, name)[0]
    os.kill(process, signal.SIGKILL)
    return process


def wait_for(what, seconds=120):
    """Wait until a function gives something; returns it."""
    deadline = time.monotonic() + seconds
    while not (given := what()):
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
    return given
