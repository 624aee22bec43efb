"""Checks of single arguments, and the one shape of their refusal: setting, value, problem, fix."""

import re
from collections.abc import Collection
from typing import TypeVar

from millstream.errors import ConfigError

T = TypeVar("T", bound=str)

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_WHOLE = re.compile(r"-?[0-9]{1,30}")
_LONGEST_TOPIC = 249
_SHOWN = 80
# What the engine counts with.
_HIGHEST = (1 << 63) - 1


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
    try:
        line = " ".join(repr(value).split())
    except Exception:
        # Such as an int of more digits than Python writes.
        line = f"<{type(value).__name__}>"
    return line if len(line) <= _SHOWN else line[: _SHOWN - 3] + "..."


def text(setting: str, value: object, *, fix: str) -> str:
    """Return `value` where it is a string with something in it."""
    if not isinstance(value, str):
        raise refusal(setting, value, f"is {kind(value)}, not a string", fix)
    if not value.strip():
        raise refusal(setting, value, "is empty", fix)
    if not is_unicode(value):
        raise refusal(setting, value, "holds half of a surrogate pair, so it is no text", fix)
    return value


def is_unicode(value: str) -> bool:
    """Return whether `value` can be written as UTF-8."""
    return not any("\ud800" <= char <= "\udfff" for char in value)


def printable(setting: str, value: object, *, fix: str) -> str:
    """Return `value` where it is text without characters that steer a terminal or end a string in C."""
    given = text(setting, value, fix=fix)
    if not given.isprintable():
        raise refusal(setting, value, "holds characters that cannot be printed", fix)
    return given


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
    highest = _HIGHEST if most is None else most
    plainly = most is None and not (isinstance(value, int) and value > highest)
    fix = f"write a whole number, {least} " + ("or more" if plainly else f"to {highest}")
    if isinstance(value, bool) or not isinstance(value, int):
        raise refusal(setting, value, f"is {kind(value)}, not a whole number", fix)
    if not least <= value <= highest:
        raise refusal(setting, value, "is out of range", fix)
    return value


def whole(text: str) -> int | str:
    """Return the whole number that a text is; the text itself where it is none, to be refused."""
    return int(text) if _WHOLE.fullmatch(text) else text


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
    # NumPy has a bool of its own, which is none.
    word = type(value).__name__ if type(value).__module__ != "numpy" else f"numpy.{type(value).__name__}"
    return f"{'an' if word[0] in 'aeiouAEIOU' else 'a'} {word}"
