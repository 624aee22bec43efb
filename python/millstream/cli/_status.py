"""Asks the status server of a running app."""

import json
import os
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import click

from millstream import _web
from millstream.cli._errors import Mistake

_TIMEOUT_S = 10.0
_LONGEST_REFUSAL = 500


def ask(url: str, path: str) -> Any:
    """Return what a path of the server says in JSON.

    Raises:
        Mistake: `url` is none.
        click.ClickException: Nothing answers there, or it refuses.
    """
    base = url.rstrip("/")
    if "@" in base:
        raise Mistake(
            "--url holds a user or a password; leave them out, and set MILLSTREAM_WEB_TOKEN to the token"
        )
    if not _is_url(base):
        raise Mistake(f"--url {url!r} is no URL; write http://{_web.DEFAULT}")
    token = os.environ.get("MILLSTREAM_WEB_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        # Straight to it: it is a server of one's own, and mostly on this machine.
        with build_opener(ProxyHandler({})).open(
            Request(base + path, headers=headers), timeout=_TIMEOUT_S
        ) as said:
            return json.load(said)
    except HTTPError as refusal:
        with refusal:
            text = refusal.read(_LONGEST_REFUSAL).decode("utf-8", "replace")
        raise click.ClickException(f"{base} answers {refusal.code}: {text}") from None
    except (URLError, OSError) as error:
        why = error.reason if isinstance(error, URLError) else error
        raise click.ClickException(
            f"no status page answers at {base}: {why}; is the app running, and is this the URL that it said?"
        ) from None
    except ValueError:
        raise click.ClickException(f"what answers at {base} is no status page of Millstream") from None


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        # Reading the port checks it.
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
