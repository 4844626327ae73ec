"""Files of a closed date: each with its digest, counts and totals in a control file beside it,
signed by the ledger's key. The same data gives the same bytes, so writing them again is harmless.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ledger.adapters.heads import signing_key_id
from paylake import durable
from paylake.crypto import sm3_hex
from paylake.keys import Keyring
from paylake.settings import Settings


def write_signed(settings: Settings, path: Path, data: bytes, about: dict[str, Any]) -> None:
    """Write a file and its control file.

    :param about: what the control file says beside name, digest and key
    :raises DiskFull, EnvironmentFault: to be tried again
    """
    key_id = signing_key_id(settings)
    control = (json.dumps(
        {**about, "file": path.name, "sm3": sm3_hex(data), "key_id": key_id},
        ensure_ascii=False, indent=1, sort_keys=True,
    ) + "\n").encode()
    name = path.with_suffix(".control.json")
    signed = name.with_name(name.name + ".sig")
    durable.write(path, data)
    key = Keyring(settings).private(key_id)
    if not name.is_file() or name.read_bytes() != control:
        durable.write(name, control)
    # asked by itself: what was broken off between the two left none, or that of another control
    if not signed.is_file() or not key.public.verify(control, signed.read_bytes()):
        durable.write(signed, key.sign(control))
