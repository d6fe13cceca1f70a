"""The one process that owns a store: socket, writer, intake, monitor and release under one roof."""

__version__ = "0.1.0"
