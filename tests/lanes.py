"""Which Spark the tests run on, where its jars are, and what of the suite is left out there, and why.

4.1 runs everything. The others are for what may differ with Spark and Delta: `scripts/test --lane NAME`.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = Path(sys.prefix).name  # .venv, or that of another lane: .venv-3.5
LANE = ENVIRONMENT.removeprefix(".venv").removeprefix("-") or "4.1"
JARS = ROOT / ".cache" / ENVIRONMENT.replace(".venv", "jars")
