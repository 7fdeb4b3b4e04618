"""What a worker spends on a task that has nothing to do with the task."""

from __future__ import annotations

import importlib
import sys
import zipfile
import zipimport
from pathlib import Path

import pytest

from kinesis_source.worker import forget_zip_finders


def test_no_archive_is_read_again_before_a_task_and_imports_from_it_still_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "packed.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("packed_one.py", "found = 1")
        packed.writestr("packed_two.py", "found = 2")
    monkeypatch.syspath_prepend(str(archive))
    assert importlib.import_module("packed_one").found == 1
    assert isinstance(sys.path_importer_cache[str(archive)], zipimport.zipimporter)
    forget_zip_finders()
    assert not any(isinstance(finder, zipimport.zipimporter) for finder in sys.path_importer_cache.values())
    assert importlib.import_module("packed_two").found == 2
