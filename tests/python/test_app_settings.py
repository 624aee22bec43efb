"""App settings: defaults, environment over code, and refusals that never show a secret."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from millstream import App, ConfigError


def settings(name: str = "activity", **options: Any) -> Any:
    return App(name, **options)._settings


def test_everything_but_the_name_has_a_default() -> None:
    said = settings()
    assert (said.brokers, said.guarantee, said.group_id) == ("localhost:9092", "exactly_once", "activity")
    assert (said.dead_letter_topic, said.late_topic) == ("activity.dead-letter", "activity.late")
    assert (said.lanes, said.epoch_ms, said.start, said.create_topics) == (1, 100, "earliest", True)
    assert (said.drain_timeout_ms, said.max_inflight_bytes) == (20_000, 256 << 20)


def test_an_epoch_may_find_its_own_length() -> None:
    assert settings(epoch="auto").epoch_ms is None


def test_arguments_after_the_name_are_keyword_only() -> None:
    with pytest.raises(TypeError):
        App("activity", "localhost:9092")  # type: ignore[call-arg]


def test_the_embedded_broker_is_at_least_once_and_refuses_to_claim_more() -> None:
    assert settings(brokers="embedded").guarantee == "at_least_once"
    with pytest.raises(ConfigError, match=r"guarantee='exactly_once'.*embedded.*leave guarantee out"):
        App("activity", brokers="embedded", guarantee="exactly_once")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"brokers": ["a:9092"]}, r"brokers=\['a:9092'\]: is a list.*\"host1:9092,host2:9092\""),
        ({"brokers": ""}, r"brokers='': is empty"),
        ({"brokers": "kafka://localhost:9092"}, r"brokers='kafka://localhost:9092'.*\"host:port\""),
        ({"brokers": "a:9092,,b:9092"}, r"brokers='a:9092,,b:9092': ''"),
        ({"guarantee": "exactly-once"}, r"guarantee='exactly-once'.*\"exactly_once\" or \"at_least_once\""),
        ({"group_id": ""}, r"group_id='': is empty; write the name"),
        ({"group_id": 7}, r"group_id=7: is an int"),
        ({"lanes": 0}, r"lanes=0: is out of range; write a whole number, 1 to 64"),
        ({"lanes": True}, r"lanes=True: is a bool"),
        ({"lanes": "2"}, r"lanes='2': is a str"),
        ({"epoch": 100}, r"epoch=100: is a bare number.*\"100s\" or \"100ms\""),
        ({"epoch": "often"}, r"epoch='often': is not a duration"),
        ({"epoch": timedelta(0)}, r"epoch=.*longer than zero"),
        ({"start": "beginning"}, r"start='beginning'.*\"earliest\" or \"latest\""),
        ({"create_topics": "no"}, r"create_topics='no': is a str, not a bool; write True or False"),
        ({"dead_letter_topic": "a b"}, r"dead_letter_topic='a b'.*'activity.dead-letter'"),
        ({"late_topic": 3}, r"late_topic=3: is an int.*'activity.late'"),
        ({"drain_timeout": 20}, r"drain_timeout=20: is a bare number"),
        ({"max_inflight_bytes": "256MB"}, r"max_inflight_bytes='256MB': is not a size.*\"256MiB\""),
        ({"kafka": {3: "x"}}, r"kafka key=\*\*\*: is an int"),
        ({"kafka": {"sasl.password=hunter2": ""}}, r"kafka key=\*\*\*: is no name of a setting"),
        ({"kafka": {"client.id": "a\0b"}}, r"kafka\['client.id'\]='a.x00b': holds a NUL"),
        ({"kafka": {"linger.ms": 10**5_000}}, r"kafka\['linger.ms'\]=.*out of range"),
        ({"brokers": "localhost:99999"}, r"brokers='localhost:99999'.*no broker's address"),
        ({"brokers": "localhost:0"}, r"brokers='localhost:0'.*no broker's address"),
        ({"brokers": "a\0b:9092"}, r"brokers='a.x00b:9092'.*no broker's address"),
        ({"group_id": "a\0b"}, r"group_id='a.x00b': holds characters that cannot be printed"),
        ({"group_id": "\ud800"}, r"group_id='.ud800': holds half of a surrogate pair"),
        ({"lanes": 10**5_000}, r"lanes=<int>: is out of range"),
        ({"max_keys": 1 << 63}, r"max_keys=9223372036854775808: is out of range.*1 to 9223372036854775807"),
        ({"epoch": np.array([1, 2])}, r"epoch=array.*is not a duration"),
        ({"create_topics": np.True_}, r"create_topics=np.True_: is a numpy.bool, not a bool"),
    ],
)
def test_a_wrong_argument_names_setting_value_and_fix(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=r"^(App\('activity'\) )" + message):
        App("activity", **options)


@pytest.mark.parametrize("name", ["", "my app", "a/b", None, 3, "x" * 201])
def test_a_name_that_cannot_be_part_of_a_topic_is_refused(name: Any) -> None:
    with pytest.raises(ConfigError, match=r"App name=.*App\(\"activity\"\)"):
        App(name)


@pytest.mark.parametrize(
    "brokers", ["localhost", "a:9092,b:9092", "a:9092, b:9092", "[::1]:9092", "SASL_SSL://a.example:9093"]
)
def test_every_address_that_librdkafka_knows_is_accepted(brokers: str) -> None:
    assert settings(brokers=brokers).brokers == brokers.replace(" ", "")


def test_kafka_settings_become_librdkafka_text() -> None:
    given = {"security.protocol": "SSL", "linger.ms": 5, "enable.ssl.certificate.verification": False}
    assert settings(kafka=given).kafka == {
        "security.protocol": "SSL",
        "linger.ms": "5",
        "enable.ssl.certificate.verification": "false",
    }


def test_the_environment_goes_before_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLSTREAM_BROKERS", "prod:9092")
    monkeypatch.setenv("MILLSTREAM_GROUP_ID", "blue")
    monkeypatch.setenv("MILLSTREAM_KAFKA__SASL_PASSWORD", "from outside")
    said = settings(brokers="dev:9092", group_id="green", kafka={"sasl.password": "x", "sasl.username": "me"})
    assert (said.brokers, said.group_id) == ("prod:9092", "blue")
    assert said.kafka == {"sasl.password": "from outside", "sasl.username": "me"}


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLSTREAM_BROKERS", "")
    monkeypatch.setenv("MILLSTREAM_KAFKA__SASL_PASSWORD", "")
    assert settings(brokers="dev:9092").brokers == "dev:9092"
    assert settings().kafka == {}


def test_a_wrong_variable_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLSTREAM_BROKERS", "http://prod")
    with pytest.raises(ConfigError, match=r"^MILLSTREAM_BROKERS='http://prod'"):
        App("activity")


def test_no_secret_is_ever_shown() -> None:
    app = App("activity", kafka={"sasl.password": "hunter2", "ssl.key.pem": "hunter2", "client.id": "me"})
    assert "hunter2" not in repr(app)
    assert "hunter2" not in repr(app._settings)
    assert "'client.id': 'me'" in repr(app)
    for wrong in ({"sasl.password": ["hunter2"]}, "sasl.password=hunter2"):
        with pytest.raises(ConfigError, match=r"kafka.*\*\*\*") as caught:
            App("activity", kafka=wrong)  # type: ignore[arg-type]
        assert "hunter2" not in str(caught.value)


def test_a_value_that_cannot_be_shown_is_named_by_its_type() -> None:
    class Mute:
        def __repr__(self) -> str:
            raise RuntimeError("no word")

    with pytest.raises(ConfigError, match=r"lanes=<Mute>: is a Mute, not a whole"):
        App("activity", lanes=Mute())  # type: ignore[arg-type]


def test_a_secret_of_the_environment_that_no_c_string_holds_is_refused_unseen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MILLSTREAM_KAFKA__SASL_PASSWORD", "hunter2\udcff")
    with pytest.raises(ConfigError, match=r"^MILLSTREAM_KAFKA__SASL_PASSWORD=\*\*\*: holds") as caught:
        App("activity")
    assert "hunter2" not in str(caught.value)


def test_the_repr_can_be_pasted() -> None:
    app = App("activity", brokers="a:9092", guarantee="at_least_once", group_id="g", kafka={"client.id": "c"})
    assert repr(eval(repr(app))) == repr(app)
