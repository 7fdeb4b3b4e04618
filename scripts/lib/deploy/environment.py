"""The packed environment: what the job needs of native packages, beside a link to the cluster's own Python.

It is a virtual environment as Python itself makes them, and as venv-pack packs them: `bin/python` is a link to an
interpreter that the cluster has, and `pyvenv.cfg` beside it makes this Python look for packages in here. So it can be
packed on any machine for any processor, without a container, and Spark's own worker code stays the cluster's: a
pyspark of another patch level in here would go before it.
"""

from __future__ import annotations

import re
from pathlib import Path

from deploy.archives import write_tar_gz
from deploy.errors import BuildError

NAME = "environment"  # the folder in which Spark unpacks it: spark.archives=...#environment
INTERPRETER = f"./{NAME}/bin/python"
CLUSTERS_OWN = ("pyspark", "py4j", "delta")


def pack_environment(packages: Path, python: str, target: Path, work: Path) -> str:
    """Packs a site-packages folder for the interpreter at the absolute path `python` on the cluster, in an empty
    folder `work`. Returns the SHA-256 of the uncompressed archive. Raises BuildError."""
    version = re.search(r"python(3\.\d+)$", python)
    if not python.startswith("/") or version is None:
        raise BuildError(f"{python} is no absolute path of a python3.N, as /usr/bin/python3.11 is")
    for name in CLUSTERS_OWN:
        if (packages / name).exists():
            raise BuildError(f"{name} is in the environment: it would go before the cluster's own")
    (work / "bin").mkdir()
    for name in ("python", "python3", f"python{version[1]}"):
        (work / "bin" / name).symlink_to(python)
    home = Path(python).parent
    text = f"home = {home}\ninclude-system-site-packages = false\nversion = {version[1]}\nexecutable = {python}\n"
    (work / "pyvenv.cfg").write_text(text, encoding="utf-8")
    place = work / "lib" / f"python{version[1]}" / "site-packages"
    place.parent.mkdir(parents=True)
    packages.rename(place)
    return write_tar_gz(target, work)


def top_level(packages: Path) -> set[str]:
    """The modules that can be imported from a site-packages folder."""
    return {path.name.split(".")[0] for path in packages.iterdir() if not path.name.endswith(".dist-info")}
