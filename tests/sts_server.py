"""A Security Token Service on 127.0.0.1 that knows AssumeRole: the real query protocol, keys that a test recognises."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

GRANTED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey><SessionToken>{token}</SessionToken>
<Expiration>{expiration}</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>A:s</AssumedRoleId>
<Arn>{role}</Arn></AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>"""
REFUSED = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>{code}</Code><Message>not you</Message></Error></ErrorResponse>"""


class StsServer:
    """`asked` holds the requests; keys are numbered: ASSUMED-KEY-1 and so on."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.lifetime = timedelta(hours=1)
        self.refusal: str | None = None
        self.url = ""

    def answer(self, form: dict[str, str]) -> tuple[int, str]:
        self.asked.append(form)
        if self.refusal:
            return 403, REFUSED.format(code=self.refusal)
        number = len(self.asked)
        return 200, GRANTED.format(
            key=f"ASSUMED-KEY-{number}",
            secret=f"ASSUMED-SECRET-{number}",
            token=f"ASSUMED-TOKEN-{number}",
            expiration=(datetime.now(UTC) + self.lifetime).strftime("%Y-%m-%dT%H:%M:%SZ"),
            role=form.get("RoleArn"),
        )


@contextmanager
def sts_server() -> Iterator[StsServer]:
    sts = StsServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            status, text = sts.answer({name: values[0] for name, values in form.items()})
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "text/xml")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: it would stand among what a test searches."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        sts.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield sts
        server.shutdown()
        thread.join(5)
