"""Released marts to files that a regulator or merchant takes: validated, signed, packaged.

Entry points: `report`, `verify`, `rebuild`, `explain`, `list`.
"""

from reporting.results import Item, RebuildResult, ReportResult
from reporting.service import explain, export_public_key, list_packages, rebuild, report
from reporting.verification import VerifyResult, verify

list = list_packages

__all__ = [
    "Item",
    "RebuildResult",
    "ReportResult",
    "VerifyResult",
    "explain",
    "export_public_key",
    "list",
    "list_packages",
    "rebuild",
    "report",
    "verify",
]
