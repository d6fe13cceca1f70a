"""The rooms of one store, opened in order and closed in reverse."""

from __future__ import annotations

import logging
from collections.abc import Callable

from store.agent import fleet
from store.agent.estimating import Estimating
from store.agent.judging import Judging
from store.agent.scheduler import Scheduler
from store.agent.upkeep import Upkeep
from store.catalog import listings as catalog_listings
from store.catalog.listing import Listings
from store.catalog.objects import Objects
from store.database import Layout
from store.database.recovery import open_store
from store.database.tip import TipFile
from store.governance.journal import Journal
from store.intake import quarantine
from store.intake.intake import Intake
from store.monitor.delivery.courier import Courier
from store.monitor.listings import listings as monitor_listings
from store.monitor.multivariate import Comparing
from store.monitor.rules import compiled
from store.monitor.workers import process as workers
from store.protocol import Progress
from store.release.actions import Releases
from store.release.listings import listings as release_listings
from store.settings import Settings

log = logging.getLogger(__name__)


class Rooms:
    """What the service works with. Raises `Refusal` where the store cannot be opened whole; with `accept_loss` it
    goes on without what is lost."""

    def __init__(
        self,
        layout: Layout,
        settings: Settings,
        on_progress: Callable[[Progress], None],
        accept_loss: bool = False,
    ) -> None:
        self.layout = layout
        self.settings = settings
        self.not_started: list[str] = []
        """What failed at the start, for `doctor`: the agent goes on without it."""
        self.objects = Objects(layout.objects)
        rules = compiled(settings.monitor, settings.alerts)
        self.database = open_store(layout, Journal, accept_loss)
        recorder = self.database.recorder
        assert isinstance(recorder, Journal)
        self.journal = recorder
        self._tip = TipFile(layout.tip)
        if not self.database.read_only:
            self._tip.write(recorder.tip)
            self.database.listen(lambda _topics, _at: self._tip.write(recorder.tip))
        self.judging = Judging(self.database, settings.monitor, settings.alerts, rules)
        self.scheduler = Scheduler(self.database, settings.alerts, rules)
        self.upkeep = Upkeep(self.database, settings.monitor)
        self.courier = Courier(self.database, settings.alerts)
        self.comparing = Comparing(layout, settings.monitor)
        self.estimating = Estimating(self.database, layout, settings.monitor)
        self.releases = Releases.for_store(
            self.database, layout, settings, self.objects, fleet.insight(settings.monitor)
        )
        self.intake = Intake(self.database, settings, layout, on_progress)
        self.listings = Listings(
            [
                *catalog_listings.listings(settings.runs.silent_seconds),
                *release_listings(),
                *monitor_listings(settings.monitor),
                fleet.listing(settings.monitor),
                quarantine.QUARANTINE,
            ]
        )

    def start(self) -> None:
        """Bring requested and observed together, then let files in. A room that cannot start holds up no other."""
        before = [self.releases.start, self.judging.start, self.estimating.start, self.courier.start]
        steps: list[Callable[[], object]] = [self.intake.start]
        if not self.database.read_only:
            steps = [*before, *steps, self.scheduler.start, self.upkeep.start]
        for step in steps:
            try:
                step()
            except Exception as error:
                log.exception("%s did not start; the agent serves what it can", step.__module__)
                self.not_started.append(f"{step.__module__}: {error}")

    def close(self) -> None:
        self.scheduler.close()
        self.judging.close()
        self.upkeep.close()
        self.courier.stop()
        self.estimating.close()
        workers.stop_all()
        self.courier.close()
        self.intake.stop()
        self.releases.close()
        self.database.close()
        self._tip.close()
