"""Log records say what they are about, also as JSON; no output of any kind has a secret in it."""

import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from harness import READINGS, TUMBLING, Recorder, reading
from millstream import App, ConfigError, MillstreamError, WindowBatch, _core
from millstream.logging import JsonFormatter

CANARY = "canary-0451-secret"
# A port that nobody listens on.
NOWHERE = "127.0.0.1:9"


def line(record: logging.LogRecord) -> dict[str, Any]:
    text = JsonFormatter().format(record)
    assert "\n" not in text
    found: dict[str, Any] = json.loads(text)
    return found


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    logger = logging.getLogger("millstream.kafka")
    return logger.makeRecord(logger.name, logging.WARNING, "", 0, message, arguments, None, extra=extra)


def test_a_record_is_one_line_of_json() -> None:
    made = record("%d %% of\n%s", 5, "ümlaut", app="a", partition=3, key="k", window=(0, 10))
    made.created = 1_764_000_000.1239
    assert line(made) == {
        "time": "2025-11-24T16:00:00.123Z",
        "level": "warning",
        "logger": "millstream.kafka",
        "message": "5 % of\nümlaut",
        "app": "a",
        "partition": 3,
        "key": "k",
        "window": [0, 10],
    }


def test_an_exception_is_a_field_and_what_json_has_no_form_for_is_text() -> None:
    made = record("failed", path={1}, level="mine")
    try:
        raise ZeroDivisionError("in the model")
    except ZeroDivisionError as error:
        made.exc_info = (type(error), error, error.__traceback__)
    found = line(made)
    assert found["exception"].splitlines()[-1] == "ZeroDivisionError: in the model"
    assert (found["path"], found["level"]) == ("{1}", "warning")


def test_a_failure_of_a_model_says_app_model_topic_partition_offset_key_and_window(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App("shop")

    @app.model(source=READINGS, window=TUMBLING, sink="out")
    def picky(batch: WindowBatch) -> Any:
        if "b" in batch.keys:
            raise ValueError("not b")
        return batch.lengths

    app.test(
        {"readings": [reading(0, key="a"), reading(1, key="a"), reading(2, key="b"), reading(3, key="b")]}
    )
    (found,) = [line(made) for made in caplog.records if made.levelno == logging.WARNING]
    del found["time"]
    assert found.pop("message").startswith("1 of 2 windows of a batch of model picky failed: they go to")
    assert found == {
        "level": "warning",
        "logger": "millstream.predict",
        "app": "shop",
        "model": "picky",
        "topic": "readings",
        "partition": 0,
        "offset": 0,
        "key": "b",
        "window": [0, 10_000],
    }


def test_what_is_about_less_says_less(caplog: pytest.LogCaptureFixture) -> None:
    app = App("shop", max_events_per_key=5)
    app.model(source=READINGS, window=TUMBLING, sink="out", name="m")(Recorder())
    app.test({"readings": [reading(ts) for ts in range(4)]})
    (made,) = caplog.records
    found = line(made)
    assert (found["logger"], found["topic"], found["partition"], found["key"]) == (
        "millstream.limits",
        "readings",
        0,
        "a",
    )
    assert "model" not in found


def unreachable(**settings: Any) -> App:
    app = App("shop", brokers=NOWHERE, **settings)
    app.model(source=READINGS, window=TUMBLING, sink="out", name="m")(Recorder())
    return app


def test_messages_of_librdkafka_come_through_logging_and_not_by_the_thousand(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    # Left alone it tries again a hundred times a second.
    app = unreachable(kafka={"reconnect.backoff.ms": 5, "reconnect.backoff.max.ms": 10})
    began = time.monotonic()
    with pytest.raises(MillstreamError, match=r"no broker could be reached .*Connect.*127\.0\.0\.1:9"):
        app.run(until="end")
    tens = 1 + (time.monotonic() - began) // 10
    said = [made for made in caplog.records if made.name == "millstream.kafka"]
    kinds: dict[str, int] = {}
    for made in said:
        kind = made.getMessage().partition(":")[0]
        kinds[kind] = kinds.get(kind, 0) + 1
    assert said
    assert all(vars(made)["app"] == "shop" for made in said)
    # Two clients look at the cluster.
    assert all(count <= 2 * (tens + 1) for count in kinds.values()), kinds
    assert capfd.readouterr() == ("", "")


SENSITIVE = {
    "sasl.password": {"sasl.mechanism": "PLAIN", "security.protocol": "SASL_PLAINTEXT", "sasl.username": "u"},
    "sasl.username": {"sasl.mechanism": "PLAIN", "security.protocol": "SASL_PLAINTEXT", "sasl.password": "p"},
    "ssl.key.password": {"security.protocol": "SSL"},
    "ssl.key.pem": {"security.protocol": "SSL"},
    "ssl.certificate.pem": {"security.protocol": "SSL"},
    "ssl.ca.pem": {"security.protocol": "SSL"},
    "ssl.keystore.password": {"security.protocol": "SSL"},
    "sasl.oauthbearer.client.secret": {"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER"},
    "sasl.oauthbearer.config": {"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER"},
    "sasl.kerberos.kinit.cmd": {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "GSSAPI"},
    "sasl.jaas.config": {},
}
MISSPELT = [
    "sasl.pasword",
    "sasl_password",
    "SASL.PASSWORD",
    "ssl.key.passwd",
    "password",
    "sasl.secret",
    "pw",
]
EVERYWHERE = "broker,protocol,metadata,topic,msg,eos,cgrp,feature,queue,fetch,interceptor,plugin,admin,mock"


def output_of(app: App) -> str:
    """Return whatever an app says of itself and of a cluster that is not there."""
    said = [repr(app), str(app), app._repr_html_(), repr(app._settings)]
    try:
        said.append(repr(app.metrics()))
        said.append(repr(app._check()))
        app.run(until="end")
    except MillstreamError as error:
        said += [
            str(error),
            repr(error),
            repr(error.__cause__),
            repr(error.__notes__ if error.__cause__ else ""),
        ]
    return "\n".join(said)


@pytest.mark.timeout(180)
def test_no_sensitive_setting_is_ever_shown(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    apps = [unreachable(kafka={**others, name: CANARY}) for name, others in SENSITIVE.items()]
    apps += [
        unreachable(kafka={**others, name: CANARY, "debug": EVERYWHERE}) for name, others in SENSITIVE.items()
    ]
    apps += [unreachable(kafka={name: CANARY}) for name in MISSPELT]
    with ThreadPoolExecutor(len(apps)) as pool:
        said = list(pool.map(output_of, apps))
    assert any("no broker could be reached" in text for text in said), "some got as far as the network"
    assert any("No such configuration property" in text for text in said), "some were refused by name"
    logged = "\n".join(JsonFormatter().format(made) + repr(vars(made)) for made in caplog.records)
    assert "BROKER" in logged.upper(), "librdkafka has said something"
    for text in (*said, logged, *capfd.readouterr()):
        assert CANARY not in text


@pytest.mark.parametrize("debug", ["all", "ALL", "broker,Security", "conf", "eos, CONF"])
def test_debug_contexts_that_write_secrets_are_refused(debug: str) -> None:
    with pytest.raises(ConfigError, match="would write secrets into the log"):
        unreachable(kafka={"debug": debug}).metrics()


@pytest.mark.parametrize("name", [*SENSITIVE, *MISSPELT])
def test_a_secret_of_a_wrong_type_or_from_the_environment_is_not_shown(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError) as caught:
        unreachable(kafka={name: [CANARY]})
    assert CANARY not in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        unreachable(kafka=[name, CANARY])
    assert CANARY not in str(caught.value)
    monkeypatch.setenv("MILLSTREAM_KAFKA__" + name.upper().replace(".", "_"), CANARY)
    app = unreachable()
    assert CANARY not in repr(app) + app._repr_html_()


@pytest.mark.parametrize(
    "brokers", [f"user:{CANARY}@host:9092", f"a:9092,SASL_SSL://user:{CANARY}@host:9092", f"{CANARY}@host"]
)
def test_a_password_before_the_address_of_a_broker_is_not_shown(
    brokers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"\*\*\*@host") as caught:
        App("shop", brokers=brokers)
    assert CANARY not in str(caught.value)
    monkeypatch.setenv("MILLSTREAM_BROKERS", brokers)
    with pytest.raises(ConfigError, match="MILLSTREAM_BROKERS") as caught:
        App("shop")
    assert CANARY not in str(caught.value)


def test_this_build_can_reach_the_code_that_reads_secrets() -> None:
    assert _core.features()["tls"]
