"""The App that `module:app` on a command line means, as an argument of a command or after `-A`."""

import functools
import importlib
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

import click

from millstream import App, _check
from millstream.cli._errors import Mistake

_log = logging.getLogger("millstream.kafka")


def app_argument(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the argument MODULE:APP, which may stand after `-A` too; it is passed as `target`."""

    @click.argument("target", metavar="MODULE:APP", required=False)
    @click.option(
        "-A", "--app", "app_option", metavar="MODULE:APP", help="The App, in place of the argument."
    )
    @functools.wraps(command)
    def with_target(*, target: str | None, app_option: str | None, **options: Any) -> None:
        if target is not None and app_option is not None:
            raise click.UsageError("MODULE:APP is given twice, as an argument and after -A; give it once")
        given = app_option if target is None else target
        if given is None:
            raise click.UsageError(
                'MODULE:APP is missing; write it, as in "activity:app" or "-A activity:app"'
            )
        command(target=given, **options)

    return with_target


def load_app(target: str) -> App:
    """Import `module:app`, looking in the current directory first.

    Args:
        target: A module and the name of an App in it; both may be dotted.

    Raises:
        Mistake: There is no such module, or no App of that name in it. What the module itself raises while it
            is imported passes.
    """
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute:
        raise Mistake(f'{target!r} is no App; write module:app, as in "millstream run activity:app"')
    if not all(module_name.split(".")):
        raise Mistake(
            f"{module_name!r} is no module; write its name from here on: activity, or models.activity"
        )
    if module_name.endswith(".py") or "/" in module_name:
        module = os.path.basename(module_name).removesuffix(".py")
        raise Mistake(f"{module_name!r} is a file; write its module: {module}:{attribute}")
    _quieten()
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    found: object = _import(module_name)
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise Mistake(f"module {module_name!r} has no {attribute!r}; name the App after the colon")
        found = getattr(found, part)
    if not isinstance(found, App):
        raise Mistake(f"{target!r} is {_check.kind(found)}, not an App; name the App after the colon")
    return found


def _quieten() -> None:
    """Keep librdkafka's own words off the terminal: what matters of them is in the error that ends a command.

    `millstream run`, which says more as it goes on, sets logging up itself.
    """
    _log.addHandler(logging.NullHandler())


def _import(module_name: str) -> object:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # A missing import of the module's own is not a mistake on the command line.
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise Mistake(
                f"there is no module {module_name!r} in {os.getcwd()} or where Python is installed"
            ) from None
        raise
