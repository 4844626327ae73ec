"""Verifying a package with nothing but the package and a key: ours, and OpenSSL's own commands."""

import json
import os
import re
import shutil
import subprocess
import zipfile
from datetime import date
from pathlib import Path

import pytest

from paylake.crypto import PrivateKey, sm3_hex
from paylake.errors import NotVerified, PermanentFailure
from reporting import manifest, package, verify
from tests.reporting.institution import FIRST, institution


@pytest.fixture
def filed(open_office, reserve, statement):
    office = open_office(institution(days=1, merchants=3))
    for spec in (reserve, statement):
        assert office.file(spec, [FIRST])[0].state == "filed"
    return office


@pytest.fixture
def folder(filed, statement, tmp_path) -> Path:
    """A copy of the statements' package, as a receiver has it."""
    copy = tmp_path / "received"
    shutil.copytree(package.folder(filed.root, statement.report, FIRST), copy)
    return copy


def test_folder_and_zip_verify_and_show_the_key(filed, reserve, statement, public_key, key):
    for spec in (reserve, statement):
        for path in (
            package.folder(filed.root, spec.report, FIRST),
            package.archive(filed.root, spec.report, FIRST),
        ):
            result = verify(path, public_key).require()
            assert result.ok and result.exit_code == 0
            assert result.key_fingerprint == key.public.fingerprint
            assert (result.report, result.business_date) == (spec.report, "2026-09-12")


def test_every_tampered_file_is_named(folder, public_key):
    names = [p.name for p in folder.iterdir() if p.name not in ("manifest.json.sig",)]
    assert len(names) == 6
    for name in names:
        data = (folder / name).read_bytes()
        middle = len(data) // 2
        (folder / name).write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
        result = verify(folder, public_key)
        assert result.exit_code == 16
        expected = "or was altered" if name == "manifest.json" else f"{name} was altered"
        assert expected in result.problems[0]
        with pytest.raises(NotVerified, match="does not verify"):
            result.require()
        (folder / name).write_bytes(data)
    assert verify(folder, public_key).ok


def test_missing_and_extra_files_are_named(folder, public_key):
    (folder / "statement_M000001_20260912.csv").unlink()
    (folder / "statement_M000009_20260912.csv").write_text("x", "utf-8")
    problems = verify(folder, public_key).problems
    assert problems == (
        "statement_M000001_20260912.csv is missing",
        "statement_M000009_20260912.csv is extra",
    )
    (folder / "manifest.json.sig").unlink()
    with pytest.raises(NotVerified, match=r"no manifest\.json\.sig"):
        verify(folder, public_key)


def test_package_signed_again_with_another_key_is_refused(folder, public_key):
    """An attacker changes a figure, makes the manifest right, signs it and adds his key."""
    other = PrivateKey.generate()
    target = folder / "statement_M000001_20260912.csv"
    old = target.read_bytes()
    new = old.replace(b"M000001", b"M000002")
    target.write_bytes(new)
    text = (
        (folder / "manifest.json")
        .read_bytes()
        .replace(sm3_hex(old).encode(), sm3_hex(new).encode())
    )
    (folder / "manifest.json").write_bytes(text)
    (folder / "manifest.json.sig").write_bytes(other.sign(text))
    (folder / "institution.pub.pem").write_text(other.public.pem(), "ascii")
    result = verify(folder, public_key)
    assert result.exit_code == 16 and "not signed with a trusted key" in result.problems[0]
    # with his key as the trusted one it would be fine but for the key that he left inside
    theirs = folder.parent / "theirs.pem"
    theirs.write_text(other.public.pem(), "ascii")
    assert verify(folder, theirs).problems == ("institution.pub.pem is extra",)


def test_trust_file_says_from_when_to_when(folder, key, tmp_path):
    def trusted(valid_from: str, valid_to: str) -> Path:
        path = tmp_path / "trust.json"
        entry = {"public_key": key.public.pem(), "valid_from": valid_from, "valid_to": valid_to}
        path.write_text(json.dumps({"institution": entry}), "utf-8")
        return path

    today = date(2026, 11, 1)
    assert verify(folder, trusted("2026-01-01", "2026-12-31"), today).ok
    ended = verify(folder, trusted("2026-01-01", "2026-09-11"), today)
    assert "ended on 2026-09-11" in ended.problems[0]
    early = verify(folder, trusted("2026-11-02", "2027-12-31"), today)
    assert "valid from 2026-11-02" in early.problems[0]


@pytest.mark.parametrize("content", ["not a key", "{", '{"a": {}}'])
def test_trust_that_is_no_key_says_so(folder, tmp_path, content):
    path = tmp_path / "trust"
    path.write_text(content, "utf-8")
    with pytest.raises(PermanentFailure):
        verify(folder, path)


def test_hostile_zip_is_refused_before_it_is_unpacked(tmp_path, public_key):
    for name in ("../evil.csv", "/evil.csv", "a/b/evil.csv", "evil.csv", "../x/evil.csv"):
        path = tmp_path / "hostile.zip"
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr(name, b"x")
        with pytest.raises(NotVerified, match=r"outside its folder|no manifest"):
            verify(path, public_key)
    with zipfile.ZipFile(path, "w") as packed, pytest.warns(UserWarning):
        packed.writestr("p/manifest.json", b"1")
        packed.writestr("p/manifest.json", b"2")
    with pytest.raises(NotVerified, match="twice"):
        verify(path, public_key)
    path.write_bytes(b"PK not a zip")
    with pytest.raises(NotVerified, match="damaged"):
        verify(path, public_key)


def test_link_in_a_folder_is_refused(folder, public_key):
    (folder / "link.csv").symlink_to("/etc/hostname")
    with pytest.raises(NotVerified, match="not a plain file"):
        verify(folder, public_key)


def commands_of(page: str) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", page, re.S)


def run(command: str, folder: Path, key: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={**os.environ, "KEY": str(key)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("report", ["merchant_settlement_statement", "reserve_fund_check"])
def test_commands_of_verify_page_work_and_see_tampering(filed, report, tmp_path, public_key, key):
    folder = tmp_path / "received"
    shutil.copytree(package.folder(filed.root, report, FIRST), folder)
    commands = commands_of((folder / "VERIFY.md").read_text("utf-8"))
    fingerprint, signature, digests, count = commands
    shown = run(fingerprint, folder, public_key).stdout
    assert key.public.fingerprint.replace(":", "") in shown
    assert "Verified Successfully" in run(signature, folder, public_key).stdout
    lines = run(digests, folder, public_key).stdout.splitlines()
    listed = int(run(count, folder, public_key).stdout)
    assert len(lines) == listed == len(list(folder.iterdir())) - 2
    assert all(line.startswith("OK ") for line in lines)

    victim = next(p for p in folder.iterdir() if p.suffix == ".csv")
    victim.write_bytes(victim.read_bytes() + b"\r\n")
    assert f"NOT OK {victim.name}" in run(digests, folder, public_key).stdout
    text = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").write_bytes(text.replace(b"2026-09-12", b"2026-09-13"))
    refused = run(signature, folder, public_key)
    assert refused.returncode != 0 and "Successfully" not in refused.stdout
    (folder / "manifest.json").write_bytes(text)
    other = tmp_path / "other.pem"
    other.write_text(PrivateKey.generate().public.pem(), "ascii")
    assert run(signature, folder, other).returncode != 0


def test_openssl_agrees_on_every_digest_of_the_manifest(folder):
    document = manifest.read((folder / "manifest.json").read_bytes())
    checked = 0
    for entry in document["files"]:
        shown = subprocess.run(
            ["openssl", "dgst", "-sm3", "-r", str(folder / entry["name"])],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert shown.split()[0] == entry["sm3"]
        checked += 1
    assert checked == 5
