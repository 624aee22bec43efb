"""Checks of single arguments, and the one shape of their refusal: setting, value, problem, fix."""

import re
from collections.abc import Collection
from typing import TypeVar

from millstream.errors import ConfigError

T = TypeVar("T", bound=str)

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_LONGEST_TOPIC = 249
_SHOWN = 80


def refusal(setting: str, value: object, problem: str, fix: str) -> ConfigError:
    """Return the error for a wrong argument, to be raised by the caller.

    Args:
        setting: What the user typed it as, with its owner: `App('activity') epoch`.
        value: What it was given; never a secret.
        problem: What is wrong with it.
        fix: What to write instead.
    """
    return ConfigError(f"{setting}={shown(value)}: {problem}; {fix}")


def shown(value: object) -> str:
    """Return `repr(value)` on one line of bearable length."""
    line = " ".join(repr(value).split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 3] + "..."


def text(setting: str, value: object, *, fix: str) -> str:
    """Return `value` where it is a string with something in it."""
    if not isinstance(value, str):
        raise refusal(setting, value, f"is {kind(value)}, not a string", fix)
    if not value.strip():
        raise refusal(setting, value, "is empty", fix)
    return value


def name(setting: str, value: object, *, longest: int = _LONGEST_TOPIC, fix: str) -> str:
    """Return `value` where it is made of the characters that Kafka allows in the name of a topic."""
    given = text(setting, value, fix=fix)
    if not _NAME.fullmatch(given) or given in {".", ".."}:
        raise refusal(setting, value, "may only hold letters of ASCII, digits and . _ -", fix)
    if len(given) > longest:
        raise refusal(setting, value, f"has {len(given)} characters, {longest} is the most", fix)
    return given


def choice(setting: str, value: object, options: Collection[T]) -> T:
    """Return the one of `options` that `value` is."""
    for option in options:
        if isinstance(value, str) and value == option:
            return option
    raise refusal(setting, value, "is not accepted", "write " + " or ".join(f'"{o}"' for o in options))


def flag(setting: str, value: object) -> bool:
    """Return `value` where it is True or False, and nothing that merely counts as such."""
    if not isinstance(value, bool):
        raise refusal(setting, value, f"is {kind(value)}, not a bool", "write True or False")
    return value


def count(setting: str, value: object, *, least: int = 1, most: int | None = None) -> int:
    """Return `value` where it is a whole number from `least` to `most`."""
    span = f"{least} or more" if most is None else f"{least} to {most}"
    fix = f"write a whole number, {span}"
    if isinstance(value, bool) or not isinstance(value, int):
        raise refusal(setting, value, f"is {kind(value)}, not a whole number", fix)
    if value < least or (most is not None and value > most):
        raise refusal(setting, value, "is out of range", fix)
    return value


def field_path(setting: str, value: object) -> str:
    """Return `value` where it is a path into a JSON object: names joined by dots."""
    fix = 'write the name of a JSON field, nested ones by dotted path: "sensor.ax"'
    path = text(setting, value, fix=fix)
    if not all(path.split(".")):
        raise refusal(setting, value, "has an empty part", fix)
    return path


def kind(value: object) -> str:
    """Return the type of `value` with its article: `an int`."""
    if value is None:
        return "None"
    word = type(value).__name__
    return f"{'an' if word[0] in 'aeiouAEIOU' else 'a'} {word}"
