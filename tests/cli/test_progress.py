"""What long work says of itself."""

import pytest

from services.cli.progress import PLAIN_EVERY_S, ProgressShown, duration, so_far
from services.ingest.poller import SyncProgress


@pytest.mark.parametrize(
    ("seen", "total", "seconds", "text"),
    [
        (0, None, 0.0, "0 items"),
        (500, None, 2.0, "500 items, 250/s"),
        (12_300, 50_000, 5.0, "12,300 of about 50,000 items, 2,460/s, 15 s left"),
        (60, 50, 1.0, "60 of about 60 items, 60/s"),
    ],
)
def test_progress_tells_total_rate_and_time_left(seen: int, total: int | None, seconds: float, text: str) -> None:
    """Of an unknown total no time left is claimed, and never is more read than there is."""
    assert so_far(seen, total, seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (99, "99 s"), (100, "2 min"), (3_599, "1 h 00 min"), (11_100, "3 h 05 min")]
)
def test_a_time_span_is_said_for_people(seconds: float, text: str) -> None:
    """Seconds up to a minute and a half, then minutes, then hours."""
    assert duration(seconds) == text


def test_without_a_terminal_lines_come_seldom(capsys: pytest.CaptureFixture[str]) -> None:
    """One line when a container begins, and one every ten seconds, however many pages come."""
    now = 0.0
    with ProgressShown(live=False, clock=lambda: now) as shown:
        for page in range(1, 251):
            now = page * PLAIN_EVERY_S / 100
            shown(SyncProgress("acme-jira", "PAY", page * 100, 40_000))
    assert capsys.readouterr().err.splitlines() == [
        "reading acme-jira PAY: about 40,000 items",
        "reading acme-jira PAY: 10,100 of about 40,000 items, 1,010/s, 30 s left",
        "reading acme-jira PAY: 20,100 of about 40,000 items, 1,005/s, 20 s left",
    ]


def test_on_a_terminal_every_container_has_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    """The tracker's names are shown as they are, also where they look like markup."""
    with ProgressShown(live=True) as shown:
        shown(SyncProgress("acme-github", "acme/[red]web", 5, None))
        shown(SyncProgress("acme-github", "acme/[red]web", 8, 6))
    assert "acme/[red]web" in capsys.readouterr().err
