"""How frames and charts look in a notebook."""

from __future__ import annotations

import importlib.util
from typing import Any

import pandas as pd

WIDTH = 120  # of a cell of a table: enough of a payload to see what it is
# Colours that people who see no red or no green can tell apart, and that do on white and on black.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
CHARTS = {
    "figure.figsize": (9.0, 3.0),
    "figure.autolayout": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.titlelocation": "left",
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "timezone": "UTC",
}


def use_style() -> None:
    """For all tables and charts of this process; without matplotlib, for tables."""
    pd.set_option("display.max_colwidth", WIDTH)
    if importlib.util.find_spec("matplotlib") is None:
        return
    from matplotlib import rcParams  # noqa: PLC0415 - who has no charts does not need it
    from matplotlib.rcsetup import cycler  # noqa: PLC0415

    charts: Any = CHARTS | {"axes.prop_cycle": cycler(color=COLOURS)}
    rcParams.update(charts)
