"""Models loaded and warmed up as a run does it, for `millstream check`: a finding for each."""

import time
from collections.abc import Sequence

from millstream._hooks import ModelHooks
from millstream._model import ModelSpec
from millstream.cli._errors import print_traceback

Finding = tuple[str, str, str, str]


def load_models(specs: Sequence[ModelSpec]) -> list[Finding]:
    """Load, warm up and close every model; the traceback of one that raises goes to standard error."""
    return [_load(spec) for spec in specs]


def _load(spec: ModelSpec) -> Finding:
    hooks = ModelHooks(spec)
    began = time.perf_counter()
    call = "load or warmup"
    try:
        hooks.open()
        seconds = time.perf_counter() - began
        call = "close"
        hooks.close()
    except Exception as error:
        print_traceback(error)
        said = " ".join(f"{type(error).__name__}: {error}".split())
        text = f"model {spec.name}: {call} raised {said}. Correct the model; a run would end with it"
        return ("error", "models", spec.name, text)
    return ("ok", "models", spec.name, f"model {spec.name}: loaded and warmed up in {seconds:.2f} s")
