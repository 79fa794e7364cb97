"""The ledger's answer by brute force: every item, every ancestor, every day, with no bookkeeping at all."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from schemas.amounts import SHARE
from schemas.work import WorkItem
from services.align.rules import Decided, Facts, Inherited, Rules, inherit
from services.ledger.history import Snapshot, lifetime, micros
from services.ledger.postings import UNALIGNED, thousandths

#: (node, type) -> shares of scope, shares done, share x thousandths of scope, of done
Counted = dict[tuple[str, str], tuple[int, int, int, int]]


def recount(items: Sequence[WorkItem], rules: Rules, day: date, zone: ZoneInfo) -> Counted:
    """What every node counts at the end of a day."""
    end = micros(datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)) - 1
    known = {item.uid: item for item in items}
    states = {item.uid: _state(item, end) for item in items if micros(item.created_at) <= end}
    above = {uid: _ancestors(uid, states) for uid in states}
    total: Counted = {}
    for uid, state in states.items():
        if not state.in_scope or _covered(uid, states, above):
            continue
        decided = _decide(uid, states, above, known, rules, day)
        rows = [(row.node, row.share) for row in decided.rows] or [(UNALIGNED, SHARE)]
        done = state.status_category == "done"
        points = thousandths(state.estimate_points) or 0
        for node, share in rows:
            key = (node, state.type or "")
            before = total.get(key, (0, 0, 0, 0))
            amounts = (share, share * done, share * points, share * points * done)
            total[key] = tuple(a + b for a, b in zip(before, amounts, strict=True))  # type: ignore[assignment]
    return {key: amounts for key, amounts in total.items() if any(amounts)}


def _state(item: WorkItem, end: int) -> Snapshot:
    return [state for began, state in lifetime(item) if began <= end][-1]


def _ancestors(uid: str, states: Mapping[str, Snapshot]) -> list[str]:
    path, at = [], states[uid].parent
    while at is not None and at in states and at != uid and at not in path:
        path.append(at)
        at = states[at].parent
    return path


def _covered(uid: str, states: Mapping[str, Snapshot], above: Mapping[str, list[str]]) -> bool:
    return any(
        states[other].in_scope and uid in above[other] and other not in above[uid] for other in states if other != uid
    )


def _decide(
    uid: str,
    states: Mapping[str, Snapshot],
    above: Mapping[str, list[str]],
    items: Mapping[str, WorkItem],
    rules: Rules,
    day: date,
) -> Decided:
    def own(one: str) -> Inherited | None:
        found = rules.own(_facts(one, states, above, items), day)
        return None if found is None or not found.results else Inherited.of(one, found)

    chain = [result for ancestor in above[uid] if (result := own(ancestor)) is not None]
    return inherit(rules.own(_facts(uid, states, above, items), day), chain)


def _facts(
    uid: str, states: Mapping[str, Snapshot], above: Mapping[str, list[str]], items: Mapping[str, WorkItem]
) -> Facts:
    item, state = items[uid], states[uid]
    return Facts(
        uid=uid,
        source=item.source,
        key=item.key,
        previous_keys=item.previous_keys,
        container=state.container,
        kind=item.kind,
        type=state.type,
        labels=state.labels,
        components=state.components,
        milestones=(),
        team=state.team,
        fields=state.fields,
        lineage=tuple((one, items[one].key, f"{items[one].source}:{items[one].key}") for one in above[uid]),
    )
