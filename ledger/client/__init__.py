"""A typed client of the ledger service.

Every call may be repeated without harm: commands carry an idempotency key, opening an account
twice opens it once, a day closes once, an export writes the same bytes. So transient faults (no
connection, time-out, 429, 502, 503, 504) are retried with growing pauses; everything else fails
at once.
"""

from ledger.client.calls import LedgerClient
from ledger.client.connection import LedgerRefusal
from ledger.client.documents import BATCH_LIMIT, Account, Command, Result
from ledger.client.session import LedgerSession
from ledger.client.signers import SessionSigner, Signer

__all__ = [
    "BATCH_LIMIT", "Account", "Command", "LedgerClient", "LedgerRefusal", "LedgerSession",
    "Result", "SessionSigner", "Signer",
]
