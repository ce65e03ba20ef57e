"""The published schema: requests that schemathesis generates cause no error 500 and no undocumented answer."""

import contextlib

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from running import serving
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def check_routes(url, count):
    """Send every route ``count`` valid and ``count`` invalid bodies; returns the number of routes."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    routes = 0
    for result in schema.get_all_operations():
        operation = result.ok()

        @settings(
            max_examples=count,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def check(case):
            case.call_and_validate(checks=CHECKS, timeout=60)

        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            with contextlib.suppress(Unsatisfiable):  # a route without parameters has no invalid requests
                given(case=operation.as_strategy(generation_mode=mode))(check)()
        routes += 1
    return routes


def test_few_bodies_for_every_route(server):
    assert check_routes(server.url, 4) == 17


@pytest.mark.slow
def test_many_bodies_for_every_route(tiny_model):
    with serving(tiny_model) as running:
        assert check_routes(running.url, 100) == 17


def test_every_route_documents_its_errors(server):
    schema = server.client.get("/openapi.json").json()
    for path, methods in schema["paths"].items():
        for method in methods.values():
            assert {"200", "400", "401", "404", "413", "429", "503"} <= set(method["responses"]), path
            assert "422" not in method["responses"], path
