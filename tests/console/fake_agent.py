"""An agent that answers from canned rows over a real Unix socket, so that the console is tested message and picture."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from store import protocol
from store.protocol import (
    ActionParams,
    Change,
    Column,
    Detail,
    EnvironmentInfo,
    ExitCode,
    Hello,
    ListParams,
    Located,
    LocateParams,
    Outcome,
    Page,
    Plan,
    Pong,
    Refusal,
    ShowParams,
    Subscribed,
    SubscribeParams,
)

#: 2013-07-03 12:00 UTC, when everything in these tests happens.
NOW = 1372852800.0
Listing = tuple[list[Column], list[list[Any]]]


class FakeAgent:
    """Serves one store folder from a thread; `listings` and `shown` are its content, `calls` what it was asked.

    `answer(method, handler)` replaces an answer: the handler takes the params struct and returns a result or
    raises `Refusal`. `change(...)` tells every subscriber; `drop()` breaks every connection; `stop()` ends it.
    """

    def __init__(self, store: Path, listings: dict[str, Listing]) -> None:
        self.store = store
        self.listings = listings
        self.shown: dict[tuple[str, str], list[protocol.Section]] = {}
        self.calls: list[tuple[str, Any]] = []
        self.sequence = 10
        self.changes: list[Change] = []
        #: While true, requests are read and never answered.
        self.mute = False
        self.greeting = Hello(
            protocol=protocol.PROTOCOL_VERSION,
            agent="0.1.0",
            store=str(store),
            store_id="store-1",
            schema=1,
            pid=os.getpid(),
            started_at=NOW,
            sequence=self.sequence,
            user="ada",
            uid=os.getuid(),
            may_act=True,
            read_only="",
            environments=[EnvironmentInfo("production", 3, "local"), EnvironmentInfo("staging", 2, "local")],
            base_window=3600,
            folders=[str(store / "inbox")],
        )
        self._handlers: dict[str, Callable[[Any], Any]] = {
            "hello": lambda params: self.greeting,
            "ping": lambda params: Pong(self.sequence, NOW),
            "subscribe": self._subscribe,
            "list": self._list,
            "locate": self._locate,
            "show": self._show,
            "plan": self._plan,
            "act": self._act,
        }
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        path = protocol.socket_path(self.store)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._thread.is_alive():
            self._thread.start()
        self._server = self._do(asyncio.start_unix_server(self._serve, path=path, limit=1 << 22))

    def stop(self) -> None:
        """Break every connection and answer no more; `start` begins again."""
        self._do(self._stop())
        self.drop()
        protocol.socket_path(self.store).unlink(missing_ok=True)

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def drop(self) -> None:
        self._do(self._drop())

    async def _stop(self) -> None:
        # On its own loop: a server closed from another thread races with its last connection.
        self._server.close()

    async def _drop(self) -> None:
        for writer in list(self._writers):
            writer.close()

    def answer(self, method: str, handler: Callable[[Any], Any]) -> None:
        self._handlers[method] = handler

    def asked(self, method: str) -> list[Any]:
        """The params of every call of `method` so far."""
        return [params for called, params in self.calls if called == method]

    def change(self, *topics: str, tell: bool = True) -> None:
        """Something was committed; `tell` sends it to whoever listens."""
        self.sequence += 1
        change = Change(self.sequence, NOW, list(topics))
        self.changes.append(change)
        if tell:
            self.notify("change", change)

    def notify(self, method: str, params: msgspec.Struct) -> None:
        message = protocol.Response(method=method, params=msgspec.Raw(msgspec.json.encode(params)))
        line = msgspec.json.encode(message) + b"\n"

        async def send() -> None:
            for writer in list(self._writers):
                writer.write(line)

        self._do(send())

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                request = msgspec.json.decode(line, type=protocol.Request)
                params = msgspec.json.decode(request.params, type=protocol.METHODS[request.method][0])
                self.calls.append((request.method, params))
                if self.mute:
                    continue
                try:
                    result = self._handlers[request.method](params)
                    if asyncio.isfuture(result):
                        result = await result
                    response = protocol.Response(request.id, msgspec.Raw(msgspec.json.encode(result)))
                except Refusal as refusal:
                    response = protocol.Response(request.id, error=protocol.refusal_to_error(refusal))
                writer.write(msgspec.json.encode(response) + b"\n")
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def _subscribe(self, params: SubscribeParams) -> Subscribed:
        missed = [change for change in self.changes if params.since is not None and change.sequence > params.since]
        return Subscribed(self.sequence, NOW, missed, True)

    def _rows(self, params: ListParams) -> Listing:
        if params.kind not in self.listings:
            raise Refusal(ExitCode.USAGE, f"There is no listing {params.kind!r}.")
        columns, rows = self.listings[params.kind]
        names = [column.name for column in columns]
        for key, value in params.scope.items():
            rows = [row for row in rows if key not in names or row[names.index(key)] == value]
        for term in params.filter.split():
            if "[" in term:
                raise Refusal(ExitCode.USAGE, f"{term!r} is not a regular expression.", "Close the bracket.")
            name, found, value = term.partition("=")
            if not found and ":" in term:
                name, _, pattern = term.partition(":")
                rows = [row for row in rows if re.search(pattern, str(row[names.index(name)]))]
                continue
            value = value.strip('"')
            index = names.index(name) if found else names.index("name") if "name" in names else 0
            wanted = value if found else term
            rows = [row for row in rows if wanted.lower() in str(row[index]).lower()]
        if params.sort:
            name, _, direction = params.sort.partition(":")
            rows = sorted(rows, key=lambda row: str(row[names.index(name)]), reverse=direction == "desc")
        return columns, rows

    def _list(self, params: ListParams) -> Page:
        columns, rows = self._rows(params)
        part = rows[params.offset : params.offset + params.limit]
        return Page(params.kind, columns, part, len(rows), params.offset, self.sequence, NOW)

    def _locate(self, params: LocateParams) -> Located:
        _, rows = self._rows(params.params)
        return Located(next((i for i, row in enumerate(rows) if row[0] == params.id), None), len(rows))

    def _show(self, params: ShowParams) -> Detail:
        sections = self.shown.get((params.kind, params.name))
        if sections is None:
            raise Refusal(ExitCode.USAGE, f"There is no {params.name!r} among {params.kind}.")
        return Detail(params.kind, params.name, sections, self.sequence, NOW)

    def _plan(self, params: ActionParams) -> Plan:
        environment = params.subject.rpartition("@")[2]
        danger = {"production": 3, "staging": 2}.get(environment, 1)
        return Plan(
            params.action,
            params.subject,
            True,
            "",
            danger,
            7 if danger > 1 else 0,
            {"1": 1.0} if danger > 1 else {},
            {params.version or "2": 1.0} if danger > 1 else {},
            [protocol.Field("Open alerts", 2, "number") if danger > 1 else protocol.Field("subject", params.subject)],
            f"quarterdeck {params.action} {params.subject}",
            params.subject.rpartition("@")[0] if danger == 3 else "",
        )

    def _act(self, params: ActionParams) -> Outcome:
        danger = "@" in params.subject
        return Outcome(
            params.action,
            params.subject,
            8 if danger else 0,
            "effective" if danger else "",
            {"1": 1.0} if danger else {},
            {params.version or "2": 1.0} if danger else {},
            "",
            self.sequence + 1,
        )
