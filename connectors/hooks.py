"""Pure: what a tracker's webhook is worth: a signature over its bytes, and hints of what may have changed.

A hook never carries state: what it names is asked for again.
"""

import hashlib
import hmac
from typing import Any

import msgspec

from connectors.base import Ref


class MalformedHook(ValueError):
    """A body or headers that no hook of this tracker has."""


class Hints(msgspec.Struct, frozen=True, kw_only=True):
    """What may have changed: single items, (``poll``) something that a poll lists whole, and (``lists``) something
    that only the lists tell which are read once an hour.

    A ref's ``uid`` ends in a colon where the hook does not tell the identity, and its ``container`` is empty where it
    does not tell that; the stored items do.
    """

    items: tuple[Ref, ...] = ()
    poll: bool = False
    lists: bool = False


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One hook: the tracker's id of it (the same when it is sent again), what it is about, and what it hints at."""

    id: str
    event: str
    hints: Hints = Hints()
    known: bool = True  #: False: an event that no list of ours has, which is counted


def is_signed(secret: str, told: str | None, body: bytes) -> bool:
    """Whether ``told`` is ``sha256=`` and the hex HMAC-SHA256 of the raw body; compared in constant time.

    Sources: GitHub Docs, "Validating webhook deliveries"; Jira Cloud platform, "Webhooks: secure admin webhooks".
    """
    wanted = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted.encode(), (told or "").encode("utf-8", "replace"))


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body. Raises MalformedHook."""
    try:
        found = msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:
        raise MalformedHook("the body is no JSON") from error
    if not isinstance(found, dict):
        raise MalformedHook("the body is no JSON object")
    return found


def numeric(value: Any) -> str:
    """An immutable id as trackers write it, a number or its digits; empty for anything else."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text if text.isascii() and text.isdigit() and len(text) <= 19 else ""
