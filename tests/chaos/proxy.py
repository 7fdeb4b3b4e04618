"""A proxy before an S3 server that does what networks and busy stores do, and that sees the moment to strike.

Both clients of the job go through it, S3A in the JVM and boto3 in the Python workers. It is plain HTTP/1.1 on
127.0.0.1, a thread a connection; bodies stream through it, so it knows nothing of signatures or checksums.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from .ambush import ANSWERED, BUSY, CUT, UNANSWERED, Ambush, Weather

BLOCK = 64 * 1024
SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
BETWEEN_HOPS = {"host", "connection", "expect", "transfer-encoding", "keep-alive"}


class S3Proxy(http.server.ThreadingHTTPServer):
    """`with S3Proxy(aws.endpoint_url, seed) as proxy:`; clients go to `proxy.endpoint_url`."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, store: str, seed: int = 0) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        self.store = urlsplit(store)
        self.endpoint_url = f"http://127.0.0.1:{self.server_address[1]}"
        self.weather = Weather()
        self.ambush: Ambush | None = None
        self.faults: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def __enter__(self) -> S3Proxy:
        threading.Thread(target=self.serve_forever, args=(0.02,), name="s3-proxy", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that are killed leave connections behind; that is what this is for."""

    def fate_of(self, method: str) -> str | None:
        """The fault that this request meets, if any."""
        with self._lock:
            self.requests[method] += 1
            kinds = [kind for kind in self.weather.kinds if kind != CUT or method == "GET"]
            if not kinds or self._random.random() >= self.weather.rate:
                return None
            fate = self._random.choice(kinds)
            self.faults[fate] += 1
            return fate


class _Exchange(http.server.BaseHTTPRequestHandler):
    server: S3Proxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.upstream = http.client.HTTPConnection(str(self.server.store.hostname), self.server.store.port, timeout=60)

    def finish(self) -> None:
        self.upstream.close()
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: object) -> None:
        """The requests are counted, not written out."""

    def _exchange(self) -> None:
        ambush, fate = self.server.ambush, self.server.fate_of(self.command)
        sprung = ambush is not None and ambush.is_sprung_by(f"{self.command} {unquote(self.path)}")
        if ambush is None or not sprung:
            self._meet(fate)
        elif ambush.delay:
            threading.Thread(target=ambush.strike, daemon=True).start()
            self._meet(fate)
        else:
            if ambush.served:
                self._forward().read()
            ambush.strike()
            self._reset()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _exchange

    def _meet(self, fate: str | None) -> None:
        if fate == UNANSWERED:
            self._reset()
        elif fate == BUSY:
            self._drain()
            self._answer_busy()
        elif fate == ANSWERED:
            self._forward().read()
            self._reset()
        else:
            self._hand_on(self._forward(), cut=fate == CUT)

    def _forward(self) -> http.client.HTTPResponse:
        self.upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        self.upstream.putheader("Host", self.server.store.netloc)
        for name, value in self.headers.items():
            if name.lower() not in BETWEEN_HOPS:
                self.upstream.putheader(name, value)
        self.upstream.endheaders()
        for block in _blocks(self.rfile, int(self.headers.get("Content-Length", 0))):
            self.upstream.send(block)
        return self.upstream.getresponse()

    def _hand_on(self, answer: http.client.HTTPResponse, cut: bool) -> None:
        self.send_response_only(answer.status, answer.reason)
        length = answer.getheader("Content-Length")
        for name, value in answer.getheaders():
            if name.lower() not in BETWEEN_HOPS:
                self.send_header(name, value)
        if length is None and self.command != "HEAD" and answer.status not in (204, 304):
            body = answer.read()
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.end_headers()
        size = 0 if self.command == "HEAD" else int(length or 0)
        for block in _blocks(answer, size // 2 if cut else size):
            self.wfile.write(block)
        if cut and size:
            self._reset()
        else:
            answer.read()

    def _answer_busy(self) -> None:
        self.send_response_only(503, "Slow Down")
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(SLOW_DOWN)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(SLOW_DOWN)

    def _drain(self) -> None:
        for _ in _blocks(self.rfile, int(self.headers.get("Content-Length", 0))):
            pass

    def _reset(self) -> None:
        """Closes without lingering: the client gets RST in place of an answer."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):
            self.wfile.flush()
        self.rfile.close()
        self.connection.close()


def _blocks(body: BinaryIO | http.client.HTTPResponse, size: int) -> Iterator[bytes]:
    """So many bytes of a body, as they come. Raises ConnectionError where it ends before."""
    while size:
        block = body.read(min(size, BLOCK))
        if not block:
            raise ConnectionError("the body ended early")
        size -= len(block)
        yield block
