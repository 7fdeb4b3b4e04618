"""Stands between a client and an S3 server on this machine, hands everything on, and says which calls were made."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class S3Calls:
    """`made` holds (operation, key or prefix) as S3's API reference names them; buckets are in the path."""

    def __init__(self) -> None:
        self.made: set[tuple[str, str]] = set()
        self.url = ""

    def add(self, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        parts = urlsplit(target)
        key = parts.path.lstrip("/").partition("/")[2]
        query = parse_qs(parts.query, keep_blank_values=True)
        operation = _operation(method, key, query, headers)
        keys = re.findall("<Key>(.*?)</Key>", body.decode()) if operation == "DeleteObjects" else [key]
        self.made |= {(operation, one or query.get("prefix", [""])[0]) for one in keys}


def _operation(method: str, key: str, query: dict[str, list[str]], headers: dict[str, str]) -> str:
    """Which call this is. Whatever is not foreseen here gets a name that no document can have."""
    if "uploads" in query:
        return "CreateMultipartUpload" if method == "POST" and key else f"{method} uploads"
    if "uploadId" in query:
        return {"PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}[method]
    if not key:
        known = {"GET": "ListObjectsV2"} if query.get("list-type") == ["2"] else {}
        known |= {"POST": "DeleteObjects"} if "delete" in query else {}
        return known.get(method, f"{method} bucket {sorted(query)}")
    if "x-amz-copy-source" in headers:
        return "CopyObject"
    if set(query) - {"x-id"}:
        return f"{method} object {sorted(query)}"
    return {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}[method]


@contextmanager
def s3_recorder(server: str) -> Iterator[S3Calls]:
    """In front of the S3 server at this URL."""
    calls = S3Calls()
    behind = urlsplit(server).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def hand_on(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            calls.add(self.command, self.path, headers, body)
            connection = http.client.HTTPConnection(behind, timeout=60)
            try:
                connection.request(self.command, self.path, body, {**headers, "host": behind})
                answer = connection.getresponse()
                content = answer.read()
            finally:
                connection.close()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            length = answer.getheader("content-length") if self.command == "HEAD" else str(len(content))
            self.send_header("content-length", length or "0")
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = hand_on

        def log_message(self, *_: object) -> None:
            """Nothing: it would stand among what a test searches."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that goes away is no error of this server's."""

    with Server(("127.0.0.1", 0), Handler) as listening:
        calls.url = f"http://127.0.0.1:{listening.server_port}"
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield calls
        listening.shutdown()
        thread.join(5)
