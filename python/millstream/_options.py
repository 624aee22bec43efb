"""The options that all ways of adding a model share, for `App.add_model`; `App.model` spells them out."""

from collections.abc import Sequence
from typing import Literal, TypedDict

from millstream._durations import Duration


class ModelOptions(TypedDict, total=False):
    """What `App.model` takes beside source, window and sink; it says what each of them means."""

    max_batch: int
    max_batch_events: int | None
    length_buckets: Sequence[int] | Literal["exact"] | None
    target: Duration | None
    workers: int
    per_worker: bool
    pool: Literal["threads", "processes"]
    late: Literal["drop", "topic"]
    on_error: Literal["dead_letter", "fail", "skip"]
    retries: int
    timeout: Duration | None
    load_timeout: Duration | None
    outputs: Sequence[str] | None
    timestamps: bool
    pad_batch_to: int | None
    batch: bool
    name: str | None
    version: str | None
