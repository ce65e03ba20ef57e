"""A server on a cluster without Ray's processes; tests of Ray itself have their own."""

import importlib.util

import pytest

collect_ignore_glob = [] if importlib.util.find_spec("ray") else ["test_*.py"]  # pip install 'lantu[ray]'


@pytest.fixture(scope="module")
def applications(tiny_model):
    """A cluster of replicas in this process."""
    from local_cluster import LocalApplications

    return LocalApplications(tiny_model)


@pytest.fixture(scope="module")
def server(applications):
    """A server on it."""
    from local_cluster import make
    from running import running_app

    with running_app(*make(applications, max_body=2_000_000)) as running:
        yield running
