"""Topic: a value object that refuses what it cannot mean."""

from datetime import timedelta
from typing import Any

import pytest

from millstream import App, ConfigError, Record, Topic, TumblingWindow

WINDOW = TumblingWindow("10s", grace="0s")


def test_arguments_after_the_name_are_keyword_only() -> None:
    with pytest.raises(TypeError):
        Topic("readings", "device")  # type: ignore[call-arg]


def test_it_equals_another_with_the_same_rules() -> None:
    one = Topic("readings", fields=["ax", "ay"], idle_timeout="60s", max_future=timedelta(hours=1))
    assert one == Topic("readings", fields=("ax", "ay"), idle_timeout="1m")
    assert one != Topic("readings", fields=["ay", "ax"], idle_timeout="1m")


def test_its_repr_can_be_pasted() -> None:
    topic = Topic("readings", key="id", timestamp="ts", timestamp_unit="s", fields=["a.x"], idle_timeout=None)
    assert eval(repr(topic)) == topic


def test_it_cannot_be_changed() -> None:
    topic = Topic("readings")
    with pytest.raises(AttributeError):
        topic.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("name", ["", "a b", "a/b", ".", "..", "ü", "x" * 250, None, 3, b"readings"])
def test_a_name_that_kafka_would_refuse_is_refused(name: Any) -> None:
    with pytest.raises(ConfigError, match=r"Topic name=.*write the name of a Kafka topic"):
        Topic(name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": 3}, r"key=3: is an int.*name of a JSON field"),
        ({"key": ""}, r"key='': is empty"),
        ({"timestamp": "a..b"}, r"timestamp='a\.\.b': has an empty part.*dotted path"),
        ({"timestamp": "ts", "timestamp_unit": "minutes"}, r"timestamp_unit='minutes'.*\"ms\" or \"s\""),
        ({"timestamp_unit": "s"}, r"timestamp_unit='s'.*no field.*timestamp=\"ts\""),
        ({"fields": "ax"}, r"fields='ax': is not a list.*fields=\[\"ax\", \"ay\"\]"),
        ({"context": "site"}, r"context='site': is not a list.*context=\[\"site\"\]"),
        ({"context": ["a..b"]}, r"context\[0\]='a..b': has an empty part"),
        ({"dtype": "int8"}, r"dtype='int8': is not accepted; write \"float64\" or \"float32\""),
        ({"fields": {"ax"}}, r"fields=\{'ax'\}: is not a list"),
        ({"fields": ["ax", 3]}, r"fields\[1\]=3: is an int"),
        ({"fields": ["ax", "ax"]}, r"fields=.*names 'ax' twice.*once"),
        ({"missing": "skip"}, r"missing='skip'.*\"dead_letter\" or \"nan\""),
        ({"format": "avro"}, r"format='avro'.*\"json\""),
        ({"idle_timeout": 30}, r"idle_timeout=30: is a bare number.*\"30s\""),
        ({"idle_timeout": "0s"}, r"idle_timeout='0s': must be longer than zero"),
        ({"max_future": 3600}, r"max_future=3600: is a bare number"),
        ({"scattered": 1}, r"scattered=1: is an int, not a bool; write True or False"),
    ],
)
def test_a_wrong_argument_names_setting_value_and_fix(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=r"Topic\('readings'\) " + message):
        Topic("readings", **options)


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("key", "id"),
        ("timestamp", "ts"),
        ("missing", "nan"),
        ("idle_timeout", "31s"),
        ("max_future", None),
        ("scattered", True),
    ],
)
def test_declarations_of_one_topic_must_agree(rule: str, value: Any) -> None:
    app = App("app")
    for number, topic in enumerate([Topic("readings"), Topic("readings", **{rule: value})]):
        app.model(source=topic, window=WINDOW, sink=f"results.{number}", name=f"m{number}")(len)
    with pytest.raises(ConfigError, match=rf"Topic\('readings'\) {rule}=.*another declaration.*the same"):
        app.test({"readings": [Record({})]})
