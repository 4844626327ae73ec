"""All checks, in their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ledger.domain.chart import Chart
from ledger.domain.holds import HoldKind
from ledger.domain.operations import Operations
from ledger.service.authority import Verifier
from ledger.service.verify.derived import Derived
from ledger.service.verify.found import Verified
from ledger.service.verify.log import Log
from ledger.service.verify.signed import HeadFiles, Signed, Trusted


def verify(
    reader: Any, chart: Chart, operations: Operations, kinds: Mapping[str, HoldKind],
    trusted: Trusted, files: Callable[[], HeadFiles], signature: Verifier,
) -> Verified:
    """Check everything in one read snapshot.

    :param kinds: of holds
    :param files: reads the head files
    :param signature: checks an SM2 signature of a person or caller
    """
    # Files first: a close is committed before its files are written, so a file seen now that the
    # snapshot lacks cannot come from a close under way.
    before = files()
    with reader.snapshot():
        log = Log(reader, chart, operations, kinds, signature)
        derived, signed = Derived(reader, log), Signed(reader, log, trusted)
        return log.done(
            log.run(derived.sequence, derived.at_checkpoint)
            or derived.beyond_log()
            or signed.closes()
            or signed.periods()
            or signed.heads()
            or signed.files(before, files)
            or derived.storage()
        )


def verify_export(
    reader: Any, chart: Chart, operations: Operations, kinds: Mapping[str, HoldKind],
    trusted: Trusted, signature: Verifier,
) -> Verified:
    """Check an export of the log: every entry, every signature in it, every head. Needs neither
    the database nor the key that seals sensitive values."""
    log = Log(reader, chart, operations, kinds, signature)
    return log.done(log.run(None, lambda: None) or Signed(reader, log, trusted).heads())
