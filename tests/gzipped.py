"""gzip with no time in its header: what two processes pack, and name tests by, is the same in both."""

from __future__ import annotations

import gzip
from functools import partial

gzipped = partial(gzip.compress, mtime=0)
