"""Whether all that the job imports will be there: found by reading its imports, those inside functions included."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from deploy.errors import BuildError
from deploy.modules import OWN

CLUSTER = {"pyspark", "py4j"}  # every Spark brings its own
AT_HOME = {"matplotlib"}  # the report's charts: it reads the tables from where it is installed, and says so elsewhere


@dataclass(frozen=True)
class Import:
    """`module` is needed; `name`, where there is one, may be a module in it or anything else that it has."""

    module: str
    name: str = ""


def check_complete(zipped: Mapping[str, bytes], entries: Mapping[str, bytes], provided: Collection[str]) -> None:
    """Raises BuildError with every import that leads nowhere: neither into the zip, nor to Python itself, a cluster's
    packages or `provided`, the top-level modules of the packed environment."""
    ours = {name: text for name, text in zipped.items() if name.split("/")[0] in OWN}
    elsewhere = CLUSTER | AT_HOME | sys.stdlib_module_names | set(provided)
    missing = [
        f"{name} imports {wanted}"
        for name, text in sorted({**ours, **entries}.items())
        for wanted in sorted(_missing(name, text, zipped, elsewhere))
    ]
    if missing:
        raise BuildError("what is packed is not complete; left out is what these need:\n  " + "\n  ".join(missing))


def _missing(name: str, text: bytes, zipped: Mapping[str, bytes], elsewhere: Collection[str]) -> set[str]:
    found = set()
    for one in _imports(ast.parse(text, name), name):
        top = one.module.split(".")[0]
        if top in elsewhere and not _is_there(top, zipped):
            continue
        if not _is_there(one.module, zipped):
            found.add(one.module)
        elif one.name and not _has(one.module, one.name, zipped):
            found.add(f"{one.module}.{one.name}")
    return found


def _imports(tree: ast.AST, name: str) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(node, ast.Import):
            yield from (Import(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = name.split("/")[: -node.level] if node.level else []
            module = ".".join([*package, *([node.module] if node.module else [])])
            yield from (Import(module, alias.name) for alias in node.names)
        else:
            yield from _imports(node, name)


def _is_there(module: str, zipped: Mapping[str, bytes]) -> bool:
    path = module.replace(".", "/")
    return f"{path}.py" in zipped or f"{path}/__init__.py" in zipped


def _has(module: str, name: str, zipped: Mapping[str, bytes]) -> bool:
    """Of a package only: a name that its `__init__` never mentions must be a module in it."""
    package = zipped.get(f"{module.replace('.', '/')}/__init__.py")
    if package is None or re.search(rf"\b{re.escape(name)}\b".encode(), package):
        return True
    return _is_there(f"{module}.{name}", zipped)
