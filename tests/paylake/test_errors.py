"""Errors as values."""

from __future__ import annotations

import pickle

import pytest

from paylake import errors
from paylake.errors import PaylakeError, PermanentFailure

KINDS = [kind for kind in vars(errors).values()
         if isinstance(kind, type) and issubclass(kind, PaylakeError)]


class Refused(PermanentFailure):
    """One that is made of more, as a client's."""

    def __init__(self, reason: str, what: str, next_step: str) -> None:
        self.reason = reason
        super().__init__(what, next_step)


@pytest.mark.parametrize("error", [
    *(kind("a file is gone", "fetch it", where="x.csv") for kind in KINDS),
    Refused("not_due", "it is not due", "wait"),
], ids=lambda error: type(error).__name__)
def test_an_error_comes_from_another_process_as_it_was(error):
    """Else a pool that gets one is said to have lost a process."""
    found = pickle.loads(pickle.dumps(error))
    assert type(found) is type(error) and found is not error
    assert (str(found), vars(found), found.exit_code) == (
        str(error), vars(error), error.exit_code
    )
