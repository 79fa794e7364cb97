"""The tree of nodes: objectives below objectives, and initiatives that serve them by a share."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Literal

from schemas.strategy import StrategyFile


@dataclass(frozen=True)
class Node:
    """An objective or an initiative, as judging it needs it."""

    id: str
    kind: Literal["objective", "initiative"]
    title: str
    weight: Fraction = Fraction(1)
    start: date | None = None
    due: date | None = None
    owner: str | None = None
    team: str | None = None
    parent: str | None = None  #: of an objective
    serves: dict[str, Fraction] = field(default_factory=dict)  #: of an initiative


@dataclass(frozen=True)
class Tree:
    """All nodes by id, in file order: objectives, then initiatives."""

    nodes: dict[str, Node]

    def children(self, objective: str) -> list[Node]:
        """The objectives right below one, in file order."""
        return [node for node in self.nodes.values() if node.parent == objective]

    def servants(self, objective: str) -> list[tuple[Node, Fraction]]:
        """The initiatives that serve an objective, with the share of each that does."""
        return [(node, node.serves[objective]) for node in self.nodes.values() if objective in node.serves]

    def above(self, changed: Iterable[str]) -> list[str]:
        """These nodes and all whose figures hang on them, children first."""
        found: dict[str, None] = {}
        waiting = [node for node in changed if node in self.nodes]
        while waiting:
            node = self.nodes[waiting.pop()]
            if node.id in found:
                continue
            found[node.id] = None
            waiting += node.serves
            waiting += [node.parent] if node.parent else []
        return [node for node in self.children_first() if node in found]

    def children_first(self) -> list[str]:
        """Every node after all below it."""
        order: dict[str, None] = {node.id: None for node in self.nodes.values() if node.kind == "initiative"}

        def visit(objective: str) -> None:
            for child in self.children(objective):
                visit(child.id)
            order[objective] = None

        for node in self.nodes.values():
            if node.kind == "objective" and node.parent not in self.nodes:
                visit(node.id)
        return list(order)

    def parts(self, node: str) -> dict[str, Fraction]:
        """How much of each node's own ledger makes up the total of one: itself whole, servants by their share."""
        total: dict[str, Fraction] = {node: Fraction(1)}
        for servant, share in self.servants(node):
            total[servant.id] = total.get(servant.id, Fraction(0)) + share
        for child in self.children(node):
            for part, share in self.parts(child.id).items():
                total[part] = total.get(part, Fraction(0)) + share
        return total


def tree(file: StrategyFile) -> Tree:
    """The nodes of a strategy file. An objective is due at its horizon's end."""
    nodes = {
        one.id: Node(
            one.id,
            "objective",
            one.title,
            weight=Fraction(one.weight),
            start=one.horizon.start if one.horizon else None,
            due=one.horizon.end if one.horizon else None,
            owner=one.owner,
            parent=one.parent,
        )
        for one in file.objectives
    }
    nodes |= {
        one.id: Node(
            one.id,
            "initiative",
            one.title,
            start=one.start,
            due=one.due,
            owner=one.owner,
            team=one.team,
            serves={objective: Fraction(str(share)) for objective, share in one.serves.items()},
        )
        for one in file.initiatives
    }
    return Tree(nodes)
