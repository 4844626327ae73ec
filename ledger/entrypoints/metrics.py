"""Prometheus metrics at `/metrics`, for those with the right to read. No ids, no amounts of single
customers: counts by operation, interface class (rule D2.24), outcome and reason, times, and where
the log stands."""

from __future__ import annotations

from collections import Counter as Counted
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastapi.responses import Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily

from ledger.service.ledger import Ledger
from ledger.service.reconciliation_views import open_sums

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


def type_of(command: Any) -> str | None:
    """What a command says of its type: None where that is no text."""
    type_ = command.get("type") if type(command) is dict else None
    return type_ if type(type_) is str else None


def types_of(commands: Sequence[Any]) -> list[str | None]:
    """The same of each of several, without a call for each of a thousand."""
    named = [c.get("type") if type(c) is dict else None for c in commands]
    return [type_ if type(type_) is str else None for type_ in named]


class OpenItems:
    """What does not agree with the banks, by account and currency, when it is asked for."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Number of open items, and what the two sides differ by in all of them."""
        labels = ("account_id", "currency_code")
        number = GaugeMetricFamily(
            "ledger_reconciliation_open_items", "Open items of reconciliations", labels=labels
        )
        total = GaugeMetricFamily(
            "ledger_reconciliation_open_minor",
            "Differences of open items without their signs, minor units", labels=labels,
        )
        for name, (items, minor) in open_sums(self.ledger.state).items():
            number.add_metric(name, items)
            total.add_metric(name, minor)
        yield from (number, total)


class Metrics:
    """The metrics of one service."""

    def __init__(self, ledger: Ledger) -> None:
        registry = CollectorRegistry()
        self.classes = {
            name: found.interface_class for name, found in ledger.operations.by_type.items()
        }
        self.commands = Counter(
            "ledger_commands", "Commands by operation, interface class and outcome",
            ("operation", "interface_class", "outcome"), registry=registry,
        )
        self.refusals = Counter(
            "ledger_refusals", "Refused commands by reason", ("reason",), registry=registry
        )
        self.refused_requests = Counter(
            "ledger_requests_refused", "Requests refused as a whole, by reason and kind of signer",
            ("reason", "signer"), registry=registry,
        )
        self.cut = Counter(
            "ledger_connections_cut", "Connections cut beside their answer, by reason",
            ("reason",), registry=registry,
        )
        self.requests = Counter(
            "ledger_http_requests", "Answers by route and status", ("route", "status"),
            registry=registry,
        )
        self.seconds = Histogram(
            "ledger_http_request_seconds", "Time of requests by route", ("route",),
            registry=registry, buckets=_BUCKETS,
        )
        for name, about, of in (
            ("ledger_log_entries", "Entries of the log", lambda: ledger.head.sequence),
            ("ledger_journals", "Journals of the log", lambda: ledger.head.journal),
            ("ledger_open_holds", "Open holds", lambda: len(ledger.state.holds)),
            ("ledger_waiting_approvals", "What waits for a checker",
             lambda: len(ledger.state.tables.get("pending", ()))),
            ("ledger_stops", "Emergency stops in force",
             lambda: len(ledger.state.tables.get("stop", ()))),
        ):
            Gauge(name, about, registry=registry).set_function(of)

        registry.register(OpenItems(ledger))
        self.registry = registry
        # looking a counter up by its labels costs more than counting
        self._outcomes: dict[tuple[str, str], Counter] = {}
        self._answers: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def count(
        self, types: Sequence[str | None], results: Sequence[Mapping[str, Any]]
    ) -> None:
        """Count what became of commands.

        :param types: theirs, as :func:`types_of` gives them
        """
        became = ["replayed" if r.get("replayed") else r["status"] for r in results]
        for (type_, outcome), number in Counted(zip(types, became, strict=True)).items():
            self._became(type_, outcome).inc(number)
        if "refused" in became:
            for result in results:
                if result["status"] == "refused":
                    self.refusals.labels(result["reason"]).inc()

    def count_one(self, type_: str | None, result: Mapping[str, Any]) -> None:
        """The same of one command, which most requests are, without lists of one."""
        outcome = "replayed" if result.get("replayed") else result["status"]
        self._became(type_, outcome).inc()
        if outcome == "refused":
            self.refusals.labels(result["reason"]).inc()

    def _became(self, type_: str | None, outcome: str) -> Counter:
        name = type_ if type_ in self.classes else "unknown"
        counter = self._outcomes.get((name, outcome))
        if counter is None:
            counter = self._outcomes[name, outcome] = self.commands.labels(
                name, self.classes.get(name, "unknown"), outcome
            )
        return counter

    def refused(self, reason: str, kind: str) -> None:
        """Count a request that was refused as a whole: it has no entry in the log, which strangers
        could else fill."""
        self.refused_requests.labels(reason, kind).inc()

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count and time an answer."""
        found = self._answers.get((route, status))
        if found is None:
            found = self._answers[route, status] = (
                self.requests.labels(route, status), self.seconds.labels(route),
            )
        found[0].inc()
        found[1].observe(seconds)

    def text(self) -> Response:
        """The page that Prometheus reads."""
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)
