"""Keeps the environment of whoever runs the tests out of them."""

import os

import pytest


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in list(os.environ):
        if variable.startswith("MILLSTREAM_"):
            monkeypatch.delenv(variable)
