"""Where the reading of a project is, as it is stored from page to page."""

from datetime import datetime

import msgspec


class Window(msgspec.Struct):
    """Issues created in [start, end); ``anchor`` is the creation time of the last one that is stored.

    On a Data Center it is the whole second of that. ``before`` says how many older ones were listed, ``seen`` how many
    in all, each once; ``count`` how many the site counted, where it was asked.
    """

    start: datetime | None
    end: datetime | None
    anchor: datetime | None = None
    seen: int = 0
    before: int = 0
    done: bool = False
    count: int | None = None


class Checkpoint(msgspec.Struct):
    """Where the reading of a project is: windows of a backfill in progress, or the start of the last whole pass."""

    began: datetime | None = None  #: server time at the start of the backfill
    windows: list[Window] = []
    cursor: datetime | None = None  #: server time at the start of the last complete pass
    total: int | None = None


_CHECKPOINT: msgspec.json.Decoder[Checkpoint] = msgspec.json.Decoder(Checkpoint)


def decoded(checkpoint: bytes | None) -> Checkpoint:
    """A stored checkpoint; an empty one where nothing was read yet."""
    return _CHECKPOINT.decode(checkpoint) if checkpoint else Checkpoint()


def encoded(checkpoint: Checkpoint) -> msgspec.Raw:
    """A checkpoint to be stored with a page."""
    return msgspec.Raw(msgspec.json.encode(checkpoint))
