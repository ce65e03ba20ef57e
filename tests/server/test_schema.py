"""The published schema: what schemathesis makes of it finds no 500 and no answer that is not in it."""

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


def ask(url, count):
    """Every route, with so many bodies that fit and that don't."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    routes = 0
    for found in schema.get_all_operations():
        operation = found.ok()

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
            with contextlib.suppress(Unsatisfiable):  # nothing can be wrong where nothing is sent
                given(case=operation.as_strategy(generation_mode=mode))(check)()
        routes += 1
    return routes


def test_few_bodies_for_every_route(server):
    assert ask(server.url, 4) == 17


@pytest.mark.slow
def test_many_bodies_for_every_route(tiny_model):
    with serving(tiny_model) as running:
        assert ask(running.url, 100) == 17


def test_every_route_is_described(server):
    told = server.client.get("/openapi.json").json()
    for path, methods in told["paths"].items():
        for method in methods.values():
            assert {"200", "400", "401", "404", "413", "429", "503"} <= set(method["responses"]), path
            assert "422" not in method["responses"], path
