"""A board of the simulated host, a connector that reads it, and what tests ask of both."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest

from connectors.base import Board
from connectors.github.sync import GitHubConnector
from services.simulator import vendor_faults as vendors
from services.simulator.boards import ProjectBoard, add_board
from tests.connectors.github.conftest import Host

QUERIES = "/graphql"
FIELDS = {"Goal": "Goal", "Size": "Size", "Due": "Due", "Sprint": "Iteration", "Notes": "Notes"}


@pytest.fixture
def board(host: Host) -> ProjectBoard:
    made = add_board(host.world, "acme", 7)
    made.add_field("Goal", "SINGLE_SELECT", options=("Growth", "Trust"))
    made.add_field("Size", "NUMBER")
    made.add_field("Due", "DATE")
    made.add_field("Notes", "TEXT")
    made.add_field("Iteration", "ITERATION")
    made.add_iteration("Sprint 1", date(2026, 11, 2))
    return made


@pytest.fixture
async def connector(host: Host, board: ProjectBoard) -> AsyncIterator[GitHubConnector]:
    made = host.connector(project_boards=("acme/7",), fields=FIELDS, team_field="Notes")
    yield made
    await made.close()


async def read(connector: GitHubConnector, known: bytes = b"{}") -> Board:
    (found,) = await connector.boards({"acme/7": known})
    return found


def on_board(host: Host, board: ProjectBoard, count: int, **values: Any) -> None:
    host.fill(count)
    for item in host.repository.items:
        board.put(item, **values)


def sizes(host: Host) -> list[int]:
    """How many entries each query asked for."""
    return [size for size in map(vendors.page_asked, host.faults.asked) if size is not None]


def reason(board: Board) -> str | None:
    return board.gap.reason if board.gap is not None else None
