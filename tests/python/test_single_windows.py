"""`batch=False`: a call per window, its value, and failures that name it and take no other along."""

import asyncio
import re
from typing import Any

import pytest

from harness import READINGS, TUMBLING, headers, reading
from millstream import App, ConfigError, ModelError, Record, Window

KEYS = [f"k{n:02}" for n in range(16)]
FED = {"readings": [reading(n, n / 4, key) for n, key in enumerate(KEYS)]}


def app_of(predict: Any, **options: Any) -> App:
    app = App("app")
    app.model(source=READINGS, window=TUMBLING, sink="results", name="m", batch=False, **options)(predict)
    return app


def values(app: App, fed: dict[str, list[Record]] = FED) -> list[Any]:
    own = ("key", "window", "n_events")
    results = app.test(fed)["results"]
    return [{name: said for name, said in record.value.items() if name not in own} for record in results]


def test_each_window_is_a_call_and_its_value_the_prediction() -> None:
    def predict(window: Window) -> float:
        assert isinstance(window, Window)
        return float(window["v"].sum())

    assert values(app_of(predict)) == [{"prediction": n / 4} for n in range(16)]


def test_a_window_may_give_fields_or_nothing() -> None:
    def predict(window: Window) -> dict[str, Any] | None:
        return {"key_again": window.key, "n": len(window)} if window.key in KEYS[:2] else None

    app = app_of(predict)
    assert values(app) == [{"key_again": key, "n": 1} for key in KEYS[:2]]
    assert app.metrics()["models"]["m"]["windows_silent"] == 14


def test_outputs_name_the_values_of_a_window() -> None:
    app = app_of(lambda window: (len(window), window.start), outputs=["n", "start"])
    assert values(app)[0] == {"n": 1, "start": 0}


def test_classes_are_loaded_and_warmed_up_with_a_window() -> None:
    seen = []

    class Model:
        def warmup(self, window: Window) -> None:
            seen.append(window)

        def predict(self, window: Window) -> int:
            return len(seen)

    assert values(app_of(Model))[0] == {"prediction": 1}
    assert isinstance(seen[0], Window)


def failing(calls: list[str], *bad: str) -> Any:
    def predict(window: Window) -> int:
        calls.append(str(window.key))
        if window.key in bad:
            raise ValueError("cannot bear it")
        return 1

    return predict


@pytest.mark.parametrize("bad", [["k00"], ["k15"], ["k03", "k04", "k11"], KEYS[:8]])
def test_a_failing_window_is_found_without_a_search_and_takes_no_other_along(bad: list[str]) -> None:
    calls: list[str] = []
    out = app_of(failing(calls, *bad)).test(FED)
    assert [record.key for record in out["results"]] == [key.encode() for key in KEYS if key not in bad]
    assert [record.key for record in out["app.dead-letter"]] == [key.encode() for key in bad]
    assert {key: calls.count(key) for key in bad} == dict.fromkeys(bad, 1)
    assert all(calls.count(key) <= 2 for key in KEYS)


def test_an_error_names_its_window() -> None:
    (dead,) = app_of(failing([], "k07")).test(FED)["app.dead-letter"]
    assert headers(dead)["detail"] == "ValueError: cannot bear it in the window 'k07' [0, 10000)"
    with pytest.raises(ValueError, match="cannot bear it") as caught:
        app_of(failing([], "k07"), on_error="fail").test(FED)
    assert caught.value.__notes__ == ["in the window 'k07' [0, 10000)"]


def test_a_value_that_cannot_be_written_names_its_window() -> None:
    app = app_of(lambda window: object() if window.key == "k07" else 1, on_error="fail")
    with pytest.raises(ModelError, match=re.escape('"k07" [0, 10000)')):
        app.test(FED)


def test_retries_are_for_the_window_that_failed_too() -> None:
    calls: list[str] = []
    app = app_of(failing(calls, "k05", "k09"), retries=2)
    assert len(app.test(FED)["app.dead-letter"]) == 2
    assert (calls.count("k05"), calls.count("k09")) == (3, 3)


def test_async_windows_of_a_batch_are_awaited_side_by_side_within_bounds() -> None:
    at_once: list[int] = [0, 0]

    async def predict(window: Window) -> int:
        at_once[0] += 1
        at_once[1] = max(at_once)
        await asyncio.sleep(0)
        at_once[0] -= 1
        return int(window.values[0, 0])

    fed = {"readings": [reading(n, n, f"k{n:03}") for n in range(200)]}
    assert values(app_of(predict), fed) == [{"prediction": n} for n in range(200)]
    assert at_once == [0, 64]


def test_an_async_window_that_fails_takes_no_other_along() -> None:
    calls: list[str] = []

    async def predict(window: Window) -> int:
        calls.append(str(window.key))
        await asyncio.sleep(0)
        if window.key in ("k03", "k10"):
            raise ValueError("cannot bear it")
        return 1

    out = app_of(predict).test(FED)
    assert (len(out["results"]), [record.key for record in out["app.dead-letter"]]) == (14, [b"k03", b"k10"])
    # The first one is known at once; those after it are called again.
    assert (calls.count("k03"), calls.count("k10"), len(calls)) == (1, 2, 16 + 3 + 12 + 6 + 5)
    (detail, _) = (headers(record)["detail"] for record in out["app.dead-letter"])
    assert detail == "ValueError: cannot bear it in the window 'k03' [0, 10000)"


def test_what_needs_whole_batches_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"batch=False: does not go with pad_batch_to"):
        app_of(len, pad_batch_to=4)
    with pytest.raises(ConfigError, match=r"batch=0: is an int, not a bool"):
        App("app").model(source=READINGS, window=TUMBLING, sink="out", batch=0)(len)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"cannot be called as predict\(window\)"):
        app_of(lambda: 1)
