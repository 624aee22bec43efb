"""What the workers of a model are: threads of this process, or processes of their own."""

from typing import TYPE_CHECKING, Any

from millstream._model import ModelSpec

if TYPE_CHECKING:
    from millstream._core import ModelHooks


def hooks_of(spec: ModelSpec, params: dict[str, Any] | None = None) -> "ModelHooks":
    """Return what the engine calls around the workers of a model, in a run with these parameters."""
    # What processes need is imported where there are any.
    if spec.pool == "processes":
        from millstream._pool.processes import ProcessHooks

        return ProcessHooks(spec, params)
    from millstream._pool.threads import ThreadHooks

    return ThreadHooks(spec, params)
