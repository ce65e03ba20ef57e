"""A Ray cluster of two cores, once for all tests that need one."""

import logging
import os

import pytest


@pytest.fixture(scope="session")
def ray_address():
    """Its head. The test process is a driver of it; others join by this address."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray = pytest.importorskip("ray")
    options = {"num_cpus": 2, "object_store_memory": 100_000_000, "include_dashboard": False}
    where = os.environ.get("LANTU_TEST_RAY")  # one that runs already
    if where:
        options = {}
    ray.init(where or "local", log_to_driver=False, logging_level=logging.ERROR, **options)
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()
