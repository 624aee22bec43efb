"""Async models: awaited to their end on a loop of their worker, with nothing left behind."""

import asyncio
import contextvars
import gc
import threading
from typing import Any

import pytest

from harness import READINGS, TUMBLING, readings
from millstream import App, ConfigError, WindowBatch

FED = {"readings": readings(0, 10_000, 20_000)}


def app_of(model: Any, **options: Any) -> App:
    app = App("app")
    app.model(source=READINGS, window=TUMBLING, sink="results", name="m", **options)(model)
    return app


def predictions(app: App) -> list[Any]:
    return [record.value["prediction"] for record in app.test(FED)["results"]]


async def lengths(batch: WindowBatch) -> Any:
    await asyncio.sleep(0.001)
    return batch.lengths


class _Callable:
    async def __call__(self, batch: WindowBatch) -> Any:
        return await lengths(batch)


@pytest.mark.parametrize("model", [lengths, _Callable()])
def test_an_async_function_is_awaited(model: Any) -> None:
    assert predictions(app_of(model, workers=2)) == [1, 1, 1]


def test_everything_of_an_instance_is_awaited_on_one_loop() -> None:
    loops: list[Any] = []

    class Model:
        async def load(self) -> None:
            loops.append(asyncio.get_running_loop())
            self.lock = asyncio.Lock()

        async def warmup(self, batch: WindowBatch) -> None:
            await self.predict(batch)

        async def predict(self, batch: WindowBatch) -> Any:
            loops.append(asyncio.get_running_loop())
            async with self.lock:
                return batch.lengths

        async def close(self) -> None:
            loops.append(asyncio.get_running_loop())

    assert predictions(app_of(Model)) == [1, 1, 1]
    assert len(loops) >= 4
    assert len(set(loops)) == 1
    assert loops[0].is_closed()


def test_a_sync_predict_may_have_an_async_load() -> None:
    class Model:
        async def load(self) -> None:
            self.said = 7

        def predict(self, batch: WindowBatch) -> list[int]:
            return [self.said] * len(batch)

    assert predictions(app_of(Model)) == [7, 7, 7]


def test_instances_of_several_workers_have_a_loop_each() -> None:
    loops: list[Any] = []

    class Model:
        async def load(self) -> None:
            loops.append(asyncio.get_running_loop())

        async def predict(self, batch: WindowBatch) -> Any:
            assert asyncio.get_running_loop() in loops
            return batch.lengths

    assert predictions(app_of(Model, workers=3, per_worker=True)) == [1, 1, 1]
    assert len(set(loops)) == 3


def test_one_instance_on_several_loops_is_refused() -> None:
    class Model:
        async def predict(self, batch: WindowBatch) -> Any: ...

    with pytest.raises(ConfigError, match=r"workers=2: and one instance with async.*per_worker=True"):
        app_of(Model, workers=2)


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_what_an_async_model_raises_is_its_failure(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    async def predict(batch: WindowBatch) -> Any:
        await asyncio.sleep(0)
        if 10_000 in batch.starts:
            raise error
        return batch.lengths

    # On a thread of its own: on the main one an interrupt is a user's.
    out: list[Any] = []
    thread = threading.Thread(target=lambda: out.append(app_of(predict).test(FED)))
    thread.start()
    thread.join()
    assert (len(out[0]["results"]), len(out[0]["app.dead-letter"])) == (2, 1)
    # Nor does its task end unheard.
    gc.collect()
    assert [record for record in caplog.records if record.name == "asyncio"] == []


def test_tasks_that_a_model_leaves_behind_are_cancelled_at_the_end() -> None:
    ends: list[str] = []
    kept: list[Any] = []

    async def linger() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ends.append("cancelled")

    async def predict(batch: WindowBatch) -> Any:
        kept.append(asyncio.create_task(linger()))
        await asyncio.sleep(0)
        return batch.lengths

    assert predictions(app_of(predict, max_batch=3)) == [1, 1, 1]
    assert ends == ["cancelled"] * len(kept)


def test_a_loop_sees_the_context_of_its_call() -> None:
    said: contextvars.ContextVar[int] = contextvars.ContextVar("said", default=0)

    async def predict(batch: WindowBatch) -> list[int]:
        said.set(said.get() + 1)
        return [said.get()] * len(batch)

    assert set(predictions(app_of(predict, max_batch=1))) == {1}
