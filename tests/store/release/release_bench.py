"""A store with the real local target, and shorthands for what the tests of releases do to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from store.catalog import models
from store.catalog.manifest import parse
from store.catalog.objects import Objects, digest_of
from store.database import Actor, Database, Layout, times
from store.governance.journal import Journal
from store.protocol import ActionParams, Outcome
from store.release.actions import Releases
from store.release.listings import DeploymentRow, deployment_row
from store.release.targets import Intent, Observation, Step
from store.release.targets.local import LocalTarget
from store.settings import Settings

ALICE = Actor("alice", "cli")
DEPLOYMENT = "flight-delay@production"


class Killed(BaseException):
    """Stands for `kill -9`: nothing in the agent catches it to clean up."""


class WatchedTarget:
    """The real local target, with a hook before each of its steps and before its reading back."""

    point_of_no_return = LocalTarget.point_of_no_return

    def __init__(self, inner: LocalTarget) -> None:
        self.inner = inner
        self.hooks: dict[str, Callable[[], None]] = {}
        self.steps: list[str] = []

    def apply(self, intent: Intent, step: Step) -> None:
        def watched(name: str) -> None:
            step(name)
            self.steps.append(name)
            self.hooks.get(name, lambda: None)()

        self.inner.apply(intent, watched)

    def observe(self, deployment: str, verify: bool) -> Observation:
        self.hooks.get("observe", lambda: None)()
        return self.inner.observe(deployment, verify)


class Bench:
    """One store, its releases, and shorthands for what the tests do to them."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.layout.create()
        self.database = Database.open(self.layout.database, Journal)
        self.objects = Objects(self.layout.objects)
        self.target = self._target()
        self.releases = self._releases()

    def _target(self) -> WatchedTarget:
        objects = self.objects
        return WatchedTarget(
            LocalTarget(
                self.layout.targets, lambda digest: objects.path(digest) if objects.holds(digest) else None, digest_of
            )
        )

    def _releases(self) -> Releases:
        return Releases(self.database, Settings(), self.objects, {"local": self.target})

    def restart(self) -> None:
        """Releases and target anew over the same store, as after the death of the agent."""
        self.releases.close()
        self.target = self._target()
        self.releases = self._releases()

    def settle(self) -> list[str]:
        """Reconcile and wait for what it took up; the deployments that were found astray."""
        reconciled = self.releases.reconcile()
        for future in reconciled.resumed:
            future.result(timeout=30)
        return reconciled.strayed

    def register(self, *versions: str, model: str = "flight-delay", with_bits: bool = True) -> dict[str, str]:
        digests = {}
        for version in versions:
            folder = self.layout.root / "made" / model / version
            folder.mkdir(parents=True)
            (folder / "model.json").write_text(
                json.dumps({"model": model, "version": version, "artifact": "model.skops"})
            )
            (folder / "model.skops").write_text(f"bits of {version}")
            digest, size, files = self.objects.keep(folder) if with_bits else ("", 0, 0)
            manifest = parse((folder / "model.json").read_bytes())
            arrival = models.VersionArrival(manifest, digest, size, files, "", "", "", "", times.now())
            self.database.writer.change(lambda tx, arrival=arrival: models.register(tx, arrival, ALICE))
            digests[version] = digest
        return digests

    def act(
        self,
        action: str,
        version: str = "",
        *,
        expect: int | None = None,
        subject: str = DEPLOYMENT,
        request_id: str = "",
        wait: bool = True,
        actor: Actor = ALICE,
        reason: str = "because",
    ) -> Outcome:
        params = ActionParams(
            action,
            subject,
            version,
            reason,
            expect,
            request_id=request_id,
            wait=wait,  # type: ignore[arg-type]
        )
        return self.releases.submit(params, actor).result(timeout=30)

    def row(self, deployment: str = DEPLOYMENT) -> DeploymentRow:
        row = self.database.reader.read(lambda connection: deployment_row(connection, deployment))
        assert row is not None
        return row

    def current(self, deployment: str = DEPLOYMENT) -> Path:
        return self.target.inner.folder(deployment) / "current"

    def served_bits(self, deployment: str = DEPLOYMENT) -> str:
        return (self.current(deployment).resolve() / "model" / "model.skops").read_text()

    def phases(self, deployment: str = DEPLOYMENT) -> list[str]:
        sql = "SELECT phase FROM deployment_revision_at('infinity'::TIMESTAMP) WHERE deployment = ? ORDER BY revision"
        return [
            row[0]
            for row in self.database.reader.read(lambda connection: connection.execute(sql, [deployment]).fetchall())
        ]

    def close(self) -> None:
        self.releases.close()
        self.database.close()
