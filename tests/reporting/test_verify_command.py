"""`bin/paylake report verify`: whatever is wrong, one sentence that names it, and exit code 16."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli import app
from paylake.crypto import PrivateKey, sm3_hex
from reporting import package
from tests.reporting.institution import FIRST, institution

OTHER = PrivateKey.generate()
VICTIM = "statement_M000001_20260912.csv"


@pytest.fixture
def folder(open_office, statement, tmp_path) -> Path:
    """A package as a receiver has it."""
    office = open_office(institution(days=1, merchants=2))
    assert office.file(statement, [FIRST])[0].state == "filed"
    return Path(shutil.copytree(
        package.folder(office.root, statement.report, FIRST), tmp_path / "received"
    ))


@pytest.fixture
def verify(monkeypatch, capsys) -> Callable[[Path, Path], tuple[int, str, str]]:
    """The command as typed: (exit code, stdout, stderr)."""

    def called(path: Path, trust: Path) -> tuple[int, str, str]:
        monkeypatch.setattr(
            sys, "argv", ["paylake", "report", "verify", "--trust", str(trust), str(path)]
        )
        monkeypatch.setenv("COLUMNS", "1000")
        with pytest.raises(SystemExit) as stopped:
            app.run()
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return called


def _forge(folder: Path) -> None:
    """Another figure in a file and its digest in the manifest; the signature stays."""
    old = (folder / VICTIM).read_bytes()
    new = old.replace(b"M000001", b"M000002")
    (folder / VICTIM).write_bytes(new)
    text = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").write_bytes(
        text.replace(sm3_hex(old).encode(), sm3_hex(new).encode())
    )


def _sign_again(folder: Path) -> None:
    _forge(folder)
    text = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json.sig").write_bytes(OTHER.sign(text))


def _sign_again_with_key_inside(folder: Path) -> None:
    _sign_again(folder)
    (folder / "institution.pub.pem").write_text(OTHER.public.pem(), "ascii")


def _write(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(data) and None


def _remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


UNTRUSTED = "manifest.json is not signed with a trusted key"
DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "forged manifest": (_forge, UNTRUSTED),
    "signed again": (_sign_again, UNTRUSTED),
    "signed again, key inside": (_sign_again_with_key_inside, UNTRUSTED),
    "manifest of zero bytes": (_write("manifest.json", b""), UNTRUSTED),
    "signature of zero bytes": (_write("manifest.json.sig", b""), UNTRUSTED),
    "signature that is none": (_write("manifest.json.sig", b"\x30\xff" * 40), UNTRUSTED),
    "altered file": (_write(VICTIM, b"x"), f"{VICTIM} was altered"),
    "missing file": (_remove(VICTIM), f"{VICTIM} is missing"),
    "missing page": (_remove("VERIFY.md"), "VERIFY.md is missing"),
    "extra file": (_write("note.csv", b"x"), "note.csv is extra"),
    "missing manifest": (_remove("manifest.json"), "The package has no manifest.json"),
    "missing signature": (_remove("manifest.json.sig"), "The package has no manifest.json.sig"),
    "folder inside": (lambda folder: (folder / "sub").mkdir(), "sub is not a plain file"),
}


def one_sentence(err: str) -> str:
    lines = err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("paylake: "), err
    assert "Traceback" not in err and "internal error" not in err
    return lines[0]


def test_a_whole_package_verifies(folder, verify, public_key, key):
    code, out, err = verify(folder, public_key)
    assert (code, err) == (0, "") and key.public.fingerprint in out and "verified" in out


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_named_in_one_sentence(what, folder, verify, public_key):
    damage, expected = DAMAGE[what]
    damage(folder)
    code, out, err = verify(folder, public_key)
    assert code == 16
    assert expected in one_sentence(err)
    assert "verified" not in out


@pytest.mark.parametrize("what", ["missing file", "extra file", "signed again"])
def test_damage_in_a_zip_is_named_too(what, folder, verify, public_key, tmp_path):
    damage, expected = DAMAGE[what]
    damage(folder)
    path = tmp_path / "received.zip"
    package.write_zip(path, "p", {p.name: p.read_bytes() for p in folder.iterdir()})
    code, _, err = verify(path, public_key)
    assert code == 16 and expected in one_sentence(err)


def test_a_zip_cut_short_is_named(folder, verify, public_key, tmp_path):
    path = tmp_path / "received.zip"
    package.write_zip(path, "p", {p.name: p.read_bytes() for p in folder.iterdir()})
    assert zipfile.is_zipfile(path)
    path.write_bytes(path.read_bytes()[:-200])
    code, _, err = verify(path, public_key)
    assert code == 16 and "damaged" in one_sentence(err)


def test_another_key_is_refused(folder, verify, tmp_path):
    path = tmp_path / "other.pem"
    path.write_text(OTHER.public.pem(), "ascii")
    code, _, err = verify(folder, path)
    assert code == 16 and UNTRUSTED in one_sentence(err)


def trust_file(path: Path, **entries: dict[str, Any]) -> Path:
    path.write_text(json.dumps(entries), "utf-8")
    return path


@pytest.mark.parametrize(
    ("valid_from", "valid_to", "expected"),
    [
        ("2018-01-01", "2026-09-11", "ended on 2026-09-11, before 2026-09-12"),
        ("2999-01-01", "2999-12-31", "is valid from 2999-01-01 only"),
    ],
)
def test_a_key_outside_its_validity_is_refused(
    folder, verify, key, tmp_path, valid_from, valid_to, expected
):
    entry = {"public_key": key.public.pem(), "valid_from": valid_from, "valid_to": valid_to}
    code, _, err = verify(folder, trust_file(tmp_path / "trust.json", institution=entry))
    assert code == 16 and expected in one_sentence(err)


def test_a_sender_s_key_signs_no_report(folder, verify, key, tmp_path):
    """A sender in the same trust file forges a report with the key that it is trusted with."""
    _sign_again(folder)
    valid = {"valid_from": "2018-01-01", "valid_to": "2035-12-31"}
    sender = {"public_key": OTHER.public.pem(), "feeds": ["transaction"], **valid}
    institution_key = {"public_key": key.public.pem(), "feeds": [], **valid}
    trust = trust_file(tmp_path / "trust.json", institution=institution_key,
                       **{"switch-1": sender})
    code, _, err = verify(folder, trust)
    assert code == 16 and UNTRUSTED in one_sentence(err)
    alone = trust_file(tmp_path / "senders.json", **{"switch-1": sender})
    code, _, err = verify(folder, alone)
    assert code == 10 and "no key that may sign reports" in one_sentence(err)


@pytest.mark.parametrize("content", ["not a key", "{", '{"a": {}}', '{"a": 1}', "[1]", ""])
def test_a_key_that_is_none_is_said_in_one_sentence(folder, verify, tmp_path, content):
    path = tmp_path / "trust"
    path.write_text(content, "utf-8")
    code, _, err = verify(folder, path)
    assert code == 10 and "trust" in one_sentence(err)
