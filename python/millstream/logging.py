"""JSON lines from Python's `logging`, for programs that collect them: one object per record.

```python
import logging
from millstream.logging import JsonFormatter

handler = logging.StreamHandler()
handler.setFormatter(JsonFormatter())
logging.getLogger("millstream").addHandler(handler)
```
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any

__all__ = ["JsonFormatter"]

# What every record has; anything else was given with it.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON.

    `time` (RFC 3339, UTC, ms), `level`, `logger`, `message`; then what the record was given as `extra`.
    Records of Millstream have `app` and, as far as they are about them, `model`, `topic`, `partition`,
    `offset`, `key` and `window`, which is `[start, end]` in epoch ms. With an exception `exception` holds its
    traceback. Anything that JSON has no form for is written as its `str`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        return json.dumps({"time": time.replace("+00:00", "Z"), **self.fields(record)}, default=str)

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """Return all of the line but its time."""
        line: dict[str, Any] = {
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        taken = _OWN | line.keys() | {"time", "type"}
        line |= {name: value for name, value in vars(record).items() if name not in taken}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return line
