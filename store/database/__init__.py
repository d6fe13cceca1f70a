"""The DuckDB file: opening and migrating it, the one writer, the readers, backup and restore."""

from store.database.database import Database
from store.database.layout import Layout
from store.database.writer import Actor, Entry, Transaction

__all__ = ["Actor", "Database", "Entry", "Layout", "Transaction"]
