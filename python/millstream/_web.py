"""Where the status page of an app is, and who may see it.

Environment: `MILLSTREAM_WEB` ("host:port", or "off"), `MILLSTREAM_WEB_TOKEN` (what requests must carry), and
`MILLSTREAM_WEB_HOSTS` (more names that the Host header may have, joined by commas).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from millstream import _check
from millstream._settings import Settings

DEFAULT = "127.0.0.1:6066"
OFF = "off"
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+):([0-9]{1,5})")
_FIX = f'write "host:port", such as "{DEFAULT}"'
_HIGHEST_PORT = 65_535


@dataclass(frozen=True)
class Web:
    """The address of a status page, what requests must carry, and which names it goes by."""

    address: str
    token: str | None = field(repr=False)
    hosts: tuple[str, ...]

    def to_json(self, settings: Settings) -> str:
        """Return what the engine is told, with the settings that the page shows: no secret among them."""
        shown = {**asdict(settings), "kafka": settings.safe_kafka(), "web": self.address}
        return json.dumps(
            {"address": self.address, "token": self.token, "hosts": self.hosts, "settings": shown}
        )


def resolve(setting: str, value: object, environment: Mapping[str, str]) -> Web | None:
    """Return where the page is to be, with the environment taken over `value`; None for no page.

    Raises:
        ConfigError: It is no address.
    """
    if environment.get("MILLSTREAM_WEB"):
        setting, value = "MILLSTREAM_WEB", environment["MILLSTREAM_WEB"].strip()
        if value == OFF:
            return None
    return None if value is None else at(setting, value, environment)


def at(setting: str, value: object, environment: Mapping[str, str]) -> Web:
    """Return a page at this address.

    Raises:
        ConfigError: It is no address.
    """
    address = _check.text(setting, value, fix=_FIX)
    found = _ADDRESS.fullmatch(address)
    if found is None or int(found[2]) > _HIGHEST_PORT:
        raise _check.refusal(setting, address, "is no address", _FIX)
    hosts = (name.strip() for name in environment.get("MILLSTREAM_WEB_HOSTS", "").split(","))
    return Web(
        address, environment.get("MILLSTREAM_WEB_TOKEN") or None, tuple(name for name in hosts if name)
    )
