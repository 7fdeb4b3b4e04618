"""The server on its socket: HTTP/1.1 with keep-alive, one thread a connection, on 127.0.0.1 only."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import sys
import threading
import traceback
import uuid
from email.utils import formatdate
from typing import NamedTuple

import orjson

from .control import Control, run_method
from .limits import Limits
from .service import Reply, Service

_JOINED_BYTES = 256 * 1024
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 411: "Length Required", 500: "Internal Server Error"}


class _Request(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes


class KinesisServer(Control):
    """A Kinesis on a free port, in threads of this process::

        with KinesisServer() as server:
            client = boto3.client("kinesis", endpoint_url=server.endpoint_url, ...)

    ``limits`` switches the service's limits on (or gives other ones); ``transition_seconds`` is how long a stream stays
    CREATING, UPDATING or DELETING (none by default: streams are ACTIVE at once).
    """

    def __init__(
        self,
        port: int = 0,
        *,
        limits: bool | Limits = False,
        region: str = "us-east-1",
        account: str = "000000000000",
        transition_seconds: float = 0.0,
    ) -> None:
        chosen = limits if isinstance(limits, Limits) else Limits() if limits else None
        self.service = Service(region, account, chosen, transition_seconds)
        self._tcp = _Server(port, self)
        self.port: int = self._tcp.server_address[1]
        self.endpoint_url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        threading.Thread(target=self._tcp.serve_forever, args=(0.02,), name="kinesis-server", daemon=True).start()

    def stop(self) -> None:
        """Close the port and every connection."""
        self._tcp.shutdown()
        self._tcp.server_close()
        self._tcp.drop_connections()

    def __enter__(self) -> KinesisServer:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 1024

    def __init__(self, port: int, control: KinesisServer) -> None:
        super().__init__(("127.0.0.1", port), _Connection)
        self.control = control
        self.stopping = threading.Event()
        self.connections: set[socket.socket] = set()

    def drop_connections(self) -> None:
        self.stopping.set()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle of an answer is no error of the server's; all else is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            traceback.print_exc()


class _Connection(socketserver.StreamRequestHandler):
    server: _Server
    disable_nagle_algorithm = True
    _date = (0, "")

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def handle(self) -> None:
        while not self.server.stopping.is_set():
            request = self._read()
            if request is None or not self._answer(request):
                return

    def _read(self) -> _Request | None:
        line = self.rfile.readline(65536).split()
        if len(line) != 3:
            return None
        headers: dict[str, str] = {}
        while (header := self.rfile.readline(65536)) not in (b"\r\n", b"\n", b""):
            name, _, value = header.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        if headers.get("expect", "").lower() == "100-continue":
            self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = int(headers.get("content-length", 0))
        return _Request(line[1].decode("latin-1"), headers, self.rfile.read(length) if length else b"")

    def _answer(self, request: _Request) -> bool:
        """Whether the connection lives on."""
        control = self.server.control
        if request.path == "/_control":
            self._send(Reply(200, [run_method(control, request.body)]))
            return True
        service = control.service
        reply = self._reply(service, request)
        fault = reply.fault.kind if reply.fault else None
        if fault == "reset":
            self._reset()
            return False
        delay = service.round_trip + (reply.fault.seconds if reply.fault and fault == "slow" else 0.0)
        if delay and self.server.stopping.wait(delay):
            return False
        self._send(reply, truncated=fault == "truncated")
        return fault != "truncated" and request.headers.get("connection", "").lower() != "close"

    def _reply(self, service: Service, request: _Request) -> Reply:
        """The operation's name is in a header; bodies are JSON (the Java SDKs send CBOR unless told not to)."""
        if "cbor" in request.headers.get("content-type", ""):
            return _plain_error("SerializationException", "JSON only: set AWS_CBOR_DISABLE=true for this client.")
        if "transfer-encoding" in request.headers:
            return _plain_error("SerializationException", "Send a Content-Length.", 411)
        api, _, operation = request.headers.get("x-amz-target", "").partition(".")
        if api != "Kinesis_20131202":
            return _plain_error("UnknownOperationException", "X-Amz-Target names no operation of Kinesis_20131202.")
        return service.handle(operation, request.body)

    def _send(self, reply: Reply, *, truncated: bool = False) -> None:
        length = sum(map(len, reply.parts))
        head = (
            f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Service Unavailable')}\r\n"
            f"x-amzn-RequestId: {uuid.uuid4()}\r\n"
            f"Date: {self._http_date()}\r\n"
            "Content-Type: application/x-amz-json-1.1\r\n"
            f"Content-Length: {length + truncated}\r\n"
            + (f"x-amzn-ErrorType: {reply.code}\r\n" if reply.code else "")
            + "\r\n"
        ).encode()
        if truncated:
            self.connection.sendall(head + b"".join(reply.parts)[: length // 2])
        elif length < _JOINED_BYTES:
            self.connection.sendall(b"".join([head, *reply.parts]))
        else:  # no second copy of a large body
            self.connection.sendall(head + reply.parts[0])
            for part in reply.parts[1:]:
                self.connection.sendall(part)

    def _http_date(self) -> str:
        second = self.server.control.service.now() // 1000
        if _Connection._date[0] != second:
            _Connection._date = (second, formatdate(second, usegmt=True))
        return self._date[1]

    def _reset(self) -> None:
        """Close without lingering: the peer gets RST in place of an answer."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()


def _plain_error(code: str, message: str, status: int = 400) -> Reply:
    return Reply(status, [orjson.dumps({"__type": code, "message": message})], code)
