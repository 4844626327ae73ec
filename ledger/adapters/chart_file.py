"""Reading the chart of accounts from its file."""

from __future__ import annotations

from pathlib import Path

import yaml

from ledger.domain.chart import Chart
from paylake.errors import PermanentFailure

CHART_FILE = Path(__file__).resolve().parents[1] / "chart_of_accounts.yml"


def load_chart(path: Path = CHART_FILE) -> Chart:
    """:raises PermanentFailure: when the file is not a chart; the message says which line."""
    try:
        return Chart.from_document(yaml.safe_load(path.read_text("utf-8")))
    except (OSError, yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PermanentFailure(
            f"the chart of accounts cannot be used: {error}", "correct the file",
            where=str(path),
        ) from error
