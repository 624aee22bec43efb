"""`App.test()` at its edges: Records in, as the engine takes them; the engine's output as Records."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from millstream import _check
from millstream._durations import duration_ms
from millstream._records import Advance, Record, decode_value, encode_value

_Item: TypeAlias = (
    tuple[str, int, bytes | None, bytes | None, int | None, list[tuple[str, bytes]]] | tuple[str, int]
)
_OutRecord: TypeAlias = tuple[int, int, bytes | None, bytes | None, int, list[tuple[str, bytes]]]


def encode_topics(topics: object, plan: Mapping[str, Any]) -> list[tuple[str, list[_Item]]]:
    """Return what is fed, checked, in the order of the dict.

    Raises:
        ConfigError: No dict of lists of Record and Advance, or a topic that no model reads.
    """
    fix = 'write app.test({"readings": [Record({"ax": 1.0}, key="a", timestamp=0)]})'
    if not isinstance(topics, Mapping):
        raise _check.refusal("App.test() topics", topics, "is not a dict", fix)
    sources = [source["topic"] for source in plan["sources"]]
    fed = []
    for topic, items in topics.items():
        if topic not in sources:
            problem = "is read by no model of this app"
            raise _check.refusal("App.test() topic", topic, problem, f"feed one of {sources}")
        if isinstance(items, str | bytes) or not isinstance(items, Sequence):
            raise _check.refusal(f"App.test() topic {topic!r}", items, "is not a list", fix)
        fed.append((topic, [_item(f"App.test() {topic!r}[{i}]", item) for i, item in enumerate(items)]))
    return fed


def decode_topics(
    out: Mapping[str, Sequence[_OutRecord]], plan: Mapping[str, Any]
) -> dict[str, list[Record]]:
    """Return the output by topic: every sink, the dead-letter topic and, where used, the late topic."""
    topics = [model["sink"] for model in plan["models"]]
    topics.append(plan["dead_letter_topic"])
    if any(model["late"] == "topic" for model in plan["models"]):
        topics.append(plan["late_topic"])
    return {
        topic: [
            Record(decode_value(value), key=key, timestamp=timestamp, partition=partition, headers=headers)
            for partition, _, key, value, timestamp, headers in out.get(topic, ())
        ]
        for topic in dict.fromkeys(topics)
    }


def _item(setting: str, item: object) -> _Item:
    if isinstance(item, Advance):
        return ("advance", duration_ms(setting, item.by))
    if not isinstance(item, Record):
        fix = 'write Record({"ax": 1.0}, key="a", timestamp=0) or Advance("1m")'
        raise _check.refusal(setting, item, "is neither a Record nor an Advance", fix)
    key = item.key.encode() if isinstance(item.key, str) else item.key
    return ("record", item.partition, key, encode_value(item.value), item.timestamp, list(item.headers))
