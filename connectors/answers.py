"""A tracker's raw answer, read whole within bounds of size and time, and never trusted to be what it should be."""

import json
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec
import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from connectors.base import AuthenticationFailed, Retriable, Unreachable

#: No page of a tracker is larger; more is refused before memory is.
LARGEST_ANSWER = 64 * 1024 * 1024
#: A whole answer must have arrived by then, however slowly it drips.
DEADLINE_S = 60.0
CONNECT_S = 10.0
_CHUNK = 256 * 1024


@dataclass(frozen=True)
class Answer:
    """Status, headers (names in lower case) and body of one HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def date(self) -> datetime | None:
        """The server's clock, by its ``Date`` header; None where it says none."""
        try:
            return parsedate_to_datetime(self.headers.get("date", "")).astimezone(UTC)
        except (ValueError, TypeError):
            return None

    @property
    def is_html(self) -> bool:
        kind = self.headers.get("content-type", "")
        return "html" in kind or self.body[:200].lstrip().lower().startswith((b"<!doctype", b"<html"))

    def message(self) -> str:
        """What the tracker says went wrong, in its own short words; never a page of HTML."""
        if self.is_html:
            return "a page of HTML"
        try:
            said = msgspec.json.decode(self.body)
        except (ValueError, RecursionError):
            return _short(self.body[:200].decode("utf-8", "replace"))
        if isinstance(said, dict):
            texts = said.get("errorMessages") or [said.get("message") or said.get("error") or ""]
            return _short("; ".join(str(text) for text in texts if text))
        return ""


def _short(text: str) -> str:
    return " ".join(text.split())[:200]


class _InTime(HTTPConnection):
    """A connection whose answer begins by the deadline, or never: a time-out counts from byte to byte only."""

    def getresponse(self) -> Any:
        late = threading.Event()
        watch = threading.Timer(DEADLINE_S, _shut, (self.sock, late))
        watch.daemon = True
        watch.start()
        try:
            response = super().getresponse()
        finally:
            watch.cancel()
        if late.is_set():  # the headers that had come would pass for all of them
            response.close()
            raise TimeoutError("the answer did not begin in time")
        return response


class _InTimeTLS(_InTime, HTTPSConnection):
    """The same over TLS."""


def _shut(sock: socket.socket, late: threading.Event) -> None:
    late.set()
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _InTime


class _PoolTLS(urllib3.HTTPSConnectionPool):
    ConnectionCls = _InTimeTLS


def keep_in_time(session: requests.Session) -> None:
    """Bound the time in which this session's answers begin; `ask` bounds the rest.

    And keep to the credential that the session was given: no .netrc replaces it.
    """
    for scheme in ("http://", "https://"):
        adapter = HTTPAdapter()
        adapter.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _PoolTLS}
        session.mount(scheme, adapter)
    session.trust_env = False


def ask(session: requests.Session, method: str, url: str, **how: Any) -> Answer:
    """One request and its whole answer. Redirects are not followed: the caller looks where they lead.

    Raises Retriable where the connection fails, the answer breaks off, or it does not arrive by the deadline.
    """
    deadline, bodies = time.monotonic() + DEADLINE_S, list[bytes]()

    def whole(response: requests.Response, **_: Any) -> None:
        try:
            bodies.append(_body(response, deadline))
        except BaseException:
            response.close()
            raise

    hooks = {"response": whole}  # before requests looks for a redirect, for which it reads a body without bounds
    try:
        with requests.Session.request(
            session, method, url, timeout=(CONNECT_S, 30), allow_redirects=False, stream=True, hooks=hooks, **how
        ) as response:
            body = bodies[-1]
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status_code, headers, body)
    except requests.exceptions.SSLError as error:
        raise Unreachable(f"the TLS certificate of {_host(url)} is not trusted") from error
    except requests.exceptions.RequestException as error:
        raise Retriable(f"{_host(url)} could not be read: {type(error).__name__}") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise Retriable(f"the answer of {_host(url)} broke off: {type(error).__name__}") from error


def _body(response: requests.Response, deadline: float) -> bytes:
    chunks, size = [], 0
    # read1 gives what has come; iter_content would wait for a whole chunk, and an answer that drips never ends
    while chunk := response.raw.read1(_CHUNK, decode_content=True):
        chunks.append(chunk)
        size += len(chunk)
        if size > LARGEST_ANSWER:
            raise Unreachable(f"an answer of more than {LARGEST_ANSWER // 2**20} MB was refused")
        if time.monotonic() > deadline:
            raise Retriable(f"an answer did not arrive within {DEADLINE_S:.0f} s")
    body = b"".join(chunks)
    told = response.headers.get("content-length", "")
    if told.isdigit() and "content-encoding" not in response.headers and len(body) < int(told):
        raise Retriable("an answer broke off in the middle")
    return body


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def parsed(answer: Answer, shape: type[Any]) -> Any:
    """The JSON in a good answer, of the wanted outer shape (`dict` or `list`).

    Raises AuthenticationFailed for a login page, Retriable for what no tracker says.
    """
    if answer.is_html:
        if b"login" in answer.body[:50_000].lower() or b"sign in" in answer.body[:50_000].lower():
            raise AuthenticationFailed("a login page stands where the tracker's answer should be")
        raise Retriable("a page of HTML stands where the tracker's answer should be")
    try:
        found = _decoded(answer.body)
    except (ValueError, RecursionError) as error:
        raise Retriable("the answer is empty" if not answer.body else "the answer is no whole JSON") from error
    if not isinstance(found, shape):
        raise Retriable(f"the answer is no JSON {'object' if shape is dict else 'list'}")
    return found


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        if b"\\ud" not in body.lower():
            raise
        # half a surrogate pair is JSON and no text: one such title must not hide a whole page
        text = json.dumps(json.loads(body), ensure_ascii=False)
        return msgspec.json.decode(text.encode("utf-8", "replace"))


def redirected(answer: Answer, url: str) -> str:
    """Where a redirect leads, on the same origin. Raises AuthenticationFailed where it leads to a login or away."""
    target = urljoin(url, answer.headers.get("location", ""))
    here, there = urlsplit(url), urlsplit(target)
    if (there.scheme, there.netloc) != (here.scheme, here.netloc) or "login" in there.path.lower():
        raise AuthenticationFailed(
            f"the tracker redirects to {there.scheme}://{_host(target)}{there.path}; "
            "the credential is only ever sent to the configured address. Check `url`, and that the token is valid"
        )
    return target
