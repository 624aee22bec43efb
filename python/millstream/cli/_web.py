"""Which status page a command serves: by the command line, then the environment, the code, the default."""

import os

from millstream import App, _web
from millstream.cli._errors import Mistake


def serve(app: App, address: str | None, *, off: bool = False) -> None:
    """Let runs of `app` serve a page at `address`.

    Args:
        app: The app.
        address: What the command line says; None is nothing.
        off: Serve none.

    Raises:
        Mistake: The command line asks for a page and for none.
        ConfigError: It is no address.
    """
    if off:
        if address is not None:
            raise Mistake("--web and --no-web contradict each other; write one of them")
        app._web = None
    elif address is not None:
        app._web = _web.at("--web", address, os.environ)
    elif app._web is None and os.environ.get("MILLSTREAM_WEB", "").strip() != _web.OFF:
        app._web = _web.at("--web", _web.DEFAULT, os.environ)
