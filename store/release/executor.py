"""Carries recorded intents to their targets, off the writer's thread and in order within a deployment."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import msgspec

from store.database import Transaction
from store.database.writer import Writer
from store.protocol import ExitCode, Refusal
from store.release import revisions
from store.release.state import Phase, share
from store.release.targets import Intent, Observation, Target, TargetError

log = logging.getLogger(__name__)

#: Deployments that are worked on at the same time; within one, revisions follow each other.
THREADS = 4


class Settled(msgspec.Struct, frozen=True):
    """Where a revision ended."""

    phase: Phase
    message: str


class _Superseded(Exception):
    """A newer revision came while this one could still be given up."""


class _Stopping(Exception):
    """The agent stops: the intent stays open for its next start."""


class _Work(msgspec.Struct, frozen=True):
    deployment: str
    revision: int
    settled: Future[Settled]


class Executor:
    """Applies revisions. What waits or is not past its point of no return gives way to a newer revision."""

    def __init__(self, writer: Writer, target: Callable[[str], Target]) -> None:
        """`target` gives the target of an environment; it may raise `Refusal`."""
        self._writer = writer
        self._target = target
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="release")
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[_Work]] = {}
        self._newest: dict[str, int] = {}
        self._futures: dict[tuple[str, int], Future[Settled]] = {}
        self._stopping = False

    def put(self, deployment: str, revision: int) -> Future[Settled]:
        """Apply the revision when its turn comes; putting it again while it is not settled changes nothing."""
        with self._lock:
            key = (deployment, revision)
            known = self._futures.get(key)
            if known is not None:
                return known
            settled: Future[Settled] = Future()
            if self._stopping:
                settled.set_exception(_stopping())
                return settled
            self._futures[key] = settled
            self._newest[deployment] = max(revision, self._newest.get(deployment, 0))
            idle = deployment not in self._waiting
            self._waiting.setdefault(deployment, deque()).append(_Work(deployment, revision, settled))
            if idle:
                self._pool.submit(self._drain, deployment)
            return settled

    def busy(self, deployment: str) -> bool:
        with self._lock:
            return deployment in self._waiting

    def holds(self, deployment: str, revision: int) -> bool:
        """Whether the revision waits here or is being applied."""
        with self._lock:
            return (deployment, revision) in self._futures

    def close(self) -> None:
        """Stop at the next step; intents that are not settled stay open in the store."""
        with self._lock:
            self._stopping = True
        self._pool.shutdown(wait=True)

    def _drain(self, deployment: str) -> None:
        while True:
            with self._lock:
                queue = self._waiting[deployment]
                if not queue:
                    del self._waiting[deployment]
                    return
                work = queue.popleft()
            result: Settled | None = None
            failure: BaseException | None = None
            try:
                result = self._work(work)
            except BaseException as error:
                failure = error
            with self._lock:
                del self._futures[work.deployment, work.revision]
            if result is not None:
                work.settled.set_result(result)
            elif failure is not None:
                if not isinstance(failure, Refusal):
                    log.error("revision %s of %s: %r", work.revision, deployment, failure)
                work.settled.set_exception(failure)

    def _work(self, work: _Work) -> Settled:
        if self._stopping:
            raise _stopping()
        begun = self._writer.change(lambda tx: _begin(tx, work.deployment, work.revision))
        if isinstance(begun, Settled):
            return begun
        observation: Observation | None = None
        try:
            target = self._target(begun.environment)
        except Refusal as refusal:
            phase, message = Phase.FAILED, refusal.message
        else:
            phase, message = self._apply(target, begun)
            observation, phase, message = _read_back(target, begun, phase, message)
            if phase is Phase.EFFECTIVE:
                message = message or begun.warning
        settled = Settled(phase, message)
        self._writer.change(
            lambda tx: revisions.finish(tx, work.deployment, work.revision, phase, message, observation)
        )
        return settled

    def _apply(self, target: Target, intent: Intent) -> tuple[Phase, str]:
        committed = False

        def step(name: str) -> None:
            nonlocal committed
            if committed:
                return
            if self._stopping:
                raise _Stopping
            if self._newest[intent.deployment] > intent.revision:
                raise _Superseded
            committed = name == target.point_of_no_return

        try:
            target.apply(intent, step)
        except _Superseded:
            return Phase.ABORTED, f"superseded by revision {self._newest[intent.deployment]}"
        except _Stopping:
            raise _stopping() from None
        except TargetError as error:
            return Phase.FAILED, str(error)
        except Exception as error:
            log.exception("revision %s of %s", intent.revision, intent.deployment)
            return Phase.FAILED, f"{type(error).__name__}: {error}"
        return Phase.EFFECTIVE, ""


def _begin(tx: Transaction, deployment: str, revision: int) -> Intent | Settled:
    intent = revisions.begin(tx, deployment, revision)
    return intent if intent is not None else give_up(tx, deployment, revision)


def give_up(tx: Transaction, deployment: str, revision: int) -> Settled:
    """Where a revision that is no longer to be applied ended: aborted, if it was still open."""
    found, *newer = revisions.since(tx.connection, deployment, revision)
    if not found.phase.open or not newer:
        return Settled(found.phase, found.message)
    message = f"superseded by revision {newer[-1].revision}"
    revisions.finish(tx, deployment, revision, Phase.ABORTED, message, None)
    return Settled(Phase.ABORTED, message)


def _read_back(target: Target, intent: Intent, phase: Phase, message: str) -> tuple[Observation | None, Phase, str]:
    """What the target says after the apply; an apply that it does not confirm has failed."""
    wanted = {placement.version: placement.weight for placement in intent.placements}
    try:
        observation = target.observe(intent.deployment, verify=False)
    except OSError as error:
        if phase is Phase.EFFECTIVE:
            phase, message = Phase.FAILED, f"The target cannot be read back: {error}"
        return None, phase, message
    if phase is Phase.EFFECTIVE and observation.versions != wanted:
        phase = Phase.FAILED
        message = f"The target reports {share(observation.versions)} after the release of {share(wanted)}."
    return observation, phase, message


def _stopping() -> Refusal:
    return Refusal(ExitCode.NO_AGENT, "The agent is stopping; the intent is recorded and applied at its next start.")
