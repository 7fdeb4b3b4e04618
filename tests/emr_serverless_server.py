"""What EMR Serverless is asked for, taken down by a server on loopback: no emulator at hand knows that service."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Asked = list[tuple[str, dict[str, Any]]]  # "POST /path" and the JSON that came with it


@contextmanager
def emr_serverless() -> Iterator[tuple[str, Asked]]:
    """Its URL, and what it has been asked, in order; it says yes to everything."""
    asked: Asked = []

    class Handler(BaseHTTPRequestHandler):
        def take(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append((f"{self.command} {self.path}", json.loads(body or b"{}")))
            answer = json.dumps({"applicationId": "00abc1", "jobRunId": "00run1", "arn": "arn:aws:x"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_DELETE = take

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
