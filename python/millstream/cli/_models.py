"""Models loaded and warmed up as a run does it, for `millstream check`: a finding for each."""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from millstream import _params
from millstream._model import ModelSpec
from millstream._pool import hooks_of
from millstream.cli._errors import print_traceback
from millstream.errors import ConfigError

Finding = tuple[str, str, str, str]


def load_models(specs: Sequence[ModelSpec], params: dict[str, Any] | None) -> list[Finding]:
    """Load, warm up and close every model; the traceback of one that raises goes to standard error."""
    try:
        given = _params.check(params, specs)
    except ConfigError as error:
        return [("error", "models", "params", str(error))]
    return [_load(spec, given) for spec in specs]


def _load(spec: ModelSpec, params: dict[str, Any] | None) -> Finding:
    hooks = hooks_of(spec, params)
    began = time.perf_counter()
    call = "load or warmup"
    try:
        hooks.start()
        hooks.open()
        seconds = time.perf_counter() - began
        call = "close"
        hooks.close()
    except Exception as error:
        # What has been loaded beside it is let go of; that it failed is told already.
        with suppress(Exception):
            hooks.close()
        print_traceback(error)
        said = " ".join(f"{type(error).__name__}: {error}".split())
        text = f"model {spec.name}: {call} raised {said}. Correct the model; a run would end with it"
        return ("error", "models", spec.name, text)
    return ("ok", "models", spec.name, f"model {spec.name}: loaded and warmed up in {seconds:.2f} s")
