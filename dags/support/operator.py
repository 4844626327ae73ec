"""The one operator: run a step of the `paylake` command for the run's business date.

What a step does, and whether it may run at all, is the command's own business: it takes a business
date, may be repeated, and answers with a documented exit code (`docs/reference/exit-codes.md`).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

PAYLAKE = Path(__file__).resolve().parents[2] / "bin" / "paylake"

# Another try helps with these alone: a held lease, a transient fault, a killed process.
RETRIED_EXIT_CODES = (13, 17)


class PaylakeStep(BaseOperator):
    """Run `bin/paylake <step> --date <partition key> --pending`.

    `--pending` lets earlier dates that are not released yet go first, as a run is defined. The last
    line that the command printed becomes the reason of the failure.

    :param step: a subcommand, with its options.
    :param dated: whether it takes the business date.
    :param pending: whether earlier dates that are not released go first.
    """

    def __init__(
        self, *, step: Sequence[str], dated: bool = True, pending: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.step = list(step)
        self.dated = dated
        self.pending = pending
        self._process: subprocess.Popen[str] | None = None
        self._is_killed = False

    def execute(self, context: Any) -> None:
        argv = [str(PAYLAKE), *self.step]
        if self.dated:
            key = context["dag_run"].partition_key
            if not key:
                raise AirflowFailException(
                    "This run has no business date. Trigger it with a partition key "
                    "(docs/how-to/run-a-date.md)."
                )
            argv += ["--date", key, *(["--pending"] if self.pending else [])]
        process = self._process = subprocess.Popen(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=dict(os.environ),
        )
        if self._is_killed:  # while the command was being started
            process.terminate()
        last = ""
        assert process.stdout is not None
        for line in process.stdout:
            self.log.info(line.rstrip())
            last = line.strip() or last
        code = process.wait()
        if code == 0:
            return
        sentence = f"exit {code}: {last}"
        if code in RETRIED_EXIT_CODES or code < 0:
            raise AirflowException(sentence)
        raise AirflowFailException(sentence)

    def on_kill(self) -> None:
        """End the step with its task: it would go on holding the lease that the next try needs."""
        self._is_killed = True
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
