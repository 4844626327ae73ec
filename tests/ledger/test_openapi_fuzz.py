"""Schemathesis over the OpenAPI document: no 5xx, no answer that is not documented."""

from __future__ import annotations

from collections import Counter

import httpx
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


TIME = "2026-09-12T21:00:00+08:00"
#: Reasons of a command that has not the form that the document says.
FORM = {"missing_field", "unknown_field", "invalid_field", "amount_out_of_range", "unknown_type"}


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
            _try(found.ok(), token, counted, 25)
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


@pytest.mark.parametrize("examples", [2, pytest.param(20, marks=pytest.mark.long)])
def test_commands_of_every_type_are_drawn(tmp_path, examples):
    """The body of a command is one of so many forms that a draw from all of them misses most."""
    home = tmp_path / "home"
    service = Service(home, free_port())
    try:
        trade_day(service.client(), commands(20))
        token = (home / "keys" / "ledger.token").read_text("ascii")
        address = f"http://127.0.0.1:{service.port}"
        document = httpx.get(f"{address}/openapi.json").json()
        types = document["components"]["schemas"]["Command"]["discriminator"]["mapping"]
        answered: Counter[tuple[str, int]] = Counter()
        for type_, form in types.items():
            name = form.rpartition("/")[2]
            example = document["components"]["schemas"][name]["example"]
            sent = httpx.post(
                f"{address}/v1/commands", headers={"authorization": f"Bearer {token}"},
                json={**example, "idempotency_key": f"example-{type_}", "occurred_at": TIME},
            )
            answered[type_, sent.status_code] += 1
            assert sent.json().get("reason") not in FORM, (type_, sent.json())
            schema = schemathesis.openapi.from_dict(_of_one_type(document, form))
            schema.config.update(base_url=address)
            schema.config.generation.update(with_security_parameters=False)
            (found,) = schema.get_all_operations()
            counted: Counter[tuple[str, int]] = Counter()
            _try(found.ok(), token, counted, examples)
            answered.update({(type_, status): n for (_, status), n in counted.items()})
        assert {type_ for type_, _ in answered} == set(types)
        assert len(types) > 80 and sum(answered.values()) >= len(types) * (examples + 1)
        assert not [name for name, status in answered if status in (401, 413, 429)], answered
        assert {status for _, status in answered} >= {201, 409, 422}, answered
    finally:
        assert service.end() == 0


def _of_one_type(document: dict, form: str) -> dict:
    """The document with one operation: to post a command of one type, with what it refers to."""
    post = dict(document["paths"]["/v1/commands"]["post"])
    post["requestBody"] = {
        "required": True, "content": {"application/json": {"schema": {"$ref": form}}},
    }
    kept = {"Result", "Error", "Forbidden", form.rpartition("/")[2]}
    schemas = {name: schema for name, schema in document["components"]["schemas"].items()
               if name in kept}
    return {
        **document, "paths": {"/v1/commands": {"post": post}},
        "components": {**document["components"], "schemas": schemas},
    }


def _try(operation, token: str, counted: Counter, examples: int) -> None:
    @seed(20260912)
    @hypothesis_settings(
        max_examples=examples, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def each(case):
        if isinstance(case.body, dict) and "occurred_at" in case.body:
            case.body["occurred_at"] = TIME  # not later than the clock, so that more is looked at
        response = case.call(headers={"authorization": f"Bearer {token}"})
        counted[operation.label, response.status_code] += 1
        case.validate_response(response, checks=CHECKS)

    each()
