"""What is remembered of references: bounded, and the same for every thread."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

from store.monitor.cache import Cache


@pytest.fixture
def hurried() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def made(cache: Cache[str], *keys: str) -> list[str]:
    """Those of the keys whose value was not remembered."""
    new: list[str] = []
    for key in keys:
        assert cache.get(key, lambda key=key: new.append(key) or key) == key
    return new


def test_a_value_is_made_once() -> None:
    cache: Cache[str] = Cache(2)
    assert made(cache, "a", "b", "a", "b") == ["a", "b"]


def test_what_was_asked_for_longest_ago_is_forgotten_and_nothing_else() -> None:
    cache: Cache[str] = Cache(3)
    assert made(cache, "a", "b", "c", "a", "d") == ["a", "b", "c", "d"]
    assert len(cache) == 3
    assert made(cache, "a", "c", "d", "b") == ["b"]


def test_a_value_is_given_though_it_was_forgotten_while_it_was_made() -> None:
    cache: Cache[str] = Cache(1)

    def others() -> str:
        cache.clear()
        made(cache, "b", "c")
        return "a"

    assert cache.get("a", others) == "a"
    assert len(cache) == 1


def test_threads_that_forget_one_anothers_values_get_theirs(hurried: None) -> None:
    cache: Cache[str] = Cache(4)
    wrong: list[BaseException] = []

    def ask(first: int) -> None:
        try:
            made(cache, *(str((first + number) % 9) for number in range(3_000)))
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(cache) == 4
