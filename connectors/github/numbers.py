"""The ids of issues by their numbers, as parents are named by an address: eight bytes an issue."""

from array import array

#: Numbers are given one after the other, so a row of ids has no holes to speak of; what lies far ahead is no number.
_FARTHEST = 1_000_000


class IssueIds:
    """Of every repository, whatever the case of its name."""

    def __init__(self) -> None:
        self._rows: dict[str, array[int]] = {}

    def note(self, repository: str, number: int, id_: int) -> None:
        """Remember it; what is no number or no id is passed over, and only asked for when it is wanted."""
        row = self._rows.setdefault(repository.lower(), array("q"))
        if not (0 < number < len(row) + _FARTHEST and 0 < id_ < 2**63):
            return
        if number >= len(row):
            row.extend([0] * (number + 1 - len(row)))
        row[number] = id_

    def number(self, id_: int) -> int | None:
        """The number of an issue, wherever it is: for the few that a census names and nobody knows yet."""
        for row in self._rows.values():
            if id_ in row:
                return row.index(id_)
        return None

    def get(self, repository: str, number: int) -> int | None:
        """The id; None where nothing told it."""
        row = self._rows.get(repository.lower(), ())
        return (row[number] or None) if number < len(row) else None
