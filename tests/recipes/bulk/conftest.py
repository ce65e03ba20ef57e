"""A Ray cluster of two cores."""

import logging
import os

import pytest


@pytest.fixture(scope="module")
def ray_address():
    """Its head. The test process is a driver of it; others join by this address.

    A busy machine may not start all that Ray wants within Ray's own limits: it starts without its dashboard's agent's
    modules, and is tried again.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_worker_register_timeout_seconds", "300")
    ray = pytest.importorskip("ray")
    before = os.environ.get("PYTHONPATH")
    # Workers import ``jobs_on_ray``.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (before, os.path.dirname(__file__))))
    from ray._private import utils

    utils.get_dashboard_dependency_error = lambda: ImportError("left out on purpose")
    options = {"num_cpus": 2, "object_store_memory": 100_000_000, "include_dashboard": False, "log_to_driver": False}
    for attempt in range(3):
        ray.shutdown()
        try:
            ray.init("local", logging_level=logging.ERROR, **options)
            break
        except Exception:
            if attempt == 2:
                raise
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()
    os.environ.pop("PYTHONPATH")
    os.environ |= {"PYTHONPATH": before} if before else {}
