"""Polls that cost nothing while nothing changes: answers remembered by their ETags, and what of a list is stored.

An ETag belongs to the token that asked, and a 304 spends nothing of the primary limit (GitHub REST API, "Best
practices": conditional requests).
"""

import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any
from urllib.parse import urlencode

import msgspec
import requests

from connectors.answers import Answer, ask
from connectors.base import Retriable
from connectors.github.translate import moment
from connectors.pacing import Clock

#: An answer is read anew so long after it was last read whole, whatever its 304s say. Shorter than a bucket reaches
#: back, so that an update that a wrong 304 hid lies in the list that is read then, late entries included.
BELIEVED_S = 50 * 60.0
#: Bytes of all that is remembered, compressed, and of one answer.
_MOST_BYTES = 32 * 1024 * 1024
_LARGEST = 512 * 1024
#: Issues of one repository that are known to be stored as they are listed.
_MOST_STORED = 2_000
_BUCKET = timedelta(hours=1)


def bucket(cursor: datetime) -> datetime:
    """The start of the hour before a moment's: a lower bound that stays the same for an hour, and so does the URL."""
    return cursor.replace(minute=0, second=0, microsecond=0) - _BUCKET


@dataclass(frozen=True)
class Unchanged(Answer):
    """An answer that was read whole before, and that the host says still holds."""


@dataclass(frozen=True)
class _Remembered:
    etag: str
    headers: Mapping[str, str]
    packed: bytes
    read_at: float


class Remembered:
    """Answers by who asked and their URL, the most recently used ones; asked from several threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: OrderedDict[tuple[bytes, str], _Remembered] = OrderedDict()
        self._bytes = 0

    def ask(
        self, session: requests.Session, method: str, url: str, *, headers: Mapping[str, str], **how: Any
    ) -> Answer:
        """One GET as `connectors.answers.ask` makes it; `Unchanged` where the host says 304 to what we remember.

        A 304 to anything else is handed on as it is. Raises Retriable, too, where it names another ETag than ours.
        """
        credential = blake2b(headers.get("Authorization", "").encode(), digest_size=16).digest()
        key = (credential, _address(url, how.get("params")))
        known = self._known(key)
        sent = self._clock.monotonic()
        told = {**headers, "If-None-Match": known.etag} if known else headers
        answer = ask(session, method, url, headers=told, **how)
        if answer.status == 304 and known is not None:
            if _opaque(answer.headers.get("etag", known.etag)) != _opaque(known.etag):
                self.forget(url, how.get("params"))
                raise Retriable("answered 304 to an ETag that was not sent")
            return Unchanged(200, {**known.headers, **answer.headers}, zlib.decompress(known.packed))
        if answer.status == 200:
            self._keep(key, answer, sent)
        return answer

    def forget(self, url: str, params: Mapping[str, Any] | None) -> None:
        """Read this anew, whoever asked: what it said was no answer."""
        address = _address(url, params)
        with self._lock:
            for key in [key for key in self._answers if key[1] == address]:
                self._drop(key)

    def _known(self, key: tuple[bytes, str]) -> _Remembered | None:
        with self._lock:
            found = self._answers.get(key)
            if found is None:
                return None
            if self._clock.monotonic() - found.read_at >= BELIEVED_S:
                self._drop(key)
                return None
            self._answers.move_to_end(key)
            return found

    def _keep(self, key: tuple[bytes, str], answer: Answer, sent: float) -> None:
        etag = answer.headers.get("etag", "")
        # what single sign-on holds back may be granted without a new ETag
        packed = b"" if not etag or "x-github-sso" in answer.headers else zlib.compress(answer.body, 1)
        headers = {name: value for name, value in answer.headers.items() if name == "link"}
        with self._lock:
            self._drop(key)
            if not packed or len(packed) > _LARGEST:
                return
            self._answers[key] = _Remembered(etag, headers, packed, sent)
            self._bytes += len(packed)
            while self._bytes > _MOST_BYTES:
                self._drop(next(iter(self._answers)))

    def _drop(self, key: tuple[bytes, str]) -> None:
        found = self._answers.pop(key, None)
        self._bytes -= len(found.packed) if found is not None else 0


def _address(url: str, params: Mapping[str, Any] | None) -> str:
    return f"{url}?{urlencode(params or {})}"


def _opaque(etag: str) -> str:
    return etag.removeprefix("W/")


@dataclass
class Stored:
    """What the passes of this process have proven of a repository's recent issues.

    ``cursor`` is that of the last complete pass: after any other one nothing here holds. ``whole`` is the bucket
    whose list was proven to end with its first page.
    """

    cursor: datetime | None = None
    whole: datetime | None = None
    _digests: dict[int, tuple[datetime, bytes]] = field(default_factory=dict)

    def new(self, rows: Iterable[Any]) -> list[Any]:
        """The rows that are not stored as they are."""
        return [row for row in rows if (id_ := _id(row)) is None or self._digests.get(id_) != _digest(row)]

    def note(self, rows: Iterable[Any]) -> None:
        """These rows are stored, with all that belongs to them."""
        for row in rows:
            id_, digest = _id(row), _digest(row)
            if id_ is not None and digest is not None:
                self._digests.pop(id_, None)
                self._digests[id_] = digest
        while len(self._digests) > _MOST_STORED:
            del self._digests[next(iter(self._digests))]

    def complete(self, cursor: datetime) -> None:
        """A pass has ended; what no later bucket lists is forgotten."""
        self.cursor = cursor
        self._digests = {id_: one for id_, one in self._digests.items() if one[0] >= bucket(cursor)}


def _id(row: Any) -> int | None:
    found = row.get("id") if isinstance(row, Mapping) else None
    return found if isinstance(found, int) else None


def _digest(row: Any) -> tuple[datetime, bytes] | None:
    updated = moment(row.get("updated_at"))
    return None if updated is None else (updated, blake2b(msgspec.json.encode(row), digest_size=12).digest())
