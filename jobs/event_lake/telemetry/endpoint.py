"""An HTTP endpoint on the driver: /metrics for Prometheus, /healthz for whoever asks whether the job is well."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from event_lake.errors import ConfigError
from event_lake.telemetry.exposition import Exposition
from event_lake.telemetry.health import Health

REQUEST_SECONDS = 10


class Endpoint:
    """Listens from the start until `stop`, in threads of its own."""

    def __init__(self, address: str, port: int, exposition: Exposition, health: Health) -> None:
        registry = CollectorRegistry()
        registry.register(exposition)

        class Handler(BaseHTTPRequestHandler):
            timeout = REQUEST_SECONDS

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path == "/metrics":
                    self._answer(200, CONTENT_TYPE_PLAIN_0_0_4, generate_latest(registry))
                elif path == "/healthz":
                    reasons = health.reasons()
                    document = {"status": "unhealthy" if reasons else "ok", "reasons": reasons}
                    self._answer(503 if reasons else 200, "application/json", json.dumps(document).encode() + b"\n")
                else:
                    self._answer(404, "text/plain", b"there are /metrics and /healthz\n")

            def _answer(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Scrapes are no news."""

        try:
            self._server = ThreadingHTTPServer((address, port), Handler)
        except OSError as error:
            raise ConfigError(
                f"metrics.prometheus_port: nothing can listen on {address}:{port} ({error.strerror}); choose another "
                "port, or 0 for no endpoint"
            ) from error
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="event-lake-endpoint", daemon=True).start()

    @property
    def port(self) -> int:
        return self._server.server_port

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
