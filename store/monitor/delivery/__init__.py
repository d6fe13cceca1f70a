"""Messages about alerts: queued with the alert itself, delivered through apprise by a worker, every try recorded."""
