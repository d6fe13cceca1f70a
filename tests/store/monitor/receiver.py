"""A real HTTP receiver of messages, on this host, that answers as it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """What came, and which statuses to answer with (200 once they are used up)."""

    def __init__(self) -> None:
        self.came: list[dict[str, Any]] = []
        self.statuses: list[int] = []
        self.arrived = threading.Semaphore(0)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.statuses.pop(0) if receiver.statuses else 200
                self.send_response(status)
                self.end_headers()
                receiver.came.append({"path": self.path, **json.loads(body)})
                receiver.arrived.release()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def url(self, secret: str = "s3cr3t-token") -> str:
        return f"json://ana:pa55word@127.0.0.1:{self.server.server_address[1]}/hook/{secret}"

    def await_message(self, seconds: float = 30.0) -> dict[str, Any]:
        assert self.arrived.acquire(timeout=seconds), "no message came"
        return self.came[-1]


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()
    thread.join()
