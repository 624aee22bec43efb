"""Threads that BLAS and OpenMP libraries start by themselves: the share of a worker, not all cores."""

import os
from typing import Any

# What the libraries read when they are loaded. Where one of these is set, somebody has decided.
_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


def cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_each(workers: int) -> int | None:
    """Return the most threads that a library is to use in each of several workers; None for any number."""
    if workers == 1 or any(os.environ.get(variable) for variable in _VARIABLES):
        return None
    return max(1, cores() // workers)


def share(workers: int) -> int:
    """Return the threads of a library that has to be told, by worker: `OMP_NUM_THREADS`, or its share."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdecimal() and int(said) > 0 else max(1, cores() // workers)


def limit_process(threads: int) -> None:
    """Set the limit for libraries that this process has not loaded yet."""
    for variable in _VARIABLES:
        os.environ.setdefault(variable, str(threads))


def limit_loaded(threads: int) -> Any:
    """Set the limit for the libraries that are loaded, OpenMP's on this thread alone; needs threadpoolctl.

    Returns:
        What puts the old limits back by `restore_original_limits()`; None without threadpoolctl,
        or where no library used more threads.
    """
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    controller = ThreadpoolController()
    above = {library["prefix"]: threads for library in controller.info() if library["num_threads"] > threads}
    return controller.limit(limits=above) if above else None


def said(model: str, workers: int, threads: int) -> str:
    """Return the line for the log."""
    return (
        f"model {model}: BLAS and OpenMP libraries use {threads} thread{'s' * (threads > 1)} in each of its "
        f"{workers} workers, as there are {cores()} cores; OMP_NUM_THREADS sets another number"
    )
