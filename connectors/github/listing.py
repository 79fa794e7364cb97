"""What a GitHub host's answers say: a page of a list and the way to the next one, or a refusal.

API facts: GitHub REST API, "Using pagination in the REST API", "Troubleshooting the REST API".
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from connectors.answers import Answer, parsed
from connectors.base import ConnectorError, Retriable

_LINK = re.compile(r"<([^>]*)>([^<]*)")
_REL = re.compile(r"""\brel\s*=\s*["']?([^"';,]+)""", re.IGNORECASE)
_PAGE_NUMBER = re.compile(r"[?&]page=([0-9]{1,9})(?:&|$)")


class Refused(ConnectorError):
    """The host understood the request and says no: 400, 403, 404, 410, 422 or 451."""

    def __init__(self, answer: Answer, source: str) -> None:
        self.status = answer.status
        self.said = answer.message()
        self.sso = answer.headers.get("x-github-sso", "")
        self.needs = answer.headers.get("x-accepted-github-permissions", "")
        super().__init__(f"answered {answer.status}: {self.said}", source=source)


@dataclass(frozen=True)
class Listing:
    """One page of a list, the address of the next and the number of the last, where the host tells it.

    ``partial`` is set where some of the list is withheld from the token.
    """

    rows: list[Any]
    next: str | None
    last: int | None = None
    partial: str = ""
    unchanged: bool = False  #: the host said that an earlier answer still holds


def rows_of(answer: Answer) -> list[Any]:
    """The rows of a list. Raises Retriable where not one of them is an object with an id."""
    rows: list[Any] = parsed(answer, list)
    if rows and not any(isinstance(row, dict) and "id" in row for row in rows):
        raise Retriable("a page of the list holds something else than its objects")
    return rows


def listing_of(answer: Answer, rows: list[Any], checked: Callable[[str], str], *, unchanged: bool) -> Listing:
    """The rows of an answer as a page; the address of the next one as ``checked`` gives it."""
    links = _links(answer)
    number = _PAGE_NUMBER.search(links.get("last", ""))
    return Listing(
        rows,
        checked(links["next"]) if "next" in links else None,
        int(number[1]) if number else None,
        answer.headers.get("x-github-sso", ""),
        unchanged,
    )


def is_partial(answer: Answer) -> bool:
    """Whether single sign-on holds some of a list back."""
    return "partial-results" in answer.headers.get("x-github-sso", "")


def best(met: Iterable[Answer | Refused]) -> Answer:
    """Of what all credentials were told, what tells most: a part, or the refusal that says what is missing."""
    errors = []
    for one in met:
        if isinstance(one, Answer):
            return one
        errors.append(one)
    raise max(errors, key=lambda error: (bool(error.sso), bool(error.needs), error.status == 403))


def _links(answer: Answer) -> dict[str, str]:
    found: dict[str, str] = {}
    for target, further in _LINK.findall(answer.headers.get("link", "")):
        rel = _REL.search(further)
        if rel is not None:
            found.setdefault(rel[1].strip().lower(), target)
    return found
