"""Feed contracts are regular: what ingestion reads from them is there."""

from __future__ import annotations

import pytest
import yaml

from ingestion.feeds import Feed, all_feeds
from paylake import contracts
from paylake.keys import DEMO_SENDERS
from paylake.masking import MASKS

PROPERTIES = {
    "contractKind", "layer", "table", "format", "encoding", "amountColumn", "amountDivisor",
    "currencyColumn", "recordKey", "duplicateLookbackDays", "eventColumn", "snapshot", "blocking",
    "badRowLimit", "latenessDays", "due", "senders", "owner", "retentionYears",
}
OPTIONAL = {
    "encoding", "delimiter", "header", "comesWith", "minimumRows", "signedDocument",
}
FEEDS = sorted(all_feeds())


def test_the_eight_feeds_are_there() -> None:
    assert FEEDS == [
        "custodian_statement", "ledger_balance", "ledger_event", "ledger_head", "ledger_journal",
        "merchant", "terminal", "transaction",
    ]
    formats = {name: feed.format for name, feed in all_feeds().items()}
    assert set(formats.values()) == {"csv", "jsonl", "parquet", "fixed_width"}
    assert {n for n, f in all_feeds().items() if f.is_book} == {
        "ledger_journal", "ledger_balance", "ledger_head", "ledger_event", "custodian_statement",
    }
    # nothing that is published is made from events: a date does not wait for them
    assert {n for n, f in all_feeds().items() if not f.blocking} == {"ledger_event"}


@pytest.mark.parametrize("name", FEEDS)
def test_a_contract_has_what_the_readme_lists(name: str) -> None:
    feed = Feed.load(name)
    given = set(feed.contract.properties)
    assert given - OPTIONAL == PROPERTIES - OPTIONAL
    node = yaml.safe_load(feed.contract.path.read_text("utf-8"))
    assert node["apiVersion"] == "v3.1.0" and node["kind"] == "DataContract"
    assert feed.contract.path.stem == name == node["name"] == node["schema"][0]["name"]
    assert node["schema"][0]["physicalName"] == feed.contract.get("table")
    assert feed.key and set(feed.key) <= set(feed.names) and set(feed.record_key) <= set(feed.names)
    for sender in feed.contract.get("senders"):
        assert name in DEMO_SENDERS[sender]
    for column in feed.columns:
        assert column.description.endswith("."), column.name
        assert (column.classification == "C2") == (column.properties.get("mask") in MASKS)
        assert (feed.format == "fixed_width") == ("width" in column.properties)


@pytest.mark.parametrize("name", FEEDS)
def test_bronze_never_has_a_clear_identifier(name: str) -> None:
    contract = contracts.load(name)
    stored = [column for column, _ in contract.stored_columns]
    for column in contract.columns:
        if column.classification == "C1":
            assert column.name in stored
        else:
            assert column.name not in stored
        assert (f"{column.name}_token" in stored) == (column.classification == "C2")


def test_a_changed_rule_changes_the_digest_of_a_feed() -> None:
    feed = Feed.load("transaction")
    assert feed.digest == Feed.load("transaction").digest
    assert feed.digest != Feed(feed.contract, frozenset({"merchant_id"})).digest
