"""`verify`: read the whole log, recompute every digest, replay every entry, and compare with all
that is derived or signed. Trusts nothing of the running service.

The first broken row is named, in this order: entries (digest, numbering, legs, limits, approvals
given and lacking, holds, callers' signatures; `log.py`), documents of the checkpoint, segments
(`derived.py`), day closes with their balances, heads, head files (`signed.py`).
"""

from ledger.service.verify.found import Broken, Verified
from ledger.service.verify.whole import verify, verify_export

__all__ = ["Broken", "Verified", "verify", "verify_export"]
