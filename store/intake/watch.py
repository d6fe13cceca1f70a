"""Finding what changed in the watched folders: the kernel tells, and a walk catches what it did not tell."""

from __future__ import annotations

import itertools
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from store.intake.arrivals import Folder
from store.intake.inotify import Change, Hint, Inotify, LimitReached, files_in
from store.intake.roots import Standing, standing

log = logging.getLogger(__name__)

#: Reported at one go.
CHUNK = 1_000
#: A walk may use this share of one core at most: the next one waits that much longer.
_WALK_SHARE = 0.005
_POLL_SHARE = 0.05
_POLL_SECONDS = 1.0
_STEP_MS = 25
#: How often the way to a folder is followed anew while it changes under the look.
_MOST_LOOKS = 5


class Watcher:
    """Reports changed files of `folders` to `on_changes(folder, changes)`, from its own threads.

    Everything that lies there at the start is reported too. Where the kernel cannot tell (limits used up,
    `polling`), the folders are walked every second, or less often where that would take more than 5 % of a
    core. A folder may be a link, a mount, or not there yet: it is taken up when it comes, and again when the link
    is led elsewhere; `on_root` hears of it first. `on_walked` is called after each walk, the first one included.
    """

    def __init__(
        self,
        folders: Sequence[Folder],
        on_changes: Callable[[Folder, list[Change]], None],
        *,
        rescan_seconds: float = 60.0,
        polling: bool = False,
        on_root: Callable[[Folder], None] = lambda _folder: None,
        on_walked: Callable[[], None] = lambda: None,
    ) -> None:
        self._folders = list(folders)
        self._on_changes = on_changes
        self._on_root = on_root
        self._on_walked = on_walked
        self._standing: dict[str, Standing] = {}
        self.settled = threading.Event()
        """Set once it is known how each folder is watched."""
        self._rescan_seconds = rescan_seconds
        self._stop = threading.Event()
        self._walk_now = threading.Event()
        self.polling = "asked for by the settings" if polling else ""
        """Why the folders are polled ("" while the kernel tells)."""
        self.walks = 0
        """Walks done so far, the one at the start included."""
        self._inotify: Inotify | None = None
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        if not self.polling:
            tell = self._follow_kernel if sys.platform == "linux" else self._follow_watchfiles
            self._threads.append(threading.Thread(target=tell, name="intake-watch", daemon=True))
        self._threads.append(threading.Thread(target=self._keep_walking, name="intake-walk", daemon=True))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Returns once the threads have ended."""
        self._stop.set()
        self._walk_now.set()
        if self._inotify is not None:
            self._inotify.wake()
        for thread in self._threads:
            thread.join()

    def walk_soon(self) -> None:
        """Walk the folders now, whatever the kernel said."""
        self._walk_now.set()

    def watches(self, folder: Folder) -> bool:
        """Whether the kernel tells of `folder` now."""
        told = self._inotify
        return told is not None and not self.polling and told.watches_root(folder.path)

    def _follow_kernel(self) -> None:
        try:
            with_kernel = Inotify()
        except (LimitReached, OSError) as error:
            self._fall_back(str(error))
            return
        self._inotify = with_kernel
        try:
            self._settle_roots(with_kernel)
            self.settled.set()
            self._on_walked()
            while not self._stop.is_set():
                changes = with_kernel.read(None)
                if with_kernel.overflowed:
                    with_kernel.overflowed = False
                    log.info("inotify's queue overflowed: walking the folders")
                    self._walk_now.set()
                self._sort_out(changes)
                if with_kernel.unsettled:
                    self._settle_roots(with_kernel)
        except (LimitReached, OSError) as error:
            self._fall_back(str(error))
            # What is watched already goes on being told.
            while not self._stop.is_set():
                try:
                    self._sort_out(with_kernel.read(None))
                except (LimitReached, OSError) as again:
                    log.debug("inotify: %s", again)
        finally:
            self._inotify = None
            with_kernel.close()

    def _settle_roots(self, with_kernel: Inotify) -> None:
        """Find where each folder lies now, watch the way to it, and take up those that lie elsewhere than before."""
        for _ in range(_MOST_LOOKS):
            with_kernel.unsettled = False
            now = {folder.path: standing(folder.path) for folder in self._folders}
            # The way is watched first: what changes on it from here on is told.
            turns = {turn for found in now.values() for turn in found.turns}
            with_kernel.follow_turns(turns)
            if turns == {turn for folder in self._folders for turn in standing(folder.path).turns}:
                break
        for folder in self._folders:
            found, before = now[folder.path], self._standing.get(folder.path)
            self._standing[folder.path] = found
            if found.why and (before is None or before.why != found.why):
                log.warning("nothing can arrive: %s; it is taken up as soon as it can be entered", found.why)
            if before is not None and before.identity != found.identity:
                with_kernel.forget_tree(folder.path)
                log.info("%s is now %s", folder.path, found.real or "not there")
            if found.identity is None:
                continue
            if before is None or before != found or not with_kernel.watches_root(folder.path):
                self._on_root(folder)
                self._report(folder, with_kernel.add_tree(folder.path))

    def _follow_watchfiles(self) -> None:
        from watchfiles import watch

        paths = [folder.path for folder in self._folders]
        try:
            for events in watch(*paths, watch_filter=None, step=_STEP_MS, debounce=50, stop_event=self._stop):
                self._sort_out([Change(path, Hint.GROWING) for _, path in events])
                # A folder that was moved in is one event; its files are found by walking.
                self._walk_now.set()
        except (OSError, RuntimeError) as error:
            self._fall_back(str(error))

    def _fall_back(self, why: str) -> None:
        self.polling = why
        self.settled.set()
        log.warning("the watched folders are polled: %s", why)
        self._walk_now.set()

    def _sort_out(self, changes: Iterable[Change]) -> None:
        for folder in self._folders:
            self._report(folder, (change for change in changes if folder.relative(change.path) is not None))

    def _report(self, folder: Folder, changes: Iterable[Change]) -> None:
        rest = iter(changes)
        while chunk := list(itertools.islice(rest, CHUNK)):
            if self._stop.is_set():
                return
            self._on_changes(folder, chunk)

    def _keep_walking(self) -> None:
        # The kernel's follower walks at the start by itself.
        wait = 0.0 if self.polling or sys.platform != "linux" else self._rescan_seconds
        while not self._stop.is_set():
            self._walk_now.wait(wait)
            self._walk_now.clear()
            if self._stop.is_set():
                return
            began = time.thread_time()
            told = self._inotify
            if told is not None and not self.polling:
                # An ancestor may have been moved, of which the kernel told nothing.
                told.unsettled = True
                told.wake()
            for folder in self._folders:
                self._report(folder, self._walk(folder.path))
            self.walks += 1
            self._on_walked()
            spent = time.thread_time() - began
            if self.polling:
                wait = max(min(_POLL_SECONDS, self._rescan_seconds), spent / _POLL_SHARE)
            else:
                wait = max(self._rescan_seconds, spent / _WALK_SHARE)

    def _walk(self, folder: str) -> Iterator[Change]:
        waiting = [folder]
        while waiting and not self._stop.is_set():
            yield from files_in(waiting.pop(), waiting)
