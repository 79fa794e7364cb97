"""What the align stage computes and nobody else writes, so that it can be forgotten and computed anew."""

from sqlalchemy import delete

from services.storage import tables
from services.storage.unit_of_work import UnitOfWork

COMPUTED = (
    tables.item_states,
    tables.parenthoods,
    tables.alignments,
    tables.postings,
    tables.balances,
    tables.headcounts,
    tables.estimates,
    tables.activity,
    tables.baseline_done,
)


async def forget(uow: UnitOfWork) -> None:
    """Empty everything that `Aligner.align_all` computes from stored items and strategies."""
    for table in COMPUTED:
        await uow.connection.execute(delete(table))
