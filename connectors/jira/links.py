"""Pure: the links of an issue to others."""

import re
from collections.abc import Mapping
from typing import Any

from connectors.text import MOST_NAMES, clean
from schemas.work import Link, LinkKind, item_uid

_ID = re.compile(r"[0-9]{1,19}", re.ASCII)
#: What the words of Jira's own link types begin with; an administrator may rename a type, or add one.
_KINDS: tuple[tuple[str, LinkKind], ...] = (
    ("block", "blocks"),
    ("is blocked", "blocks"),
    ("duplicate", "duplicates"),
    ("is duplicated", "duplicates"),
    ("clone", "clones"),
    ("is cloned", "clones"),
    ("relate", "relates"),
)


def links_of(value: Any, source: str) -> tuple[tuple[Link, ...], bool]:
    """The links that ``fields.issuelinks`` tells, and whether some were left out because there are too many.

    Each entry has one of ``outwardIssue`` (this issue blocks it) and ``inwardIssue`` (it blocks this one), and the
    same id at both issues (Jira Cloud REST API v3, schema ``IssueLink``). An entry that has neither with an id, or no
    id of its own, is no link.
    """
    entries = value if isinstance(value, list) else ()
    found = {(one.id, one.to): one for entry in entries if (one := _link(entry, source)) is not None}
    links = [found[name] for name in sorted(found)]
    return tuple(links[:MOST_NAMES]), len(links) > MOST_NAMES


def _link(entry: Any, source: str) -> Link | None:
    if not isinstance(entry, Mapping) or not _is_id(entry.get("id")):
        return None
    inward = not isinstance(entry.get("outwardIssue"), Mapping)
    other = entry.get("inwardIssue" if inward else "outwardIssue")
    if not isinstance(other, Mapping) or not _is_id(other.get("id")):
        return None
    type_ = entry.get("type")
    words = type_ if isinstance(type_, Mapping) else {}
    return Link(
        id=str(entry["id"]),
        kind=_kind(words),
        to=item_uid(source, "issue", other["id"]),
        inward=inward,
        name=clean(words.get("inward" if inward else "outward")),
    )


def _kind(type_: Mapping[str, Any]) -> LinkKind:
    for words in (type_.get("outward"), type_.get("inward"), type_.get("name")):
        folded = clean(words).casefold()
        for beginning, kind in _KINDS:
            if folded.startswith(beginning):
                return kind
    return "other"


def _is_id(value: Any) -> bool:
    return (
        isinstance(value, str | int) and not isinstance(value, bool) and str(value).isascii() and str(value).isdigit()
    )
