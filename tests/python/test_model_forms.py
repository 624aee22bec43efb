"""Models: every form that is accepted runs, and every other one is refused where it is written."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from harness import READINGS, TUMBLING, readings
from millstream import App, ConfigError, WindowBatch


def declare(target: Any, app: App | None = None, /, **options: Any) -> Any:
    given: dict[str, Any] = {"source": READINGS, "window": TUMBLING, "sink": "results", **options}
    return (App("app") if app is None else app).model(**given)(target)


def predictions(app: App) -> list[Any]:
    return [
        record.value["prediction"]
        for record in app.test({"readings": readings(0, 10_000, 20_000)})["results"]
    ]


def test_a_function_is_a_model_and_stays_what_it_was() -> None:
    def lengths(batch: WindowBatch) -> Any:
        return batch.lengths

    app = App("app")
    assert declare(lengths, app) is lengths
    assert predictions(app) == [1, 1, 1]


def test_a_class_is_made_loaded_warmed_up_and_closed_once_per_run() -> None:
    calls: list[str] = []

    class Model:
        def __init__(self) -> None:
            calls.append("made")

        def load(self) -> None:
            calls.append("loaded")

        def warmup(self, batch: WindowBatch) -> None:
            assert batch.names == ("v",)
            assert len(batch) > 0
            assert batch.timestamps.shape == (len(batch.values),)
            calls.append("warmed up")

        def predict(self, batch: WindowBatch) -> list[int]:
            return [7] * len(batch)

        def close(self) -> None:
            calls.append("closed")

    app = App("app")
    assert declare(Model, app, workers=3) is Model
    assert calls == []
    assert predictions(app) == [7, 7, 7]
    assert calls == ["made", "loaded", "warmed up", "closed"]


def test_per_worker_makes_and_closes_an_instance_for_each() -> None:
    loaded, closed = [], []

    class Model:
        def load(self) -> None:
            loaded.append(self)

        def predict(self, batch: WindowBatch) -> list[int]:
            assert self in loaded
            return [0] * len(batch)

        def close(self) -> None:
            closed.append(self)

    app = App("app")
    declare(Model, app, workers=3, per_worker=True)
    predictions(app)
    assert len(set(loaded)) == 3
    assert set(closed) == set(loaded)


def test_a_class_needs_no_more_than_predict_static_or_not() -> None:
    class Model:
        @staticmethod
        def predict(batch: WindowBatch) -> list[int]:
            return [1] * len(batch)

    app = App("app")
    declare(Model, app)
    assert predictions(app) == [1, 1, 1]


def test_an_exception_in_load_is_raised_as_it_is_and_closes_what_was_loaded() -> None:
    closed: list[int] = []
    made: list[Any] = []

    class Model:
        def load(self) -> None:
            made.append(self)
            if len(made) == 2:
                raise OSError("no such file: weights")

        def predict(self, batch: WindowBatch) -> list[int]:
            raise AssertionError

        def close(self) -> None:
            closed.append(made.index(self))

    app = App("app")
    declare(Model, app, workers=2, per_worker=True)
    with pytest.raises(OSError, match="weights"):
        app.test({"readings": readings(0)})
    assert closed == [0]


def test_an_exception_in_predict_is_raised_as_it_is_with_its_traceback() -> None:
    class Odd(Exception):
        pass

    def broken(batch: WindowBatch) -> list[int]:
        raise Odd("on purpose")

    app = App("app")
    declare(broken, app, on_error="fail")
    with pytest.raises(Odd, match="on purpose") as caught:
        app.test({"readings": readings(0)})
    assert caught.traceback[-1].name == "broken"


def test_an_app_can_be_tested_again_after_a_failure() -> None:
    fail = [True]

    def sometimes(batch: WindowBatch) -> Any:
        if fail:
            raise OSError("not now")
        return batch.lengths

    app = App("app")
    declare(sometimes, app, on_error="fail")
    with pytest.raises(OSError, match="not now"):
        predictions(app)
    fail.clear()
    assert predictions(app) == [1, 1, 1]


def test_several_workers_give_the_same_output_in_the_same_order() -> None:
    def starts(batch: WindowBatch) -> Any:
        return batch.starts

    app = App("app")
    declare(starts, app, workers=4, max_batch=1)
    fed = {"readings": readings(*range(0, 500_000, 1_000))}
    assert [record.value["prediction"] for record in app.test(fed)["results"]] == [*range(0, 500_000, 10_000)]


def predict(batch: WindowBatch) -> Any:
    return batch.lengths


class _NoPredict:
    pass


class _NeedsArguments:
    def __init__(self, path: str) -> None: ...
    def predict(self, batch: WindowBatch) -> None: ...


class _NoBatch:
    def predict(self) -> None: ...


class _LoadWithArgument:
    def load(self, path: str) -> None: ...
    def predict(self, batch: WindowBatch) -> None: ...


class _PredictIsNoMethod:
    predict = 3


async def _piecemeal(batch: WindowBatch) -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (_NoPredict, r"_NoPredict.*has no method predict; decorate a function predict\(batch\)"),
        (_PredictIsNoMethod, r"has no method predict"),
        (_NeedsArguments, r"_NeedsArguments.*needs arguments.*load\(self\)"),
        (_NoBatch, r"cannot be called as predict\(self, batch\)"),
        (_LoadWithArgument, r"cannot be called as load\(self\)"),
        (lambda: None, r"cannot be called as predict\(batch\)"),
        (lambda batch, model: None, r"cannot be called as predict\(batch\)"),
        (_piecemeal, r"is an async generator; write it as async def predict\(batch\) that returns"),
        (3, r"3: is neither a function nor a class"),
        (_NoPredict(), r"is neither a function nor a class"),
    ],
)
def test_what_is_no_model_is_refused_where_it_is_declared(target: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=r"@app\.model on=.*" + message):
        declare(target, name="m")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "readings"}, r"source='readings': is not a Topic; write source=Topic\("),
        ({"window": "10s"}, r"window='10s': is not a window; write window=HoppingWindow"),
        ({"sink": ""}, r"sink='': is empty"),
        ({"sink": READINGS}, r"sink=.*is a Topic, not a string; write the name of a topic"),
        ({"max_batch": 0}, r"max_batch=0: is out of range"),
        ({"max_batch_events": 0}, r"max_batch_events=0: is out of range"),
        ({"target": 3}, r"target=3: is a bare number"),
        ({"workers": 0}, r"workers=0: is out of range"),
        ({"workers": 2.0}, r"workers=2.0: is a float"),
        ({"per_worker": 1}, r"per_worker=1: is an int, not a bool"),
        ({"per_worker": True}, r"per_worker=True: needs a class"),
        ({"late": "keep"}, r"late='keep'.*\"drop\" or \"topic\""),
        ({"on_error": "stop"}, r"on_error='stop': .*; write \"dead_letter\" or \"fail\" or \"skip\""),
        ({"retries": -1}, r"retries=-1: is out of range; write a whole number, 0 to 100"),
        ({"timeout": 5}, r"timeout=5: is a bare number.*\"5s\""),
        ({"timeout": "0s"}, r"timeout='0s': must be longer than zero"),
        ({"outputs": "label"}, r"outputs='label': is not a list of names"),
        ({"outputs": []}, r"outputs=\[\]: names no field"),
        ({"outputs": ["a", "a"]}, r"outputs=.*names 'a' twice"),
        ({"outputs": ["window"]}, r"outputs=.*names 'window', which each result record already has"),
        ({"load_timeout": 5}, r"load_timeout=5: is a bare number"),
        ({"pad_batch_to": 0}, r"pad_batch_to=0: is out of range"),
        ({"timestamps": None}, r"timestamps=None: is None, not a bool"),
        ({"version": 3}, r"version=3: is an int, not a string; write \"3\""),
    ],
)
def test_a_wrong_argument_names_setting_value_and_fix(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match="model 'predict' " + message):
        declare(predict, **options)


@pytest.mark.parametrize("name", ["", "a b", "modèle", 3, "x" * 101])
def test_a_name_holds_what_kafka_allows_in_names(name: Any) -> None:
    with pytest.raises(ConfigError, match=r"@app\.model name=.*write name=\"activity\""):
        declare(predict, name=name)


def test_what_has_no_usable_name_needs_one() -> None:
    with pytest.raises(ConfigError, match=r"name='<lambda>'"):
        declare(lambda batch: batch.lengths)
    with pytest.raises(ConfigError, match=r"no __name__"):
        declare(partial(predict))
    declare(partial(predict), name="m")


def test_a_name_is_taken_once_per_app() -> None:
    app = App("app")
    declare(predict, app)
    with pytest.raises(ConfigError, match=r"name='predict': is taken.*another name="):
        declare(predict, app, sink="others")
    declare(predict, app, sink="others", name="again")


def test_an_app_without_a_model_says_how_to_add_one() -> None:
    with pytest.raises(ConfigError, match=r"App\('app'\) has no model.*@app\.model"):
        App("app").test({})
