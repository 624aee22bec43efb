"""A model in processes of its own, on a real broker: kills and hangs cost no window and repeat none."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from .checks import assert_outputs, flat
from .conftest import NewJob
from .load import chunks, load
from .oracle import Model
from .runner import Worker
from .test_failures import POISON, assert_contained

PROCESSES = {"pool": "processes", "workers": 2}


def processes_of(worker: Worker) -> list[int]:
    """The processes of the model `m` that a worker has started."""
    tasks = Path(f"/proc/{worker.process.pid}/task").iterdir()
    children = [int(child) for task in tasks for child in read(task / "children").split()]
    return [child for child in children if read(Path(f"/proc/{child}/comm")).startswith("m-")]


def read(path: Path) -> str:
    """What the system says of a thread or a process; nothing where it has ended meanwhile."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


@pytest.mark.timeout(300)
def test_kills_of_the_program_and_of_its_processes_neither_lose_nor_repeat_a_window(new_job: NewJob) -> None:
    model = Model("m", 10_000, 2_000, grace=2_000, options={"max_batch": 32, **PROCESSES})
    static = {"group.instance.id": "one"}
    job = new_job(model, settings={"kafka": static, "epoch": "10ms"}, delay=0.001, poison=POISON)
    pieces = chunks(load(6_000, span=90_000), 60)
    for kill in range(3):
        worker = job.start()
        before = job.progress()
        for piece in pieces[kill * 20 : kill * 20 + 10]:
            job.kafka.produce(job.source.topic, piece)
        worker.until(lambda before=before: job.progress() > before, "a commit of its own")  # type: ignore[misc]
        processes = processes_of(worker)
        assert len(processes) == 2
        before = job.progress()
        os.kill(processes[kill % 2], signal.SIGKILL)
        for piece in pieces[kill * 20 + 10 : kill * 20 + 20]:
            job.kafka.produce(job.source.topic, piece)
        worker.until(lambda before=before: job.progress() > before, "a commit after it")  # type: ignore[misc]
        worker.kill()
    job.run()
    assert_contained(job, model)


@pytest.mark.timeout(300)
def test_a_window_that_hangs_costs_its_process_and_not_the_run(new_job: NewJob) -> None:
    # Longer than a busy machine stops a call that does return; small batches, as each half of one waits anew.
    model = Model("m", 10_000, 10_000, grace=0, options={"timeout": "6s", "max_batch": 4, **PROCESSES})
    job = new_job(model, hang=500)
    job.kafka.produce(job.source.topic, load(2_000, span=60_000))
    metrics = job.run()
    verdict = job.expected()
    windows = verdict.windows["m"]
    hung = [window for of in windows.values() for window in of if 500 in window.seqs]
    for partition, of in windows.items():
        windows[partition] = [window for window in of if 500 not in window.seqs]
    dead = flat(job.kafka.read(job.dead_letter_topic))
    assert [record.key for record in dead] == [window.key for window in hung]
    assert ["had not returned within timeout=6000ms" in record.json["error"] for record in dead] == [True]
    assert metrics["models"]["m"]["workers_replaced"] >= 2
    assert_outputs(job, verdict)
