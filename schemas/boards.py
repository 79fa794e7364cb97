"""What a project board says of the issues and pull requests on it, apart from what they say of themselves."""

from datetime import datetime

import msgspec

from schemas.work import FieldValue


class BoardItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One issue or pull request on one board, with the values that it has there.

    ``uid`` is None for a pull request: a board knows it by another id than the list of issues does; its ``key`` is
    what the two have in common.
    """

    id: str  #: the board's own id of the entry; gone when it is removed from the board
    uid: str | None
    key: str  #: ``owner/name#number``
    archived: bool = False
    updated_at: datetime | None = None
    status: str | None = None
    status_at: datetime | None = None  #: when the status was chosen
    begun: bool = False  #: the status says that work was begun; whether it is done, the item itself says
    fields: dict[str, FieldValue] = {}  #: every configured field, by our name; None where the item has no value
    team: str | None = None
    estimate: float | None = None
    iterations: tuple[str, ...] = ()  #: uids of milestones of kind iteration, sorted
