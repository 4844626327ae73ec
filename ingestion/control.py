"""The control-file check: is this delivery whole, ours to take, and from who may send it?"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path

from ingestion.codes import REASONS
from paylake.crypto import sm3_hex
from paylake.deliveries import CONTROL_NAME, SIGNATURE_NAME, Control, ControlError, parse_control
from paylake.keys import TrustedKey
from paylake.settings import Settings

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_SEQUENCE = re.compile(r"[1-9]\d{0,8}")


@dataclass(frozen=True)
class Place:
    """Where a delivery stands in the inbox, by the names of its folders."""

    path: Path
    feed: str
    business_date: date
    sequence: int

    @property
    def delivery_id(self) -> str:
        return f"{self.feed}/{self.business_date.isoformat()}/{self.sequence}"


@dataclass
class Received:
    """A delivery as read from the inbox. `reason` is null when the control file holds."""

    place: Place
    control: Control | None = None
    control_bytes: bytes = b""
    signature: bytes = b""
    files: dict[str, bytes] = field(default_factory=dict)
    reason: str | None = None
    detail: str = ""

    @cached_property
    def digests(self) -> dict[str, str]:
        """SM3 of each data file as received."""
        return {name: sm3_hex(data) for name, data in sorted(self.files.items())}

    @property
    def data_digest(self) -> str:
        """SM3 over names and digests of the data files, in order of name."""
        parts = [f"{name}:{digest}" for name, digest in self.digests.items()]
        return sm3_hex("\n".join(parts).encode())

    def stop(self, reason: str, detail: str) -> Received:
        assert reason in REASONS, reason
        self.reason, self.detail = reason, detail
        return self


def inbox(settings: Settings) -> list[Place]:
    """Deliveries in the inbox by feed, date and sequence; half-written folders are passed over."""
    places = []
    root = settings.path("landing", "inbox")
    for path in sorted(root.glob("*/*/*")) if root.is_dir() else []:
        if not path.is_dir() or path.name.startswith("."):
            continue
        place = _place(path)
        if place is not None:  # others are reported by `strangers`
            places.append(place)
    return sorted(places, key=lambda p: (p.business_date, p.feed, p.sequence))


def strangers(settings: Settings) -> list[Path]:
    """Things in the inbox that are no delivery `<feed>/<date>/<sequence>/`; never touched."""
    root = settings.path("landing", "inbox")
    found = []
    for path in sorted(root.glob("*/*/*")) if root.is_dir() else []:
        if path.name.startswith("."):
            continue
        if not path.is_dir() or _place(path) is None:
            found.append(path)
    return found


def _place(path: Path) -> Place | None:
    if not _DATE.fullmatch(path.parent.name) or not _SEQUENCE.fullmatch(path.name):
        return None
    try:
        day = date.fromisoformat(path.parent.name)
    except ValueError:
        return None
    return Place(path, path.parent.parent.name, day, int(path.name))


def receive(place: Place, feeds: set[str], trust: dict[str, TrustedKey]) -> Received:
    """Read a delivery and check its control file; checks stop at the first failure.

    Everything that is there is read, so that it can be kept whatever its state. Whether the files
    are those of the control file is the matter of `check_files`, which takes longest.
    """
    result = Received(place)
    for path in sorted(place.path.iterdir()):
        if path.is_symlink() or not path.is_file():
            continue
        if path.name == CONTROL_NAME:
            result.control_bytes = path.read_bytes()
        elif path.name == SIGNATURE_NAME:
            result.signature = path.read_bytes()
        else:
            result.files[path.name] = path.read_bytes()
    if place.feed not in feeds:
        return result.stop("unknown_feed", f"no contract is named {place.feed!r}")
    if not (place.path / CONTROL_NAME).is_file():
        return result.stop("control_missing", f"{place.path.name}/ has no {CONTROL_NAME}")
    if not (place.path / SIGNATURE_NAME).is_file():
        return result.stop("signature_missing", f"{place.path.name}/ has no {SIGNATURE_NAME}")
    try:
        result.control = parse_control(result.control_bytes)
    except ControlError as error:
        return result.stop(error.reason_code, error.what)
    return _signature(result, trust) or _names(result) or result


def check_files(result: Received) -> Received:
    """Compare the files with the control file, unless a check has failed already; digest them."""
    if result.reason is None:
        _files(result)
    _ = result.digests  # whatever its state, a delivery is kept under them
    return result


def _signature(result: Received, trust: dict[str, TrustedKey]) -> Received | None:
    control = result.control
    assert control is not None
    key = trust.get(control.key_id)
    if key is None:
        return result.stop("unknown_key", f"the trust file has no key {control.key_id}")
    if not key.may_sign(result.place.feed):
        return result.stop("wrong_key", f"{control.key_id} may not sign {result.place.feed}")
    if not key.is_valid_on(control.sent_at.date()):
        return result.stop(
            "expired_key",
            f"{control.key_id} is valid from {key.valid_from} to {key.valid_to}, "
            f"sent {control.sent_at.date()}",
        )
    if not key.public.verify(result.control_bytes, result.signature):
        return result.stop("bad_signature", f"not signed by {control.key_id}")
    return None


def _names(result: Received) -> Received | None:
    control, place = result.control, result.place
    assert control is not None
    if control.feed != place.feed:
        return result.stop("wrong_feed_folder", f"signed for {control.feed}")
    if control.business_date != place.business_date:
        return result.stop("wrong_date_folder", f"signed for {control.business_date}")
    if control.sequence != place.sequence:
        return result.stop("wrong_sequence_folder", f"signed as {control.sequence}")
    return None


def _files(result: Received) -> Received | None:
    control = result.control
    assert control is not None
    listed = {item.name: item for item in control.files}
    for name in listed:
        if name not in result.files:
            return result.stop("file_missing", f"{name} is not there")
    for name in result.files:
        if name not in listed:
            return result.stop("file_unlisted", f"{name} is not in the control file")
    for name, item in listed.items():
        data = result.files[name]
        if len(data) < item.bytes:
            return result.stop("truncated", f"{name} has {len(data)} of {item.bytes} bytes")
        if len(data) > item.bytes:
            return result.stop("bytes_mismatch", f"{name} has {len(data)} for {item.bytes} bytes")
        if result.digests[name] != item.sm3:
            return result.stop("digest_mismatch", f"{name} is not the file that was signed")
    return None
