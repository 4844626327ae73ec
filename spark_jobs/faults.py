"""What an engine says, as the error that a user should see."""

from __future__ import annotations

from datetime import date

from pyspark.errors import PySparkException

from paylake.errors import DiskFull, PaylakeError, PermanentFailure, TransientFault

_SHOWN = 300


def as_value(error: PySparkException, table: str, first: date, last: date) -> PaylakeError:
    """The fault of building one table: a lost engine is worth another try, bad data is not."""
    said = " ".join(str(error).split())[:_SHOWN]
    where = f"{table}, {first} to {last}"
    status = getattr(error, "getGrpcStatusCode", None)
    if status is not None and status().name == "UNAVAILABLE":
        return TransientFault("The engine went away while it worked", "Try again.", where=where)
    if "No space left" in said:
        return DiskFull(
            "The disk is full", "Free some space and run the command again.", where=where
        )
    return PermanentFailure(
        f"The engine could not build the table: {said}",
        "Correct the rows it names (a new delivery that supersedes theirs) or the contract.",
        where=where,
    )
