"""Models that run in processes of their own: importable by name, as they must be."""

import asyncio
import ctypes
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from millstream import EventBatch, WindowBatch


def beside(batch: WindowBatch) -> dict[str, Any]:
    """Return for each window the lengths of all windows of its call."""
    return {"beside": [batch.lengths.tolist()] * len(batch)}


class Unlike(Exception):
    """An exception that pickle takes and cannot give back."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)


def everything(batch: WindowBatch) -> dict[str, Any]:
    """Return all that a model can see of each window, to the last bit."""
    return {
        "name": [str(key) for key in batch.keys],
        "partition": batch.partitions,
        "bits": [window.values.tobytes().hex() for window in batch],
        "times": [window.timestamps.tolist() for window in batch],
        "site": batch.context["site"],
        "dtype": [str(batch.values.dtype)] * len(batch),
        "mean": [float(window.values.mean()) for window in batch],
        "padded": batch.pad(3)[0].sum(axis=(1, 2)),
    }


def everything_of_events(batch: EventBatch) -> dict[str, Any]:
    """Return all that a model can see of each event, to the last bit."""
    return {
        "name": [str(key) for key in batch.keys],
        "partitioned": batch.partitions,
        "where": batch.offsets,
        "when": batch.timestamps,
        "bits": [event.values.tobytes().hex() for event in batch],
        "site": batch.context["site"],
        "dtype": [str(batch.values.dtype)] * len(batch),
    }


def crashes_on_seven(batch: EventBatch) -> Any:
    """End the process where an event has the value 7."""
    if (batch["v"] == 7).any():
        os._exit(3)
    return batch["v"]


class Warm:
    """Scores events, and was warmed up with some."""

    def warmup(self, batch: EventBatch) -> None:
        """Remember of what kind the batch was."""
        self.kind = type(batch).__name__

    def predict(self, batch: EventBatch) -> list[str]:
        """Return it."""
        return [self.kind] * len(batch)


class Awaited:
    """Scores windows on the event loop of its process."""

    async def load(self) -> None:
        """Remember the loop."""
        self.loop = asyncio.get_running_loop()

    async def predict(self, batch: WindowBatch) -> list[bool]:
        """Return whether it is the same one."""
        await asyncio.sleep(0)
        return [asyncio.get_running_loop() is self.loop] * len(batch)


def means(batch: WindowBatch) -> Any:
    """Return the features of an estimator."""
    return batch.summary(["mean"])


def where(batch: WindowBatch) -> dict[str, Any]:
    """Return which process this is, and how `ps` and Python call it."""
    with open("/proc/self/comm") as comm:
        shown = comm.read().strip()
    name = multiprocessing.current_process().name
    return {"pid": [os.getpid()] * len(batch), "name": [name] * len(batch), "shown": [shown] * len(batch)}


def crashes(batch: WindowBatch) -> Any:
    """End the process in the way that a key asks for."""
    for key in batch.keys:
        if key == "exit":
            os._exit(3)
        if key == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        if key == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if key == "hang":
            time.sleep(3_600)
        if key == "forked" and os.fork() > 0:
            os._exit(4)
    return batch.lengths


def forks(batch: WindowBatch) -> Any:
    """Return from a process that was forked off, too."""
    os.fork()
    return [str(key) for key in batch.keys]


def always_crashes(batch: WindowBatch) -> Any:
    """End every process."""
    os._exit(1)


def raises(batch: WindowBatch) -> Any:
    """Raise in the way that a key asks for."""
    for key in batch.keys:
        if key == "plain":
            raise ValueError("cannot bear it")
        if key == "unlike":
            raise Unlike("one", "two")
        if key == "from":
            try:
                os.environ["NO_SUCH_VARIABLE"]
            except KeyError as error:
                raise ValueError("no such thing") from error
        if key == "exit":
            raise SystemExit(3)
    return batch.lengths


def unpicklable(batch: WindowBatch) -> Any:
    """Return what cannot leave the process."""
    return [lambda: None for _ in batch]


class CrashesOnce:
    """Ends the first process that gets a batch, and no later one."""

    def load(self) -> None:
        self.file = os.environ["CRASHED"]

    def predict(self, batch: WindowBatch) -> Any:
        if not os.path.exists(self.file):
            with open(self.file, "w"):
                os._exit(1)
        return batch.lengths


class Keeper:
    """Keeps every array that it was given."""

    def load(self) -> None:
        self.kept: list[tuple[Any, Any]] = []

    def predict(self, batch: WindowBatch) -> Any:
        self.kept.append((batch.values, batch.values.copy()))
        same = all(np.array_equal(kept, copy) for kept, copy in self.kept)
        return {"same": [same] * len(batch), "writeable": [bool(batch.values.flags.writeable)] * len(batch)}


class Life:
    """Writes down what is called."""

    def load(self) -> None:
        self.note("load")

    def warmup(self, batch: WindowBatch) -> None:
        self.note(f"warmup {len(batch)}")

    def predict(self, batch: WindowBatch) -> Any:
        self.note("predict")
        return batch.lengths

    def close(self) -> None:
        self.note("close")

    def note(self, what: str) -> None:
        with open(os.environ["NOTES"], "a") as notes:
            notes.write(f"{os.getpid()} {what}\n")


class BadLoad(Life):
    """Cannot be loaded."""

    def load(self) -> None:
        raise FileNotFoundError("no model.onnx here")


class DiesLoading(Life):
    """Ends its process where it should load."""

    def load(self) -> None:
        os._exit(7)


class BadClose(Life):
    """Cannot be closed."""

    def close(self) -> None:
        raise RuntimeError("cannot close")


class LoadsOnce(Life):
    """Loads in the first process, and in no later one; that one ends in its first call."""

    def load(self) -> None:
        if os.path.exists(os.environ["NOTES"]):
            raise OSError("the licence is taken")
        self.note("load")

    def predict(self, batch: WindowBatch) -> Any:
        os._exit(1)


class Threads:
    """Says how many threads BLAS and OpenMP libraries would use."""

    def load(self) -> None:
        import sklearn  # noqa: F401

    def predict(self, batch: WindowBatch) -> Any:
        from threadpoolctl import threadpool_info

        most = max(library["num_threads"] for library in threadpool_info())
        return {"most": [most] * len(batch), "omp": [os.environ.get("OMP_NUM_THREADS")] * len(batch)}


class Spinning:
    """Holds the interpreter."""

    def warmup(self, batch: WindowBatch) -> None:
        pass

    def predict(self, batch: WindowBatch) -> Any:
        # Work would take longer on busy cores; a sleep that keeps the lock does not.
        ctypes.PyDLL(None).usleep(20_000)
        return batch.lengths


class Sleeping(Spinning):
    """Lets others have the interpreter."""

    def predict(self, batch: WindowBatch) -> Any:
        time.sleep(0.02)
        return batch.lengths


def meets(batch: WindowBatch) -> list[int]:
    """Return which process this is, once there has been a call in another one beside the first one here."""
    folder = Path(os.environ["MEETING"])
    (folder / str(os.getpid())).touch()
    give_up = time.monotonic() + 60
    while len(os.listdir(folder)) < 2:
        if time.monotonic() > give_up:
            raise TimeoutError("nobody came")
        time.sleep(0.01)
    return [os.getpid()] * len(batch)
