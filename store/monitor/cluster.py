"""The Dask engine: the processes of a cluster count the parts of files, by the same kernel and to the same bits.

Imported only where a cluster is configured, and never by the agent: `distributed` is heavy, and talks to a network.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import importlib
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from store.monitor import parts
from store.protocol import ExitCode, Refusal

_Task = TypeVar("_Task")
_Done = TypeVar("_Done")

#: Seconds within which the scheduler has to answer.
PATIENCE = 10.0
#: Tasks that are on their way for each thread of the cluster: the next ones are there when one is done.
AHEAD = 3
#: What must be the same everywhere for the counts to be.
_KERNEL = (
    *("bins", "binning", "category_bins", "cluster", "columns", "counting", "files.column_form", "files.number_text"),
    *("files.null_words", "kernel"),
    *("moments", "names", "parts", "profile", "source", "window_moments"),
)


@dataclasses.dataclass(frozen=True)
class _Refused:
    """A `Refusal` on its way home."""

    message: str
    hint: str


class Cluster:
    """A connection to a Dask scheduler; a context manager. Raises `Refusal` when none answers."""

    def __init__(self, scheduler: str) -> None:
        try:
            distributed: Any = importlib.import_module("distributed")
        except ImportError as error:
            raise Refusal(
                ExitCode.USAGE, f"engine dask needs the package distributed: {error}", "pip install quarterdeck[dask]"
            ) from error
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        try:
            self._client: Any = distributed.Client(scheduler, timeout=PATIENCE, set_as_default=False)
        except (OSError, TimeoutError, ValueError, ImportError) as error:
            said = (str(error).splitlines() or ["no answer"])[0]
            raise Refusal(
                ExitCode.USAGE,
                f"No Dask scheduler answers at {scheduler}: {said}",
                "Is it running, and is the address that of its tcp:// or tls:// port?",
            ) from error
        self._scheduler = scheduler

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(Exception):
            self._client.close(timeout=2)

    def map(self, work: Callable[[_Task], _Done], tasks: Sequence[_Task]) -> Iterator[_Done]:
        """The results of `work`, a pure function that can be pickled, in the order of the tasks.

        A task whose process dies is done again by another. Raises `Refusal`: what `work` refuses, and when tasks
        cannot be done: no processes, or ones without Quarterdeck or with another version of it.
        """
        guarded = functools.partial(_guarded, kernel_identity(), work)
        waiting: deque[Any] = deque()
        at_once = self._at_once()
        for number, task in enumerate(tasks):
            # Never two tasks under one name, and results are forgotten once they are here.
            waiting.append(self._client.submit(guarded, task, pure=False, retries=2, priority=-number))
            if len(waiting) >= at_once:
                yield self._result(waiting.popleft())
        while waiting:
            yield self._result(waiting.popleft())

    def _at_once(self) -> int:
        threads = self._threads()
        if not threads:
            try:
                self._client.wait_for_workers(1, timeout=PATIENCE)
            except TimeoutError as error:
                raise self._idle("has no workers") from error
        return max(8, AHEAD * threads)

    def _threads(self) -> int:
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        return sum(int(worker["nthreads"]) for worker in workers.values())

    def _idle(self, said: str) -> Refusal:
        return Refusal(
            ExitCode.USAGE,
            f"The Dask scheduler at {self._scheduler} {said}.",
            f"Start some: dask worker {self._scheduler}",
        )

    def _result(self, future: Any) -> Any:
        try:
            found = self._waited_for(future)
        except Refusal:
            raise
        except ModuleNotFoundError as error:
            raise Refusal(
                ExitCode.USAGE, f"The cluster's workers lack {error.name}.", "pip install quarterdeck[dask] there, too."
            ) from error
        except Exception as error:  # whatever a worker raised, or that it was killed again and again
            if self._client.status != "running":
                raise Refusal(
                    ExitCode.REFUSED, f"The Dask scheduler at {self._scheduler} is gone.", "Start it and try again."
                ) from error
            said = str(error).splitlines() or [type(error).__name__]
            raise Refusal(
                ExitCode.REFUSED, f"The cluster could not count a part: {said[0][:300]}", "See its workers' logs."
            ) from error
        if isinstance(found, _Refused):
            raise Refusal(ExitCode.USAGE, found.message, found.hint)
        return found

    def _waited_for(self, future: Any) -> Any:
        """The future's result. Dask would wait for ever for the first worker after the last one died."""
        while True:
            try:
                return future.result(timeout=PATIENCE)
            except TimeoutError:
                if future.done():
                    raise
                if not self._threads():
                    raise self._idle("has no workers any more") from None


def _guarded(identity: str, work: Callable[[Any], Any], task: Any) -> Any:
    """On a process of the cluster."""
    if kernel_identity() != identity:
        return _Refused(
            "The cluster's workers have another version of Quarterdeck.",
            "Install the same there: counts must be equal.",
        )
    try:
        return work(task)
    except Refusal as refusal:
        return _Refused(refusal.message, refusal.hint)
    finally:
        # The process lives on: by the next task another file may lie in this place.
        parts.close_parquet()


@functools.lru_cache(maxsize=1)
def kernel_identity() -> str:
    """The digest of the code that counts."""
    digest = hashlib.sha256()
    for name in _KERNEL:
        path = importlib.import_module(f"store.monitor.{name}").__file__
        digest.update(Path(path or "").read_bytes())
    return digest.hexdigest()
