"""From the shell prompt to the first frame: asks the agent first, then imports Textual while it answers."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from console.link import Client, open_socket
from store.protocol import HelloParams, ListParams, Page, Refusal

#: The listing that the first view shows.
FIRST_LISTING = ListParams("deployments", limit=64)
#: Seconds that the first frame waits for its data; after that it is painted without.
PATIENCE = 0.5


@dataclass(frozen=True)
class Opening:
    """A greeted connection, and the first view's page when it came in time."""

    client: Client
    page: Page | None


def launch(store: Path, view: str = "fleet", awaits: str = "", news: Callable[[], str] | None = None) -> int:
    """Open the console on `store`; returns the exit status. Raises `Refusal` when no agent can be had.

    `view` is where it opens, `awaits` what it says while nothing is deployed, `news` gives what is to be
    told of who else works on the store. Starts an agent in the background when
    none runs.
    """
    # Nothing becomes garbage before the first frame; the app turns the collector on again behind it.
    gc.disable()
    try:
        client = Client(store, open_socket(store))
    except Refusal as refusal:
        if "errno" not in refusal.detail:
            raise
        client = Client.connect(store, client="console")
        greeting = None
    else:
        greeting = client.post("hello", HelloParams(client="console"))
    listing = client.post("list", FIRST_LISTING)

    # The slow part, while the agent answers.
    from console.app import ConsoleApp

    if greeting is not None:
        client.greeted(greeting)
    page: Page | None
    try:
        page = client.take(listing, PATIENCE)
    except (TimeoutError, Refusal):
        page = None
    app = ConsoleApp(Opening(client, page), view=view, awaits=awaits, news=news)
    try:
        app.run()
    finally:
        client.close()
    return app.return_code or 0
