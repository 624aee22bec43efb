"""Options that several commands have."""

import click

params_option = click.option(
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="Given to load(self, params), as JSON or text; may be repeated.",
)
