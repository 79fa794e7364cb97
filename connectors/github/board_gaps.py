"""What to report of project boards: those that cannot be read, and fields that none of them has."""

from collections.abc import Iterable, Sequence

from connectors.base import Board, Check
from connectors.github.board_shapes import Shape
from connectors.github.graphql import Problem
from schemas.work import Gap

_SCOPE = (
    "give the token read access to projects: the scope `read:project` of a classic one, the organization permission "
    "`Projects: read` of a fine-grained one or of an app"
)
_WHERE = "check the owner and the number (github.com/orgs/OWNER/projects/NUMBER)"
_REASONS = {"NOT_FOUND": "not_found", "FORBIDDEN": "forbidden", "INSUFFICIENT_SCOPES": "forbidden"}


def gap(source: str, board: str, reason: str, detail: str, fix: str) -> Gap:
    """A gap of a board; its name says so, as a repository may be called the same."""
    return Gap(source=source, container=f"board {board}", reason=reason, detail=detail, fix=fix)


def denied(source: str, board: str, problems: Sequence[Problem]) -> Gap:
    """A board that the host does not show."""
    first = problems[0] if problems else Problem("NOT_FOUND", "there is no such board")
    reason = _REASONS.get(first.type, "unreadable")
    fix = f"{_WHERE}; or {_SCOPE}" if reason == "not_found" else _SCOPE if reason == "forbidden" else _again()
    if "saml" in first.message.lower():
        fix = "authorize the token for single sign-on"
    return gap(source, board, reason, f"the host answered: {first.message}", fix)


def limited(source: str, board: str, said: str) -> Gap:
    """A board for which the host wants us to wait longer than a pass may."""
    fix = "none is needed: it is read again when the host allows; all uses of a credential share its limit"
    return gap(source, board, "rate_limited", said, fix)


def unreadable(source: str, board: str, said: str) -> Gap:
    """A board that was not answered for, or with what is no answer."""
    return gap(source, board, "unreadable", said, _again())


def incomplete(source: str, board: str, *, withheld: bool) -> Gap:
    """A board of which a part is kept back, or whose entries never are as many as it says."""
    detail = "entries or values are kept back from us" if withheld else "it lists fewer entries than it counts"
    return gap(source, board, "incomplete", f"{detail}; of those, what was read last stands", _SCOPE)


def _again() -> str:
    return "it is read again in the next pass; if it stays, look at the host's status page and its version"


def without_field(source: str, boards: Sequence[Board], missing: Iterable[Sequence[str]]) -> Gap | None:
    """Configured fields that no board has, where all boards were read: a gap of the first board."""
    sets = [set(names) for names in missing]
    absent = sorted(set.intersection(*sets)) if sets and len(sets) == len(boards) else []
    if not absent:
        return None
    named = ", ".join(repr(name) for name in absent)
    detail, fix = f"no board has a field {named}", "correct `fields` or `team_field`; a field may be given by its id"
    return gap(source, boards[0].name, "no_such_field", detail, fix)


def line(source: str, board: str, found: Shape | Gap) -> Check:
    """The line of ``courseline check`` about one board."""
    name = f"{source}: board {board}"
    if isinstance(found, Gap):
        return Check(name=name, ok=False, detail=found.detail, fix=found.fix, exit_code=1)
    used: dict[str, list[str]] = {ours: [id_] for ours, id_ in found.fields.items()}
    single = {"status": found.status, "estimate": found.estimate, "team": found.team}
    used |= {what: [id_] for what, id_ in single.items() if id_}
    used |= {"iterations": list(found.iterations)} if found.iterations else {}
    told = [f"{what} from {', '.join(repr(found.by_id[id_].name) for id_ in ids)}" for what, ids in used.items()]
    return Check(name=name, ok=True, detail="; ".join(told) or "none of its fields is used")
