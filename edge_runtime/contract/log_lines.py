"""What a program's log looks like: one line per event, for people or as JSON, from a chosen level on."""

import json
import logging
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal

_TEXT = "%(asctime)s %(levelname)s %(message)s"
_CAMERA = "camera %s"  # how every sentence about one camera begins


@dataclass(frozen=True)
class LogSettings:
    """How the log is written, to standard error. level: what is less important is left out."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


def set_up_log(settings: LogSettings) -> None:
    """Write the log of this process so from now on; may be called again."""
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, _LogHandler)]:
        root.removeHandler(handler)
    handler = _LogHandler()
    handler.setFormatter(_JsonFormatter() if settings.format == "json" else logging.Formatter(_TEXT))
    root.addHandler(handler)
    root.setLevel(settings.level.upper())


class _LogHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Ours among the handlers that others may have added."""


class _JsonFormatter(logging.Formatter):
    """One JSON object per line: time (UTC, RFC 3339), level, part, message; camera, traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        moment = datetime.fromtimestamp(record.created, timezone.utc)
        fields: dict[str, str] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "part": record.name,
            "message": record.getMessage(),
        }
        if isinstance(record.args, tuple) and record.args and str(record.msg).startswith(_CAMERA):
            fields["camera"] = str(record.args[0])
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)
