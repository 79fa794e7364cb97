"""The system on one screen: which group hears which topic, and what it does."""

from collections.abc import Sequence

from schemas import wire
from services.stream.delivery import Consumer, Handler

ALIGN, STEER, ALERT = "align", "steer", "alert"
#: Many, as a parent is looked at once for all its children in a batch.
ALIGN_BATCH = 2_000


def consumers(*, align: Handler, steer: Handler, alert: Handler) -> Sequence[Consumer]:
    """In the order in which data flows.

    | group | hears | does |
    |---|---|---|
    | align | work, align | maps each touched item to its nodes and books the ledger |
    | steer | ledger | judges each node whose ledger changed: progress, forecast, drift |
    | alert | drift | notes whom to tell of findings that opened, worsened or closed |
    """
    return (
        Consumer(ALIGN, (wire.WORK, wire.ALIGN), align, batch=ALIGN_BATCH),
        Consumer(STEER, (wire.LEDGER,), steer),
        Consumer(ALERT, (wire.DRIFT,), alert),
    )
