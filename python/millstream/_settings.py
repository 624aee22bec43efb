"""What an App is set to: checked, with the environment taken over what the code says, secrets kept back.

Environment: `MILLSTREAM_BROKERS`, `MILLSTREAM_GROUP_ID`, `MILLSTREAM_MAX_STATE_BYTES`,
`MILLSTREAM_MAX_KEYS`, `MILLSTREAM_MAX_EVENTS_PER_KEY`, those of the status page (`MILLSTREAM_WEB`,
`MILLSTREAM_WEB_HOSTS`, `MILLSTREAM_WEB_TOKEN`), and `MILLSTREAM_KAFKA__<NAME>` for librdkafka
settings, where the name is in capitals with `_` for `.`: `MILLSTREAM_KAFKA__SASL_PASSWORD` is
`sasl.password`. A variable that is empty counts as not set.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from millstream import _check
from millstream._durations import Duration, duration_ms
from millstream._sizes import size_bytes

Guarantee = Literal["exactly_once", "at_least_once"]
Start = Literal["earliest", "latest"]

EMBEDDED = "embedded"
_HOST = re.compile(
    r"((PLAINTEXT|SSL|SASL_PLAINTEXT|SASL_SSL)://)?(\[[0-9A-Fa-f:.]+\]|[^\s:/,@\[\]]+)(:[0-9]{1,5})?"
)
_NAME_OF_SETTING = re.compile(r"[A-Za-z0-9._-]+")
_USER_INFO = re.compile(r"[^/,]*@")
_BROKERS_FIX = 'write "host:port", several as "host1:9092,host2:9092", or "embedded"'
_ENV_KAFKA = "MILLSTREAM_KAFKA__"
# Names, not values, decide: whatever is not listed here may be a secret.
_NOT_SECRET = frozenset(
    {
        "client.id",
        "client.rack",
        "compression.type",
        "debug",
        "group.instance.id",
        "linger.ms",
        "sasl.mechanism",
        "sasl.mechanisms",
        "security.protocol",
        "session.timeout.ms",
    }
)
# `.dead-letter` has to fit behind it in the name of a topic.
_LONGEST_APP_NAME = 200
_MOST_LANES = 64
_HIGHEST_PORT = 65_535
_MOST_BITS = 64


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of an App after checks, environment and defaults."""

    name: str
    brokers: str
    guarantee: Guarantee
    group_id: str
    kafka: Mapping[str, str] = field(repr=False)
    lanes: int
    epoch_ms: int | None
    start: Start
    create_topics: bool
    dead_letter_topic: str
    late_topic: str
    drain_timeout_ms: int
    max_inflight_bytes: int
    max_state_bytes: int | None
    max_keys: int | None
    max_events_per_key: int | None

    def safe_kafka(self) -> dict[str, str]:
        """Return the librdkafka settings for people's eyes: `***` for all that may be secret."""
        return {key: value if key in _NOT_SECRET else "***" for key, value in self.kafka.items()}


def resolve(
    name: str,
    *,
    brokers: str,
    guarantee: Guarantee | None,
    group_id: str | None,
    kafka: Mapping[str, str | int | float | bool] | None,
    lanes: int,
    epoch: Duration,
    start: Start,
    create_topics: bool,
    dead_letter_topic: str | None,
    late_topic: str | None,
    drain_timeout: Duration,
    max_inflight_bytes: str | int,
    max_state_bytes: str | int | None,
    max_keys: int | None,
    max_events_per_key: int | None,
    environment: Mapping[str, str],
) -> Settings:
    """Check the arguments of an App and put the environment over them.

    Raises:
        ConfigError: An argument or a variable is of a wrong type or value.
    """
    _check.name("App name", name, longest=_LONGEST_APP_NAME, fix='write a name: App("activity")')
    owner = f"App({name!r})"
    servers = _brokers(owner, brokers, environment)
    return Settings(
        name=name,
        brokers=servers,
        guarantee=_guarantee(f"{owner} guarantee", guarantee, servers),
        group_id=_group_id(owner, name if group_id is None else group_id, environment),
        kafka=_kafka(f"{owner} kafka", kafka, environment),
        lanes=_check.count(f"{owner} lanes", lanes, most=_MOST_LANES),
        epoch_ms=None if isinstance(epoch, str) and epoch == "auto" else duration_ms(f"{owner} epoch", epoch),
        start=_check.choice(f"{owner} start", start, get_args(Start)),
        create_topics=_check.flag(f"{owner} create_topics", create_topics),
        dead_letter_topic=_topic(f"{owner} dead_letter_topic", dead_letter_topic, f"{name}.dead-letter"),
        late_topic=_topic(f"{owner} late_topic", late_topic, f"{name}.late"),
        drain_timeout_ms=duration_ms(f"{owner} drain_timeout", drain_timeout),
        max_inflight_bytes=size_bytes(f"{owner} max_inflight_bytes", max_inflight_bytes),
        max_state_bytes=_limit(owner, "max_state_bytes", max_state_bytes, environment, size_bytes),
        max_keys=_limit(owner, "max_keys", max_keys, environment, _check.count),
        max_events_per_key=_limit(owner, "max_events_per_key", max_events_per_key, environment, _check.count),
    )


def _brokers(owner: str, value: object, environment: Mapping[str, str]) -> str:
    setting = f"{owner} brokers"
    if environment.get("MILLSTREAM_BROKERS"):
        setting, value = "MILLSTREAM_BROKERS", environment["MILLSTREAM_BROKERS"]
    servers = _check.text(setting, value, fix=_BROKERS_FIX)
    hosts = [host.strip() for host in servers.split(",")]
    for host in hosts:
        found = _HOST.fullmatch(host)
        if found is None or not found[3].isprintable() or not _is_port(found[4]):
            # Some write user and password before the host, as in URLs.
            safe = _USER_INFO.sub("***@", host)
            shown = _USER_INFO.sub("***@", servers)
            raise _check.refusal(setting, shown, f"{safe!r} is no broker's address", _BROKERS_FIX)
    return ",".join(hosts)


def _is_port(written: str | None) -> bool:
    return written is None or 0 < int(written[1:]) <= _HIGHEST_PORT


def _guarantee(setting: str, value: object, brokers: str) -> Guarantee:
    if value is None:
        return "at_least_once" if brokers == EMBEDDED else "exactly_once"
    guarantee: Guarantee = _check.choice(setting, value, get_args(Guarantee))
    if guarantee == "exactly_once" and brokers == EMBEDDED:
        raise _check.refusal(
            setting,
            value,
            'needs transactions, which brokers="embedded" does not have',
            "leave guarantee out there, or name a Kafka cluster",
        )
    return guarantee


def _group_id(owner: str, value: object, environment: Mapping[str, str]) -> str:
    setting = f"{owner} group_id"
    if environment.get("MILLSTREAM_GROUP_ID"):
        setting, value = "MILLSTREAM_GROUP_ID", environment["MILLSTREAM_GROUP_ID"]
    return _check.printable(setting, value, fix="write the name of a consumer group, or leave it out")


def _limit(
    owner: str,
    name: str,
    value: object,
    environment: Mapping[str, str],
    check: Callable[[str, object], int],
) -> int | None:
    setting, variable = f"{owner} {name}", f"MILLSTREAM_{name.upper()}"
    if environment.get(variable):
        setting, value = variable, _check.whole(environment[variable].strip())
    return None if value is None else check(setting, value)


def _topic(setting: str, value: object, default: str) -> str:
    if value is None:
        return default
    return _check.name(setting, value, fix=f"write the name of a topic, or leave it out for {default!r}")


def _kafka(setting: str, value: object, environment: Mapping[str, str]) -> Mapping[str, str]:
    settings: dict[str, str] = {}
    if value is not None:
        if not isinstance(value, Mapping):
            raise _check.refusal(
                setting,
                _Redacted(),
                f"is {_check.kind(value)}, not a dict",
                'write librdkafka settings: kafka={"security.protocol": "SASL_SSL"}',
            )
        settings.update({_key(setting, key): _plain(f"{setting}[{key!r}]", key, value[key]) for key in value})
    for variable in sorted(environment):
        if variable.startswith(_ENV_KAFKA) and environment[variable]:
            key = variable.removeprefix(_ENV_KAFKA).lower().replace("_", ".")
            settings[key] = _plain(variable, key, environment[variable])
    return settings


def _key(setting: str, key: object) -> str:
    fix = 'write the name of a librdkafka setting: "sasl.username"'
    if not isinstance(key, str) or not _NAME_OF_SETTING.fullmatch(key):
        # Some write name and value into one.
        problem = (
            "is no name of a setting" if isinstance(key, str) else f"is {_check.kind(key)}, not a string"
        )
        raise _check.refusal(f"{setting} key", _Redacted(), problem, fix)
    return key


def _plain(setting: str, key: str, value: object) -> str:
    secret = value if key in _NOT_SECRET else _Redacted()
    fix = "write a string, a number or a bool"
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise _check.refusal(setting, secret, f"is {_check.kind(value)}", fix)
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise _check.refusal(setting, secret, "is out of range", fix)
    given = str(value)
    if "\0" in given or not _check.is_unicode(given):
        raise _check.refusal(setting, secret, "holds a NUL or half of a surrogate pair", fix)
    return given


class _Redacted:
    def __repr__(self) -> str:
        return "***"
