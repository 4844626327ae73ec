"""What a home with its lake in an object store refuses by name."""

from __future__ import annotations

import pytest

from cli import backup
from paylake import settings
from paylake.errors import UsageFault


@pytest.fixture
def own(tmp_path):
    return settings.load({"PAYLAKE_HOME": str(tmp_path / "home")}, lake="s3://institution/lake")


def test_backup_and_restore_are_left_to_the_store(own, tmp_path):
    with pytest.raises(UsageFault, match="object store"):
        backup.write(own, tmp_path / "out.tar.gz")
    with pytest.raises(UsageFault, match="object store"):
        backup.read(own, tmp_path / "out.tar.gz")
    assert list(tmp_path.iterdir()) == []
