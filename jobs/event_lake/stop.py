"""Being asked to stop: by SIGTERM or SIGINT, or by an empty object `stop` under the checkpoint path."""

from __future__ import annotations

import logging
import signal
import threading
import time
from types import FrameType

from event_lake.storage import Storage

log = logging.getLogger(__name__)

MARKER_LOOK_SECONDS = 2.0


class StopRequest:
    """Whether somebody has asked; once asked, always asked."""

    def __init__(self, storage: Storage, checkpoint_path: str) -> None:
        self._storage = storage
        self._marker = f"{checkpoint_path.rstrip('/')}/stop"
        self._asked = threading.Event()
        self._marker_seen = False
        self._next_look = 0.0

    def listen(self) -> None:
        """Takes over SIGTERM and SIGINT; to be called by the main thread after Spark, which sets SIGINT itself."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def made(self) -> bool:
        if not self._asked.is_set() and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + MARKER_LOOK_SECONDS
            if self._storage.is_file(self._marker):
                log.info("stop asked_by=marker path=%s", self._marker)
                self._marker_seen = True
                self._asked.set()
        return self._asked.is_set()

    def honoured(self) -> None:
        """Removes the marker, so that the next start runs."""
        if self._marker_seen:
            self._storage.delete(self._marker)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        log.info("stop asked_by=%s", signal.Signals(number).name)
        self._asked.set()
