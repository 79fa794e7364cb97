"""What the tests of commands share."""

import pytest


@pytest.fixture(autouse=True)
def no_variable_of_the_test_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program would warn of it; nothing here needs a server that could be missing."""
    monkeypatch.delenv("COURSELINE_TEST_REQUIRE_ALL", raising=False)
