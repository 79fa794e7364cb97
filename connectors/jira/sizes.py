"""Pure: how large a page is asked for: smaller where the site fails over it, and larger again after a while."""

from math import ceil, log2

from connectors.pacing import TRIES

#: No smaller page is asked for, however often the site fails.
LEAST = 25
#: After so many good pages a larger one is tried; after twice as many where that failed, and so on.
_PATIENCE = 20
_MOST_PATIENT = 1280
#: The same size is asked for this often before a smaller one, and the least one so often at the end.
_SAME, _LAST = 2, 3


class PageSize:
    """The size that a site was able to give of one kind of page, at most ``most``."""

    def __init__(self, most: int) -> None:
        self.now = self._most = most
        self._good = 0
        self._patience = _PATIENCE
        self._grown = False

    def trying(self, asked: int) -> "Trying":
        """One page of so many entries, or of as many as the site can give."""
        return Trying(self, min(asked, self.now))

    def shrink(self, size: int) -> None:
        """The site gives this size and no larger one."""
        self.now, self._good = size, 0
        if self._grown:
            self._patience = min(self._patience * 2, _MOST_PATIENT)
        self._grown = False

    def gave(self, size: int) -> None:
        """The site gave a page of this size at once."""
        if size < self.now or self.now == self._most:
            return
        self._good += 1
        if self._good >= self._patience:
            self.now, self._good, self._grown = min(self.now * 2, self._most), 0, True


class Trying:
    """The tries for one page: from the second failure on each asks for half as many. Only what works is remembered."""

    def __init__(self, sizes: PageSize, size: int) -> None:
        self.size = self._began = size
        self._sizes = sizes
        self._failures = 0

    @property
    def tries(self) -> int:
        """How often to ask: at each size, down to the least."""
        halvings = ceil(log2(self.size / LEAST)) if self.size > LEAST else 0
        return max(_SAME + halvings - 1 + _LAST, TRIES)

    def failed(self) -> None:
        self._failures += 1
        if self._failures >= _SAME:
            self.halve()

    def halve(self) -> None:
        self.size = max(min(self.size, LEAST), self.size // 2)

    def gave(self) -> None:
        """The page came."""
        if self.size < self._began:
            self._sizes.shrink(self.size)
        else:
            self._sizes.gave(self.size)
