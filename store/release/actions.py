"""Promote, roll back, abort and retry: the release room's face to the agent."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from concurrent.futures import Future

import duckdb

from store.catalog.objects import Objects, digest_of
from store.database import Actor, Database, Layout
from store.protocol import ActionParams, ExitCode, Outcome, Plan, Refusal
from store.release import reconcile, revisions
from store.release.executor import Executor, Settled
from store.release.plan import Insight, plan
from store.release.reconcile import Reconciled
from store.release.state import ACTIONS, Phase, share
from store.release.targets import Target
from store.release.targets.local import LocalTarget
from store.settings import EnvironmentSettings, Settings

log = logging.getLogger(__name__)

#: Seconds between two looks at the targets.
OBSERVED_EVERY = 30.0


class Releases:
    """Everything that changes a deployment. One per agent; its methods may be called from any thread."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        objects: Objects,
        targets: Mapping[str, Target],
        insight: Insight | None = None,
    ) -> None:
        """`targets` by the name that settings give them; `insight` adds other rooms' facts to plans."""
        self._database = database
        self._settings = settings
        self._objects = objects
        self._targets = targets
        self._insight = insight
        self._closing = threading.Event()
        self._watching: threading.Thread | None = None
        self._executor = Executor(
            database.writer, lambda environment: self._targets[self._environment(environment).target]
        )

    @classmethod
    def for_store(
        cls,
        database: Database,
        layout: Layout,
        settings: Settings,
        objects: Objects,
        insight: Insight | None = None,
    ) -> Releases:
        """With the targets that need nothing but the store's own folder."""

        local = LocalTarget(
            layout.targets,
            lambda digest: objects.path(digest) if objects.holds(digest) else None,
            digest_of,
        )
        return cls(database, settings, objects, {"local": local}, insight)

    def plan(self, params: ActionParams) -> Plan:
        """What `params` would do. Raises `Refusal`; see `store.release.plan.plan`."""
        environment = self._environment(revisions.split(params.subject)[1])

        def read(connection: duckdb.DuckDBPyConnection) -> Plan:
            return plan(connection, params, environment, self._objects, self._insight)

        return self._database.reader.read(read)

    def submit(self, params: ActionParams, actor: Actor) -> Future[Outcome]:
        """Record the request, then carry it out.

        The future is done when the outcome is recorded, or with `wait=False` when the request is; a
        revision that failed is an outcome with phase `failed`. It carries `Refusal` when the request was
        not recorded: the deployment changed since `expect` (code 4), the state does not allow it (1), or
        something it names does not exist (2).
        """
        outcome: Future[Outcome] = Future()
        # An asker who went away cancels nothing: what was recorded is carried out.
        outcome.set_running_or_notify_cancel()
        if params.action not in ACTIONS or params.dry_run:
            what = "a dry run" if params.dry_run else repr(params.action)
            outcome.set_exception(
                Refusal(ExitCode.USAGE, f"A deployment cannot be asked for {what}.", "Ask for its plan.")
            )
            return outcome

        def recorded(done: Future[revisions.Request]) -> None:
            failure = done.exception()
            if failure is not None:
                outcome.set_exception(failure)
                return
            request = done.result()
            revision = request.revision
            settled: Future[Settled] | None = None
            if revision.phase.open:
                settled = self._executor.put(revision.deployment, revision.revision)
            if settled is None or not params.wait:
                outcome.set_result(_outcome(request, Settled(revision.phase, revision.message)))
            else:
                settled.add_done_callback(lambda end: _pass_on(end, request, outcome))

        self._database.writer.submit(
            lambda tx: revisions.request(tx, params, actor, self._target_name)
        ).add_done_callback(recorded)
        return outcome

    def perform(self, params: ActionParams, actor: Actor) -> Outcome:
        """`submit` and wait: for callers on threads of their own, never on the event loop."""
        return self.submit(params, actor).result()

    def start(self, every: float = OBSERVED_EVERY) -> None:
        """Reconcile in the background: now with the digests of what is served, then every so many seconds."""
        self._watching = threading.Thread(target=self._watch, args=(every,), name="reconcile", daemon=True)
        self._watching.start()

    def reconcile(self, verify: bool = True) -> Reconciled:
        """Take up open intents and compare every other deployment with its target; see `store.release.reconcile`.

        Without `verify` it costs a link and a small file per deployment, with it the hashing of the served
        bits. Blocks while it reads; resumed intents go on in the background.
        """
        resumed = reconcile.resume(self._database, self._executor)
        strayed = []
        for deployment, environment in self._database.reader.read(_all):
            if self._closing.is_set():
                break
            try:
                target = self._targets[self._environment(environment).target]
            except Refusal as refusal:
                log.warning("%s is not observed: %s", deployment, refusal.message)
                continue
            if reconcile.observe(self._database, self._executor, target, deployment, verify):
                strayed.append(deployment)
        return Reconciled(resumed, strayed)

    def close(self) -> None:
        """Stop carrying out; what is open stays recorded and is taken up by `reconcile` at the next start."""
        self._closing.set()
        if self._watching is not None:
            self._watching.join()
        self._executor.close()

    def _watch(self, every: float) -> None:
        verify = True
        while not self._closing.is_set():
            try:
                self.reconcile(verify)
            except Exception:
                # A store that cannot be read or written now may be again at the next round.
                log.exception("requested and observed were not compared")
            verify = False
            self._closing.wait(every)

    def _environment(self, name: str) -> EnvironmentSettings:
        environment = self._settings.environments.get(name)
        if environment is None:
            raise Refusal(
                ExitCode.USAGE,
                f"There is no environment {name[:128]!r}.",
                f"quarterdeck.toml has {', '.join(sorted(self._settings.environments))}.",
            )
        if environment.target not in self._targets:
            raise Refusal(
                ExitCode.USAGE,
                f"Environment {name!r} names the target {environment.target!r}, which there is not.",
                f"Known targets: {', '.join(sorted(self._targets))}.",
            )
        return environment

    def _target_name(self, environment: str) -> str:
        return self._environment(environment).target


def _all(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    return connection.execute(
        "SELECT DISTINCT deployment, environment FROM deployment_revision ORDER BY deployment"
    ).fetchall()


def _pass_on(end: Future[Settled], request: revisions.Request, outcome: Future[Outcome]) -> None:
    failure = end.exception()
    if failure is not None:
        outcome.set_exception(failure)
    else:
        outcome.set_result(_outcome(request, end.result()))


def _outcome(request: revisions.Request, settled: Settled) -> Outcome:
    revision = request.revision
    if settled.phase.open:
        message = f"recorded; {share(revision.versions)} is being applied"
    else:
        message = settled.message or f"{share(revision.versions)} is {settled.phase}"
    return Outcome(
        revision.action,
        revision.deployment,
        revision.revision,
        str(settled.phase),
        dict(request.before),
        dict(revision.versions),
        message,
        request.sequence,
        request.repeated,
        "" if settled.phase in (Phase.FAILED, Phase.ABORTED) else request.warning,
    )
