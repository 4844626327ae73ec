"""The gate: Great Expectations suites over what is about to be published.

Suites are data (`suites/*.yml`, one a mart); nothing here repairs or sets rows apart.
"""

from expectations.gate import GateResult, gate
from expectations.waivers import waive

__all__ = ["GateResult", "gate", "waive"]
