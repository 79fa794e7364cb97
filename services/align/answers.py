"""Pure: what rules say of the items of a batch; items that look alike to the rules are asked about once."""

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

from schemas.work import WorkItem
from services.align.described import Described
from services.align.rules import AncestorNames, Decided, Facts, Inherited, Own, Rules, inherit
from services.ledger.history import Snapshot


class Answer(NamedTuple):
    """What an item's own evidence says, and how it is aligned with what it inherits."""

    own: Own | None
    decided: Decided
    described: bool = False  #: an expression looked at what is no evidence: the status, its name, an estimate


class Answers:
    """Answers by all that they can hang on. ``titles`` are those of the milestones, by uid; they hold throughout."""

    def __init__(self, titles: Mapping[str, str]) -> None:
        self._titles = titles
        self._known: dict[object, Answer] = {}

    def of(
        self,
        rules: Rules,
        item: WorkItem,
        state: Snapshot,
        names: AncestorNames,
        lineage: tuple[AncestorNames, ...],
        chain: tuple[Inherited, ...],
        at: int,
        on: date,
    ) -> Answer:
        """The answer for an item that goes by these names, in a state that began ``at`` (microseconds), on a day."""
        alike = None  # an item that rules name is like no other
        if not rules.name(item.source, names):
            alike = (
                rules, on, item.source, item.kind, state.container, state.type, state.labels, state.components,
                state.milestones, state.team, repr(state.fields) if state.fields else "", lineage, chain,
            )  # fmt: skip
            if (known := self._known.get(alike)) is not None:
                return known
        more = Described(item, state, at)
        facts = Facts(
            uid=item.uid,
            source=item.source,
            key=item.key,
            previous_keys=item.previous_keys,
            container=state.container,
            kind=item.kind,
            type=state.type,
            labels=state.labels,
            components=state.components,
            milestones=tuple([(uid, self._titles.get(uid, "")) for uid in state.milestones]),
            team=state.team,
            fields=state.fields,
            lineage=lineage,
            more=more,
        )
        own = rules.own(facts, on)
        found = Answer(own, inherit(own, chain), more.asked)
        if alike is not None and not found.described:
            self._known[alike] = found
        return found
