"""The agent's life: lock, open, listen, serve until told to stop, close."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from store.agent import logs
from store.agent.endpoint import Endpoint
from store.agent.feed import Feed
from store.agent.rooms import Rooms
from store.agent.server import Server
from store.agent.service import Service, check_complete
from store.database import Layout, backup, damage
from store.protocol import HEARTBEAT_SECONDS, METHODS, CheckResult, ExitCode, Refusal
from store.settings import FILE_NAME, TEMPLATE, Settings, load

log = logging.getLogger(__name__)


def run(store: Path, foreground: bool = False, accept_loss: bool = False) -> None:
    """Serve `store` until SIGTERM, SIGINT or the method `stop`. Raises `Refusal` when it cannot start.

    `accept_loss`: a store that is damaged, or empty beside what one left behind, goes on without what is lost.
    """
    layout = Layout(store)
    _make(layout)
    settings = load(store)
    endpoint = Endpoint(layout, settings.access.group)
    endpoint.lock()
    try:
        _set_up_log(layout, settings, foreground)
        asyncio.run(_serve(layout, settings, endpoint, accept_loss))
    finally:
        endpoint.close()


def initialise(store: Path) -> list[str]:
    """Make the store's folders and a quarterdeck.toml that says every default; an existing one stays.

    Returns what was written. Raises `Refusal` when the folder cannot be made.
    """
    _make(Layout(store))
    path = store / FILE_NAME
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE)
    except FileExistsError:
        return []
    except OSError as error:
        raise Refusal(ExitCode.USAGE, f"{path}: {error.strerror}", "Name a folder that you may write to.") from error
    return [FILE_NAME]


def restore(store: Path, path: Path) -> int:
    """Restore under the store's lock; see `store.database.backup.restore`."""
    layout = Layout(store)
    _make(layout)
    endpoint = Endpoint(layout, "")
    endpoint.lock()
    try:
        return backup.restore(layout, path)
    finally:
        endpoint.close()


def examine(store: Path) -> list[CheckResult]:
    """The store's files, looked at under its lock and left as they are. Raises `Refusal` while an agent runs."""
    layout = Layout(store)
    if not layout.root.is_dir():
        return [CheckResult("store", "failed", f"{store} does not exist", "quarterdeck init DIR makes a store.")]
    endpoint = Endpoint(layout, "")
    endpoint.lock()
    try:
        return damage.examine(layout)
    finally:
        endpoint.unlock()


async def _serve(layout: Layout, settings: Settings, endpoint: Endpoint, accept_loss: bool) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    # A terminal that goes away must not take the agent with it.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    feed = Feed(loop)
    rooms = Rooms(layout, settings, feed.progress, accept_loss)
    try:
        rooms.database.listen(rooms.judging.committed)
        rooms.database.listen(rooms.estimating.committed)
        rooms.database.listen(rooms.courier.committed)
        rooms.database.listen(feed.committed)
        service = Service(rooms, feed, stopping.set)
        check_complete(service.handlers(), METHODS)
        server = Server(service.handlers(), service.gone)
        service.connections = lambda: server.connections
        await server.start(endpoint.listen())
        log.info("serving", extra={"store": str(layout.root), "pid": os.getpid(), "schema": rooms.database.schema})
        # Consoles are answered while the store catches up with what happened when no agent ran.
        starting = threading.Thread(target=_start, args=(rooms,), name="start", daemon=True)
        starting.start()
        beating = asyncio.create_task(_beat(server, endpoint, layout))
        await stopping.wait()
        log.info("stopping")
        beating.cancel()
        await asyncio.to_thread(starting.join)
        await server.close()
    finally:
        await asyncio.to_thread(rooms.close)
    log.info("stopped")


async def _beat(server: Server, endpoint: Endpoint, layout: Layout) -> None:
    """Touch the socket every few seconds: by its time others see since when an agent that hangs has hung."""
    while True:
        try:
            os.utime(layout.socket)
        except FileNotFoundError:
            # Somebody cleaned up /tmp: without it nobody would find this agent, and no other could start.
            log.error("the socket was removed: listening again", extra={"socket": str(layout.socket)})
            try:
                await server.start(endpoint.listen())
            except (OSError, Refusal) as error:
                log.error("cannot listen: %s", error)
        except OSError as error:
            log.debug("no sign of life: %s", error)
        await asyncio.sleep(HEARTBEAT_SECONDS)


def _start(rooms: Rooms) -> None:
    try:
        rooms.start()
    except Exception:
        log.exception("start-up work failed; the agent serves what it can")


def _make(layout: Layout) -> None:
    try:
        layout.create()
    except OSError as error:
        if layout.database.exists() and os.access(layout.root, os.R_OK):
            return  # A read-only disk: what is there can still be shown.
        raise Refusal(
            ExitCode.NO_AGENT,
            f"{layout.root}: {error.strerror}",
            "Name a folder you may write with --store or QUARTERDECK_STORE.",
        ) from error


def _set_up_log(layout: Layout, settings: Settings, foreground: bool) -> None:
    try:
        logs.set_up(layout.log, settings.log, foreground)
    except OSError as error:
        logging.basicConfig(stream=sys.stderr, level=settings.log.level.upper())
        log.warning("no log file: %s", error)
