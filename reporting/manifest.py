"""The manifest: what a package holds and from what it was made. It is what gets signed.

No wall clock is in it, so the same release, rules and renderer give the same bytes. One line a
file, so that the shell commands of ``VERIFY.md`` can check a package with nothing but OpenSSL.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from paylake.crypto import sm3_hex
from paylake.errors import NotVerified
from paylake.settings import ROOT
from reporting.edits import Outcome
from reporting.render import RenderedFile, Total
from reporting.source import Release
from reporting.specification import Specification

FORMAT = "paylake-report/1"
NAME = "manifest.json"
SIGNATURE = "manifest.json.sig"
VERIFY = "VERIFY.md"
KEY_ID = "institution"
USER_ID = "1234567812345678"
LOCK = ROOT / "requirements" / "lake.txt"


@lru_cache(maxsize=1)
def renderer_version() -> str:
    """SM3 over this room's code, specifications and rules, and the lock of what they run on."""
    room = Path(__file__).parent
    files = sorted(p for p in room.rglob("*") if p.suffix in (".py", ".yml"))
    lines = [f"{p.relative_to(room).as_posix()} {sm3_hex(p.read_bytes())}" for p in files]
    return sm3_hex("\n".join([*lines, f"lock {sm3_hex(LOCK.read_bytes())}"]).encode())


@dataclass(frozen=True)
class Reason:
    """A named person's reason for what a Q or M rule found.

    :param findings_sm3: digest of the findings; the reason stands while they are the same.
    :param since: ISO business date for which it was given; it stands for later dates too.
    """

    code: str
    person: str
    reason: str
    findings_sm3: str
    since: str


@dataclass(frozen=True)
class Input:
    """What was read of one released table for this date."""

    table: str
    rows: int
    sm3: str


def build(
    spec: Specification,
    day: date,
    release: Release,
    inputs: Sequence[Input],
    declared: Mapping[str, str],
    outcomes: Sequence[Outcome],
    reasons: Sequence[Reason],
    totals: Sequence[Total],
    files: Sequence[RenderedFile],
    key: Mapping[str, Any],
) -> bytes:
    """Canonical bytes of a manifest: UTF-8, fixed key order, one line an entry of a list."""
    head: dict[str, Any] = {
        "format": FORMAT,
        "report": spec.report,
        "title": spec.title,
        "business_date": day.isoformat(),
        "release": {
            "id": release.release_id,
            "through": release.through.isoformat(),
            "digest": release.digest,
        },
        "renderer": renderer_version(),
        "signature": {
            "file": SIGNATURE,
            "algorithm": "SM2-with-SM3",
            "user_id": USER_ID,
            **key,
        },
    }
    lists: dict[str, list[dict[str, Any]]] = {
        "inputs": [vars(i) for i in inputs],
        "declared": [{"setting": k, "value": v} for k, v in declared.items()],
        "edits": [
            {
                "code": o.rule.code,
                "severity": o.rule.severity,
                "result": o.result,
                "findings": len(o.findings),
            }
            for o in outcomes
        ],
        "reasons": [vars(r) for r in reasons],
        "control_totals": [t.as_dict() for t in totals],
        "files": [
            {
                "name": f.name,
                "bytes": len(f.data),
                "rows": f.rows,
                "sm3": sm3_hex(f.data),
                **({"control_totals": [t.as_dict() for t in f.totals]} if f.totals else {}),
            }
            for f in files
        ],
    }
    lines = [f"  {_json(k)}: {_json(v)}" for k, v in head.items()]
    for name, entries in lists.items():
        body = ",\n".join(f"    {_json(entry)}" for entry in entries)
        lines.append(f"  {_json(name)}: [\n{body}\n  ]" if entries else f"  {_json(name)}: []")
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode("utf-8")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def read(data: bytes) -> dict[str, Any]:
    """A manifest as a dictionary.

    :raises NotVerified: when it is not one.
    """
    try:
        document = json.loads(data.decode("utf-8"))
        entries = [(f["name"], f["sm3"], f["bytes"]) for f in document["files"]]
        whole = (
            document["format"] == FORMAT
            and all(isinstance(n, str) and isinstance(b, int) for n, _, b in entries)
            and len({n for n, _, _ in entries}) == len(entries)
        )
        date.fromisoformat(document["business_date"])
        document["signature"]["key_id"], document["report"], document["release"]["id"]
    except (KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise NotVerified(
            f"{NAME} is not a manifest of format {FORMAT}", "Ask the sender for the package again."
        )
    return document


def verify_page(spec: Specification, day: date) -> RenderedFile:
    """``VERIFY.md`` of a package: how to check it with OpenSSL 3 and nothing else."""
    text = _VERIFY.format(
        title=spec.title, title_en=spec.title_en, day=day.isoformat(), user_id=USER_ID
    )
    return RenderedFile(VERIFY, text.encode("utf-8"), text.count("\n"))


_VERIFY = """\
# {title} {day}：如何验证 / how to verify

需要 OpenSSL 3.0 或更高版本。公钥 `institution.pub.pem` 不在本包内，请从机构另行取得，并与机构公布的
指纹核对。在本包所在文件夹内运行下列命令，`KEY` 为公钥路径。

{title_en}, business date {day}. You need OpenSSL 3.0 or later, and the institution's public key,
which is not in this package: get it from the institution by another way, and compare its
fingerprint. Run the commands in the folder of this package, with `KEY` set to the key's path.

## 1. 公钥指纹 / fingerprint of the key

```sh
openssl pkey -pubin -in "$KEY" -outform DER | openssl dgst -sm3
```

机构公布的指纹为该摘要的前 32 位。The published fingerprint is the first 32 digits.

## 2. 清单签名 / signature of the manifest (SM2 with SM3)

```sh
openssl pkeyutl -verify -pubin -inkey "$KEY" -rawin -in manifest.json -digest sm3 \\
  -sigfile manifest.json.sig -pkeyopt distid:{user_id}
```

应显示 `Signature Verified Successfully`。

## 3. 各文件摘要 / digest of every file

```sh
for f in *; do
  case "$f" in manifest.json|manifest.json.sig) continue;; esac
  d=$(openssl dgst -sm3 -r "$f" | cut -d ' ' -f 1)
  if grep -F "\\"name\\": \\"$f\\"" manifest.json | grep -q -F "\\"sm3\\": \\"$d\\""
  then echo "OK $f"; else echo "NOT OK $f"; fi
done
```

每一行都应为 OK；OK 的行数应等于下列文件数。Every line must be OK, and as many as there are files:

```sh
grep -c '"name": .*"sm3": ' manifest.json
```
"""
