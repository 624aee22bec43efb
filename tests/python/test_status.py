"""The status server of a run: what it serves, to whom, and how much."""

import http.client
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from harness import READINGS, TUMBLING, Recorder
from millstream import App, ConfigError
from served import CANARY, SCRIPT, TIMEOUT_S, Served, listens, poison, request

BEGIN = int(time.time()) // 10 * 10_000 - 60_000
TOPIC = "status.readings"
EVENT_REASONS = (
    "not_json",
    "missing_field",
    "bad_type",
    "missing_key",
    "bad_key",
    "bad_timestamp",
    "future_timestamp",
    "too_large",
    "too_deep",
)
NAMES = {
    "build_info": {"version"},
    "ready": set(),
    "events_consumed_total": {"topic"},
    "events_below_expected_total": {"topic"},
    "events_invalid_total": {"topic", "reason"},
    "consumer_lag_records": {"topic", "partition"},
    "clock_delay_seconds": {"topic", "partition"},
    "state_bytes": {"topic", "partition"},
    "state_events": {"topic", "partition"},
    "state_keys": {"topic", "partition"},
    "partitions_restoring": {"topic"},
    "events_windowed_total": {"model"},
    "events_late_total": {"model"},
    "events_before_start_total": {"model"},
    "events_scored_total": {"model"},
    "late_pairs_total": {"model"},
    "windows_closed_total": {"model"},
    "windows_skipped_total": {"model"},
    "windows_produced_total": {"model"},
    "windows_silent_total": {"model"},
    "windows_dropped_total": {"model"},
    "windows_dead_lettered_total": {"model", "reason"},
    "predict_errors_total": {"model"},
    "predict_retries_total": {"model"},
    "windows_open": {"model"},
    "windows_waiting": {"model"},
    "windows_queued": {"model"},
    "pool_busy_workers": {"model"},
    "pool_workers": {"model"},
    "workers_replaced_total": {"model"},
    "predict_duration_seconds": {"model"},
    "batch_windows": {"model"},
    "epochs_committed_total": set(),
    "transactions_committed_total": set(),
    "transactions_aborted_total": set(),
    "transactions_unknown_total": set(),
    "rebalances_total": set(),
    "restores_total": set(),
    "limit_warnings_total": set(),
    "paused": set(),
    "inflight_bytes": set(),
    "inflight_limit_bytes": set(),
    "commit_duration_seconds": set(),
    "end_to_end_latency_seconds": set(),
}


@pytest.fixture(scope="module")
def poisoned() -> Iterator[tuple[Served, Any]]:
    """Return a run that has met every fate of events and windows, and what was then known of the key a."""
    with Served("status") as served:
        answer = poison(served, BEGIN)
        served.wait(lambda: served.get("/readyz")[0] == 200)
        yield served, answer


@pytest.fixture(scope="module")
def served(poisoned: tuple[Served, Any]) -> Served:
    """Return the run."""
    return poisoned[0]


@pytest.fixture(scope="module")
def scored() -> Iterator[Served]:
    """Return a run with a model of single events alone, that has met every fate of events."""
    with Served("scored", of_events=True) as served:
        poison(served, BEGIN)
        yield served


@pytest.mark.parametrize("of_events", [False, True])
def test_the_metrics_have_the_names_types_and_labels_that_they_are_known_by(
    request: pytest.FixtureRequest, of_events: bool
) -> None:
    served: Served = request.getfixturevalue("scored" if of_events else "served")
    _, headers, body = served.get("/metrics")
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    text = body.decode()
    types = dict(re.findall(r"^# TYPE millstream_(\S+) (\S+)$", text, re.M))
    assert re.findall(r"^# HELP millstream_(\S+) \S.*\.$", text, re.M) == list(types)
    labels: dict[str, set[str]] = {}
    for name, said in re.findall(r"^millstream_(\w+)(?:\{(.*)\})? \S+$", text, re.M):
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        family = family if types.get(family) == "histogram" else name
        labels.setdefault(family, set()).update(set(re.findall(r'(\w+)="', said)) - {"le"})
    # The one family that is of models of single events alone.
    assert ("events_scored_total" in labels) == of_events
    assert labels | {"events_scored_total": {"model"}} == NAMES
    assert [name for name in types if name in labels] == list(labels)
    assert all((kind == "counter") == name.endswith("_total") for name, kind in types.items())


def test_the_docs_have_the_same_metrics(served: Served) -> None:
    page = (Path(__file__).parents[2] / "docs" / "status.md").read_text()
    rows = re.findall(r"^\| `millstream_(\w+)` \| (\w+) \| ?(.*?) ?\| (.*) \|$", page, re.M)
    assert {name: set(re.findall(r"`(\w+)`", labels)) for name, _, labels, _ in rows} == NAMES
    text = served.get("/metrics")[2].decode()
    for name, kind, _, told in rows:
        assert f"# HELP millstream_{name} {told}\n# TYPE millstream_{name} {kind}\n" in text


def test_no_key_is_in_the_metrics(served: Served) -> None:
    text = served.get("/metrics")[2].decode()
    assert "script" not in text
    assert "poison" not in text


def test_the_counters_add_up(served: Served) -> None:
    metrics = served.metrics()
    consumed = metrics[f'millstream_events_consumed_total{{topic="{TOPIC}"}}']
    invalid = [
        metrics[f'millstream_events_invalid_total{{topic="{TOPIC}",reason="{r}"}}'] for r in EVENT_REASONS
    ]
    fates = [
        metrics[f'millstream_events_{fate}_total{{model="mean"}}']
        for fate in ("windowed", "late", "before_start")
    ]
    assert consumed == 186 == sum(invalid) + sum(fates)
    assert fates[1:] == [1, 0]
    assert [reason for reason, count in zip(EVENT_REASONS, invalid, strict=True) if count] == [
        "not_json",
        "missing_field",
    ]
    windows = [
        f'millstream_windows_{fate}_total{{model="mean"}}'
        for fate in ("produced", "skipped", "silent", "dropped")
    ]
    dead = metrics['millstream_windows_dead_lettered_total{model="mean",reason="model_error"}']
    assert (
        metrics['millstream_windows_closed_total{model="mean"}']
        == sum(metrics[name] for name in windows) + dead
        == 35
    )
    assert (
        metrics['millstream_batch_windows_count{model="mean"}']
        == metrics['millstream_predict_duration_seconds_count{model="mean"}']
    )
    assert metrics["millstream_end_to_end_latency_seconds_count"] == 33


def test_the_counters_of_a_model_of_events_add_up(scored: Served) -> None:
    metrics = scored.metrics()
    consumed = metrics['millstream_events_consumed_total{topic="scored.readings"}']
    answered = metrics['millstream_events_scored_total{model="score"}']
    dead = metrics['millstream_windows_dead_lettered_total{model="score",reason="model_error"}']
    invalid = sum(
        metrics[f'millstream_events_invalid_total{{topic="scored.readings",reason="{r}"}}']
        for r in EVENT_REASONS
    )
    assert (consumed, answered, dead, invalid) == (186, 183, 1, 2)
    silent = metrics['millstream_windows_silent_total{model="score"}']
    assert silent == 61
    assert answered == metrics['millstream_windows_produced_total{model="score"}'] + silent
    for fate in ("events_windowed", "windows_closed"):
        assert metrics[f'millstream_{fate}_total{{model="score"}}'] == answered + dead
    assert scored.app.metrics()["models"]["score"]["scored"] == answered


def test_the_flow_of_a_model_of_events_is_one_of_events(scored: Served) -> None:
    def rates() -> dict[str, float]:
        scored.send(BEGIN + 60_000)
        scored.flush()
        return {stage["name"]: stage["rate"] for stage in scored.json("/api/status")["stages"]}

    scored.wait(lambda: all(rates().values()))
    stages = scored.json("/api/status")["stages"]
    assert [stage["name"] for stage in stages] == ["read", "batch", "predict", "commit"]
    assert {stage["unit"] for stage in stages} == {"events"}
    assert [stage["waiting_unit"].split()[0] for stage in stages] == ["records", *["events"] * 3]


def test_the_buckets_of_a_histogram_only_rise_up_to_its_count(served: Served) -> None:
    metrics = served.metrics()
    buckets = [
        count
        for name, count in metrics.items()
        if name.startswith('millstream_batch_windows_bucket{model="mean"')
    ]
    assert buckets == sorted(buckets)
    assert buckets[-1] == metrics['millstream_batch_windows_count{model="mean"}'] > 0


def test_the_status_says_what_the_counters_say(served: Served) -> None:
    status = served.json("/api/status")
    counted = served.app.metrics()
    assert status["phase"] == "running"
    assert [source["consumed"] for source in status["sources"]] == [186]
    assert [p["state"] for p in status["sources"][0]["partitions"]] == ["caught up"] * 2
    model, other = status["models"][0], counted["models"]["mean"]
    assert model["unit"] == "window"
    for name in ("events", "late_pairs", "windows_closed", "windows_produced", "failed_calls"):
        assert model[name] == other[name]
    assert [stage["name"] for stage in status["stages"]] == ["read", "window", "predict", "commit"]
    assert status["history"]


def test_the_latest_results_and_dead_letters_are_shown_with_reason_and_traceback(served: Served) -> None:
    status = served.json("/api/status")
    assert {seen["key"] for seen in status["results"]} <= {"a", "b", SCRIPT}
    newest = status["results"][0]
    assert newest["value"]["window"] == {"start": newest["window"]["start"], "end": newest["window"]["end"]}
    by_reason = {dead["reason"]: dead for dead in status["dead_letters"]}
    assert set(by_reason) == {"model_error", "not_json", "missing_field"}
    assert by_reason["model_error"]["model"] == "mean"
    assert by_reason["model_error"]["detail"] == "ValueError: no mean of poison"
    assert "raise ValueError" in by_reason["model_error"]["traceback"]
    assert by_reason["not_json"]["offset"] is not None
    assert "garbled" not in json.dumps(status), "the bytes of a record that could not be used are not shown"


def test_a_key_has_its_events_its_windows_and_what_became_of_them(poisoned: tuple[Served, Any]) -> None:
    answer = poisoned[1]
    assert (answer["key"], answer["complete"]) == ("a", True)
    (part,) = answer["partitions"]
    assert (part["topic"], part["partition"], part["clock"], part["fields"]) == (
        TOPIC,
        0,
        BEGIN + 59_000,
        ["v"],
    )
    assert part["n_events"] == len(part["events"]) == 11
    assert [event["time"] for event in part["events"]] == sorted(event["time"] for event in part["events"])
    (model,) = part["models"]
    assert model["watermark"] == BEGIN + 57_000
    windows = [((w["start"] - BEGIN) // 1_000, w["n_events"], w["state"]) for w in model["windows"]]
    assert windows == [(50, 11, "open"), (55, 5, "open")]
    seen = {
        (s["window"]["start"] - BEGIN) // 1_000: s["value"]["mean"] for s in answer["seen"] if s["window"]
    }
    assert seen == {-5: 2.0, **{start: start + 4.5 for start in range(0, 50, 5)}}
    missed = [
        ((m["time"] - BEGIN) // 1_000, (m["first_start"] - BEGIN) // 1_000, m["count"])
        for m in answer["missed"]
    ]
    assert missed == [(1, -5, 2), (51, 45, 1)]


def test_a_window_in_its_grace_is_closing(served: Served) -> None:
    answer = served.key("poison")
    assert answer["partitions"] == [], "its windows are closed, and its events are given up"
    assert [dead["reason"] for dead in answer["seen"]] == ["model_error"] * 2
    served.send(BEGIN + 60_500, key="closing", partition=1)
    served.send(BEGIN + 71_000, key="other", partition=1)
    served.flush()

    def states() -> dict[int, str]:
        (part,) = served.key("closing")["partitions"] or [{"models": [{"windows": []}]}]
        return {(w["start"] - BEGIN) // 1_000: w["state"] for w in part["models"][0]["windows"]}

    # The one that begins at 55 s is closed, and is here until it is predicted.
    served.wait(lambda: set(states()) == {60} and states()[60] != "open")
    assert states() == {60: "closing"}


def test_keys_may_be_any_bytes(served: Served) -> None:
    for key in ("a/b", "?x=1", "ä ö", "..", "%2F"):
        assert served.key(key)["key"] == key
    assert served.json("/api/keys/61?encoding=hex")["partitions"][0]["n_events"] == 11
    assert served.json("/api/keys/ff00?encoding=hex")["key"] == {"hex": "ff00"}
    for path in (
        "/api/keys/6?encoding=hex",
        "/api/keys/zz?encoding=hex",
        "/api/keys/a?encoding=base64",
        "/api/keys/%ff",
    ):
        assert served.get(path)[0] == 400, path
    assert b"?encoding=hex" in served.get("/api/keys/%ff")[2]
    assert served.get(f"/api/keys/{'a' * 5_000}")[0] == 400


def test_a_key_of_no_bytes_is_one_like_any_other(served: Served) -> None:
    served.send(BEGIN + 58_000, key="")
    served.flush()
    served.wait(lambda: served.key("")["partitions"])
    assert served.key("")["key"] == ""
    assert served.json("/api/keys/?encoding=hex")["partitions"][0]["n_events"] == 1


def test_what_is_not_there_is_not_found(served: Served) -> None:
    for path in (
        "/nope",
        "/api/keys",
        "/api/keys/a/b",
        "/api/../../etc/passwd",
        "/%2e%2e/",
        "//",
        "/metrics/",
    ):
        assert served.get(path)[0] == 404, path


def test_nothing_can_be_changed(served: Served) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        for path in ("/", "/api/status", "/nope"):
            assert request(served.url, method, path, {})[0] == 405, (method, path)


def test_a_head_has_the_headers_of_a_get_and_no_body(served: Served) -> None:
    for path in ("/", "/metrics", "/healthz", "/readyz", "/api/status", "/api/keys/a", "/nope"):
        status, headers, body = request(served.url, "HEAD", path, {})
        assert (status, body) == (served.get(path)[0], b""), path
        assert {"content-type", "content-length", "content-security-policy"} <= set(headers), path
    for _ in range(20):
        status, headers, body = request(served.url, "HEAD", "/api/stream", {})
        assert (status, headers["content-type"], body) == (200, "text/event-stream", b"")


def raw(served: Served, sent: bytes) -> bytes:
    """Return what comes back until the server closes."""
    address = urlsplit(served.url)
    with socket.create_connection((address.hostname, address.port), timeout=TIMEOUT_S) as connection:
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def test_http_1_0_is_answered_and_closed(served: Served) -> None:
    head, _, body = raw(served, b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n").partition(b"\r\n\r\n")
    assert (head.split()[1], body) == (b"200", b"ok\n")
    assert raw(served, b"GET /healthz HTTP/1.0\r\n\r\n").split()[1] == b"403", "no Host is none of ours"
    assert raw(served, b"\x16\x03\x01\x02\x00TLS\r\n\r\n")[9:12] in {b"", b"400"}


def test_nothing_is_compressed(served: Served) -> None:
    for path in ("/", "/metrics", "/api/status"):
        assert "content-encoding" not in served.get(path, Accept_Encoding="gzip, br")[1]


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="there is no IPv6 here")
def test_the_page_may_be_at_an_address_of_ipv6() -> None:
    with Served("six", web="[::1]:0") as served:
        assert served.url.startswith("http://[::1]:")
        port = urlsplit(served.url).port
        for host in (f"[::1]:{port}", "[::1]", f"localhost:{port}"):
            assert served.get("/healthz", Host=host)[0] == 200, host
        for host in ("::1", f"[::2]:{port}", "[::1].evil.example"):
            assert served.get("/healthz", Host=host)[0] == 403, host


def test_other_hosts_and_other_sites_are_refused(served: Served) -> None:
    port = urlsplit(served.url).port
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "10.0.0.1"):
        for path in ("/", "/metrics", "/api/status", "/nope"):
            status, _, body = served.get(path, Host=host)
            assert (status, b"MILLSTREAM_WEB_HOSTS" in body) == (403, True), (host, path)
    assert served.get("/api/status", Host=f"localhost:{port}")[0] == 200
    assert served.get("/api/status", Sec_Fetch_Site="cross-site")[0] == 403
    assert served.get("/api/status", Sec_Fetch_Site="same-origin")[0] == 200


def test_every_response_is_strict_and_the_page_allows_its_own_script_alone(served: Served) -> None:
    for path in ("/", "/metrics", "/api/status", "/nope"):
        headers = served.get(path)[1]
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
        assert "access-control-allow-origin" not in headers
    nonces = set()
    for _ in range(2):
        _, headers, body = served.get("/")
        (nonce,) = set(re.findall(r"'nonce-(\w+)'", headers["content-security-policy"]))
        assert body.count(f'nonce="{nonce}"'.encode()) == 2 == body.count(b"nonce=")
        nonces.add(nonce)
    assert len(nonces) == 2


def test_the_page_is_small_and_asks_no_one_else(served: Served) -> None:
    text = served.get("/")[2].decode()
    assert len(text) < 200_000
    assert set(re.findall(r"https?://[^\s\"'`]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "innerHTML" not in text
    assert "{{" not in text


def test_no_secret_is_shown(served: Served) -> None:
    assert json.loads(served.get("/api/status")[2])["settings"]["kafka"] == {"sasl.password": "***"}
    for path in ("/", "/metrics", "/api/status", "/api/keys/a", "/healthz", "/readyz"):
        assert CANARY not in served.get(path)[2].decode(), path


def test_news_come_every_second(served: Served) -> None:
    connection = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=TIMEOUT_S)
    connection.request("GET", "/api/stream")
    response = connection.getresponse()
    assert response.getheader("content-type") == "text/event-stream"
    lines = [response.readline() for _ in range(4)]
    connection.close()
    first, second = (json.loads(line.removeprefix(b"data: ")) for line in lines if line.startswith(b"data: "))
    assert second["uptime_seconds"] > first["uptime_seconds"]
    assert [len(news["history"]) for news in (first, second)] == [1, 1]
    assert "settings" not in first


def test_who_asks_for_nothing_keeps_nobody_out_and_takes_no_stream_away(served: Served) -> None:
    address = urlsplit(served.url)
    stream = http.client.HTTPConnection(address.netloc, timeout=TIMEOUT_S)
    stream.request("GET", "/api/stream")
    news = stream.getresponse()
    crowd = []
    try:
        for _ in range(200):
            crowd.append(socket.create_connection((address.hostname, address.port)))
        assert served.get("/healthz")[0] == 200
        assert [news.readline()[:5] for _ in range(3)] == [b"data:", b"\n", b"data:"]
    finally:
        for one in crowd:
            one.close()
        stream.close()


def test_slow_and_many_connections_are_bounded(served: Served) -> None:
    address = urlsplit(served.url)
    open_ones = [socket.create_connection((address.hostname, address.port)) for _ in range(80)]
    try:
        for one in open_ones:
            one.settimeout(TIMEOUT_S)
            one.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        closed_at_once = 0
        for one in open_ones:
            try:
                closed_at_once += one.recv(1_000) == b""
            except OSError:
                closed_at_once += 1
        assert closed_at_once == 80, "those beyond the bound at once, the others when their time is over"
    finally:
        for one in open_ones:
            one.close()
    assert served.get("/healthz")[0] == 200


def test_large_heads_are_refused(served: Served) -> None:
    many = {f"x-{n}": "1" for n in range(100)}
    assert served.get("/healthz", **many)[0] == 431
    assert served.get("/healthz", Cookie="a" * 60_000)[0] == 431
    assert served.get(f"/{'a' * 60_000}")[0] in {414, 431}


def test_pages_that_are_kept_up_to_date_are_few(served: Served) -> None:
    streams = []
    try:
        refused = 0
        for _ in range(20):
            connection = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=TIMEOUT_S)
            streams.append(connection)
            connection.request("GET", "/api/stream")
            refused += connection.getresponse().status == 503
        assert refused == 4
    finally:
        for connection in streams:
            connection.close()
    assert served.get("/healthz")[0] == 200


def test_a_taken_port_does_not_stop_a_run(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    address = urlsplit(served.url).netloc
    with caplog.at_level("INFO", "millstream"), Served("taken", web=address) as other:
        assert other.url != served.url
        assert other.get("/healthz")[0] == 200
    assert other.app.web_url is None
    assert any("is taken" in record.getMessage() for record in caplog.records)
    assert not listens(other.url)


def app_at(web: str) -> App:
    app = App("app", brokers="127.0.0.1:1", web=web)
    app.model(source=READINGS, window=TUMBLING, sink="results", name="m")(Recorder())
    return app


def test_an_address_that_others_can_reach_needs_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ConfigError, match=r"0\.0\.0\.0 can be reached from other machines.*MILLSTREAM_WEB_TOKEN"
    ):
        app_at("0.0.0.0:0").run()
    monkeypatch.setenv("MILLSTREAM_WEB_TOKEN", "short")
    with pytest.raises(ConfigError, match="16 ASCII characters"):
        app_at("0.0.0.0:0").run()


def test_a_token_is_asked_for_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    token = f"{CANARY}-as-a-token"
    monkeypatch.setenv("MILLSTREAM_WEB_TOKEN", token)
    with Served("token", web="0.0.0.0:0") as served:
        status, headers, _ = served.get("/metrics")
        assert (status, headers["www-authenticate"]) == (401, 'Basic realm="millstream"')
        assert served.get("/metrics", Authorization="Bearer wrong")[0] == 401
        status, _, body = served.get("/api/status", Authorization=f"Bearer {token}")
        assert status == 200
        assert CANARY not in body.decode()
        assert served.get("/metrics", Authorization=f"Bearer {token}", Host="evil.example")[0] == 403
    assert CANARY not in "".join(capfd.readouterr())
    assert CANARY not in repr(served.app._web)


@pytest.mark.parametrize(
    "web", ["6066", "localhost", ":6066", "localhost:x", "localhost:70000", "http://localhost:6066", ""]
)
def test_what_is_no_address_is_refused_at_once(web: str) -> None:
    with pytest.raises(ConfigError, match=r"App\('app'\) web=.*127\.0\.0\.1:6066"):
        App("app", web=web)


def test_the_environment_goes_before_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLSTREAM_WEB", "off")
    assert App("app", web="127.0.0.1:1")._web is None
    monkeypatch.setenv("MILLSTREAM_WEB", "127.0.0.1:7")
    monkeypatch.setenv("MILLSTREAM_WEB_HOSTS", "a.example, b.example")
    web = App("app")._web
    assert web is not None
    assert (web.address, web.hosts) == ("127.0.0.1:7", ("a.example", "b.example"))
    monkeypatch.setenv("MILLSTREAM_WEB", "nowhere")
    with pytest.raises(ConfigError, match="MILLSTREAM_WEB='nowhere'"):
        App("app")


def test_an_address_of_another_machine_is_an_error_that_names_it() -> None:
    with pytest.raises(ConfigError, match=r"web=\"192\.0\.2\.1:6066\".*cannot be served there"):
        app_at("192.0.2.1:6066").run()
