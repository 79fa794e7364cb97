"""The proof that a chain of pages is whole: it ends by itself, and what it held agrees with a count."""

from collections.abc import Mapping
from typing import Any

from connectors.base import Unreachable

#: Counting and listing may differ by what changed meanwhile; more is a short answer.
TOLERANCE = 0.01
#: Pages may hold nothing that we may see; so many in a row are no list any more.
_MOST_FRUITLESS = 50


class Chain:
    """The tokens that lead from page to page, which must neither go in a circle nor lead on for ever."""

    def __init__(self, source: str) -> None:
        self.token: str | None = None  #: of the page to ask for; None for the first
        self._source = source
        self._known: set[str] = set()
        self._fruitless = 0
        self._renewed = 0

    def follow(self, page: Mapping[str, Any], *, fruitful: bool) -> bool:
        """Go on to the page after this one, if there is any. Raises Unreachable where the chain leads nowhere."""
        token = page.get("nextPageToken")
        self._fruitless = 0 if fruitful else self._fruitless + 1
        self._renewed = 0 if fruitful else self._renewed
        if not token:
            return False
        if token in self._known:
            raise Unreachable("the tracker gave the same page token twice", source=self._source)
        if self._fruitless >= _MOST_FRUITLESS:
            raise Unreachable(f"{_MOST_FRUITLESS} pages in a row held nothing new", source=self._source)
        self.token = str(token)
        self._known.add(self.token)
        return True

    def begin_again(self) -> None:
        """With the first page of another query."""
        self.token = None
        self._known.clear()

    def renew(self) -> bool:
        """After a token that the tracker has forgotten: begin again, if a new chain may do better."""
        self._renewed += 1
        if self.token is None or self._renewed > 3:
            return False
        self.begin_again()
        return True
