"""The command `millstream`; each of its commands is imported when it is called."""

from importlib import import_module

import click

_COMMANDS = {
    name: f"millstream.cli.{name}"
    for name in (
        "backtest",
        "check",
        "dashboards",
        "demo",
        "dlq",
        "init",
        "inspect",
        "lag",
        "reset",
        "run",
    )
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(_COMMANDS[cmd_name]), cmd_name)
        return command


_EXAMPLE = """\b
Examples:
  millstream init activity
  millstream check pipeline:app
  millstream run pipeline:app

\b
Exit codes: 0 done, 1 refused or failed, 2 the command line or a setting is wrong."""


@click.group(cls=_LazyGroup, epilog=_EXAMPLE)
@click.version_option(package_name="millstream")
def main() -> None:
    """Run your Python model on every window of a Kafka stream."""
