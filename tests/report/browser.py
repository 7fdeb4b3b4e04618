"""Headless Chromium, and a server on loopback that gives it pages.

The server is the browser's proxy too, so whatever the browser asks of any host comes here, and is written down.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

NAMES = ("chromium", "chromium-browser", "google-chrome")
PROGRAM = next((found for name in NAMES if (found := shutil.which(name))), None)
WHY_NOT = "there is no Chromium; scripts/install-browser installs it where it can"
LIMIT_SECONDS = 60
# Whom the browser asks for its own updates, whatever it is told.
OWN_HOSTS = ("google.com", "googleapis.com", "gvt1.com", "gstatic.com")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--enable-logging=stderr", "--hide-scrollbars"),
    # As little as can be of the browser's own business.
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps"),
    *("--disable-domain-reliability", "--disable-features=OptimizationHints,MediaRouter,Translate"),
)


@dataclass(frozen=True)
class Seen:
    """What came of opening a page."""

    document: str  # the page as it was when it had loaded, its scripts done
    console: list[str]
    requests: list[str]  # URLs

    @property
    def elements(self) -> list[Element]:
        reader = _Reader()
        reader.feed(self.document)
        return reader.elements

    def text_of(self, tag: str) -> list[str]:
        return [element.text for element in self.elements if element.tag == tag]


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""  # of it and of all within


def opened(pages: Mapping[str, str], name: str, folder: Path) -> Seen:
    """Opens one of some pages, which may show others in frames."""
    assert PROGRAM, WHY_NOT
    requests: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(pages, requests))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"127.0.0.1:{server.server_port}"
        proxy = (f"--proxy-server=http://{address}", "--proxy-bypass-list=<-loopback>")
        command = [PROGRAM, *QUIET, *proxy, f"--user-data-dir={folder / 'profile'}"]
        done = subprocess.run(
            [*command, "--dump-dom", f"http://{address}/{name}"],
            capture_output=True,
            text=True,
            check=True,
            timeout=LIMIT_SECONDS,
        )
    finally:
        server.shutdown()
        server.server_close()
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Seen(done.stdout, console, [url for url in requests if not _host(url).endswith(OWN_HOSTS)])


def _host(url: str) -> str:
    """Also of what is asked with CONNECT, as host:port."""
    return urlsplit(url if "://" in url else f"//{url}").hostname or ""


def _handler(pages: Mapping[str, str], requests: list[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            page = pages.get(urlsplit(self.path).path.lstrip("/"))
            self.send_response(404 if page is None else 200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write((page or "").encode())

        def do_CONNECT(self) -> None:
            requests.append(self.path)
            self.send_error(403)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    return Handler


class _Reader(HTMLParser):
    """A document that the browser has written itself, so that every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in ("meta", "link", "br", "img"):
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1].tag == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data
