"""What the feed needs of the stage that judges; the two never import each other."""

from datetime import datetime
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.events import ProgressChanged
from schemas.figures import Burnup, ForecastDetail


class Figures(Protocol):
    """Figures as of any moment."""

    async def as_of(self, connection: AsyncConnection, moment: datetime) -> dict[str, ProgressChanged]: ...

    async def burnup(self, connection: AsyncConnection, node: str, moment: datetime) -> Burnup: ...

    async def forecast(self, connection: AsyncConnection, node: str, moment: datetime) -> ForecastDetail: ...
