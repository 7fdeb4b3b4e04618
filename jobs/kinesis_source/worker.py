"""What a Python worker of Spark spends on each task before the task begins."""

from __future__ import annotations

import sys
import zipimport


def forget_zip_finders() -> None:
    """Spares the tasks that this worker will run next from reading the directories of zip archives.

    Spark's worker calls `importlib.invalidate_caches` before each task, and a zipimporter of Python 3.11 then reads its
    whole archive's directory again: 0.05 CPU seconds for pyspark.zip alone. Where none is cached there is nothing to
    read; an import that needs one makes it anew from zipimport's own cache.
    """
    for path, finder in list(sys.path_importer_cache.items()):
        if isinstance(finder, zipimport.zipimporter):
            del sys.path_importer_cache[path]
