"""Schemathesis over the OpenAPI document: no 5xx, no answer that is not documented."""

from __future__ import annotations

from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed
from hypothesis import settings as hypothesis_settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.ledger.test_service_process import Service, commands, free_port, trade_day

CHECKS = (
    not_a_server_error, status_code_conformance, content_type_conformance,
    response_schema_conformance,
)


@pytest.mark.long
def test_every_answer_is_documented(tmp_path):
    home = tmp_path / "home"
    service = Service(home, free_port())
    try:
        trade_day(service.client(), commands(20))
        token = (home / "keys" / "ledger.token").read_text("ascii")
        address = f"http://127.0.0.1:{service.port}"
        schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
        schema.config.generation.update(with_security_parameters=False)  # the token is sent
        counted: Counter[tuple[str, int]] = Counter()
        for found in schema.get_all_operations():
            _try(found.ok(), token, counted)
        assert {name for name, _ in counted} == _operations(schema.raw_schema), counted
        assert len({name for name, _ in counted}) >= 30, counted
        assert sum(counted.values()) > 300, counted
        assert not [name for name, status in counted if status == 401], counted
    finally:
        assert service.end() == 0


def _operations(document: dict) -> set[str]:
    return {
        f"{method.upper()} {path}" for path, methods in document["paths"].items()
        for method in methods
    }


def _try(operation, token: str, counted: Counter) -> None:
    @seed(20260912)
    @hypothesis_settings(
        max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def each(case):
        response = case.call(headers={"authorization": f"Bearer {token}"})
        counted[operation.label, response.status_code] += 1
        case.validate_response(response, checks=CHECKS)

    each()
