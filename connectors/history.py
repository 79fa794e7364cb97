"""Pure: an item with its history, and what follows from it."""

from collections.abc import Iterable

import msgspec

from schemas.work import Transition, WorkItem


def with_history(item: WorkItem, changes: Iterable[Transition], former: tuple[str, ...]) -> WorkItem:
    """The item with its history, and the times that follow from it.

    Where the last change of status does not lead to the present one (history hidden, purged or late), the missing
    step is inferred at the item's last update.
    """
    history = sorted(changes, key=lambda change: (change.at, change.id))
    steps = [change for change in history if change.field == "status"]
    category = steps[-1].after_category if steps else None
    if steps and category not in (item.status_category, "unknown"):
        step = Transition(
            id=f"inferred:status:{item.status}", field="status", at=max(item.updated_at, steps[-1].at),
            before=steps[-1].after, after=item.status, before_category=category, after_category=item.status_category,
            origin="inferred",
        )  # fmt: skip
        history.append(step)
        steps.append(step)
    started = next((step.at for step in steps if step.after_category == "in_progress"), None)
    done = next((step.at for step in reversed(steps) if step.after_category == "done" != step.before_category), None)
    return msgspec.structs.replace(
        item,
        history=tuple(sorted(history, key=lambda change: (change.at, change.id))),
        previous_keys=former,
        started_at=started,
        done_at=(done or item.updated_at if steps else item.created_at) if item.status_category == "done" else None,
    )
