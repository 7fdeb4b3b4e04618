"""Java starts much faster where it finds its classes in an archive, which a job that came to its end has left behind.

Java itself checks that an archive fits, and does without one that does not. For jobs that live less than a minute.
"""

from __future__ import annotations

from pathlib import Path

from lanes import ENVIRONMENT, JARS, ROOT

CLASSES = JARS.with_name(f"{ENVIRONMENT.replace('.venv', 'classes')}.jsa")  # each Spark has its own
# The room for compiled code is 48 MiB without the second compiler; Spark fills that in a minute or two, and then Java
# compiles nothing any more (seen: "CodeCache is full. Compiler has been disabled.").
FAST_COMPILER = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=512m"
# A job this short never earns back what Java's optimising compiler costs, which is half of its CPU time.
SHORT_LIVED = f"-XX:+IgnoreUnrecognizedVMOptions {FAST_COMPILER} -XX:+UseSerialGC -Xlog:disable -Xlog:all=error:stderr"


def is_there() -> bool:
    """Whether there is an archive that is not older than what is installed."""
    sources = [*(ROOT / "requirements").iterdir(), ROOT / ENVIRONMENT / "pyvenv.cfg", JARS]
    return CLASSES.exists() and CLASSES.stat().st_mtime > max(source.stat().st_mtime for source in sources)


def java_options(learned: Path | None = None) -> str:
    """Of a job that reads the archive, or else leaves one at `learned` when it ends, which takes it 20 s more."""
    if is_there():
        return f"{SHORT_LIVED} -XX:SharedArchiveFile={CLASSES}"
    return f"{SHORT_LIVED} -XX:ArchiveClassesAtExit={learned}" if learned else SHORT_LIVED


def keep(learned: Path) -> None:
    """To be called when the job has ended well."""
    if learned.exists():
        learned.replace(CLASSES)
