"""For all tests: their order, and SIGINT, which children of a shell's background inherit as ignored."""

import signal

import pytest

# Of files that run side by side, those that take the longest begin first: none is left over at the end.
LONGEST = [
    "test_torture.py",
    "test_rebalance.py",
    "test_dlq.py",
    "test_settings.py",
    "test_crash.py",
    "test_process_pool.py",
    "test_broker_away.py",
    "test_failures.py",
    "test_events.py",
    "test_until_end.py",
    "test_logging.py",
    "test_reset.py",
]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take the longest first, and leave the others as they are."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))
