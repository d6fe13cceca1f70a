"""What is worked out once of each reference, remembered for as many of them as are likely to be in use."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")

#: References of which something is remembered.
REFERENCES = 256


class Cache(Generic[Value]):
    """Values by key, `most` of them: past that, the one goes that was asked for longest ago. For any thread."""

    def __init__(self, most: int = REFERENCES) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._values: OrderedDict[str, Value] = OrderedDict()

    def get(self, key: str, make: Callable[[], Value]) -> Value:
        """The value of `key`, made where none is remembered; by two threads at once it may be made twice."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        # Without the lock: making one reads the store, and holds up nobody who asks for another.
        made = make()
        with self._lock:
            self._values[key] = made
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)
        return made

    def clear(self) -> None:
        with self._lock:
            self._values.clear()

    def __len__(self) -> int:
        return len(self._values)
