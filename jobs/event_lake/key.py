"""The key of an event: 128 bits of the SHA-256 of its event_uuid, as two signed numbers that sort as the bytes do.

Made where a record is parsed, a column at a time: a hash in Spark's plan comes as text in hexadecimal digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np
import numpy.typing as npt

TOP_BIT = np.uint64(1 << 63)
NO_DIGEST = bytes(32)


def signed_halves(uuids: Sequence[str | None]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Both halves of each key; anything where there is no uuid."""
    return halves_of([NO_DIGEST if uuid is None else sha256(uuid.encode()).digest() for uuid in uuids])


def halves_of(digests: Sequence[bytes]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The same of SHA-256 that were made elsewhere."""
    quarters = np.frombuffer(b"".join(digests), ">u8").reshape(-1, 4)
    hi, lo = (np.ascontiguousarray((quarters[:, n] ^ TOP_BIT).astype(np.uint64)).view(np.int64) for n in (0, 1))
    return hi, lo


def unsigned(half: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """A half as the index keeps it."""
    return half.view(np.uint64) ^ TOP_BIT
