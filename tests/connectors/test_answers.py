"""One request and its answer, against servers that only speak bytes."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

import pytest
import requests

from connectors import answers
from connectors.base import Retriable


@contextmanager
def a_server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """The address of a server that does this with each connection, once it read a request."""
    listening = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.recv(65_536)
                try:
                    serve(connection)
                except OSError:
                    continue

    serving = threading.Thread(target=accept, daemon=True)
    serving.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        serving.join(5)


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        answers.keep_in_time(made)
        yield made


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nx-drip: "])
def test_headers_that_drip_are_left_at_the_deadline(
    session: requests.Session, monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    """A status line or a header that comes byte by byte keeps nobody for longer than the deadline."""
    monkeypatch.setattr(answers, "DEADLINE_S", 0.3)
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(start)
        while not over.wait(0.02):
            connection.sendall(b"H" if not start else b"x")

    with a_server(drip) as url:
        begun = monotonic()
        try:
            with pytest.raises(Retriable):
                answers.ask(session, "GET", url)
        finally:
            over.set()
        assert monotonic() - begun < 10


def test_an_answer_without_an_end_of_headers_is_refused(session: requests.Session) -> None:
    """More headers than any tracker sends are an error, not memory."""

    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"x-more: " + b"y" * 1000 + b"\r\n")

    with a_server(flood) as url, pytest.raises(Retriable):
        answers.ask(session, "GET", url)


def test_a_connection_serves_one_answer_after_another(session: requests.Session) -> None:
    """The deadline of one answer does not end the connection under the next."""
    served = []

    def twice(connection: socket.socket) -> None:
        for _ in range(2):
            served.append(1)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            connection.recv(65_536)

    with a_server(twice) as url:
        assert [answers.ask(session, "GET", url).body for _ in range(2)] == [b"{}", b"{}"]
        session.close()
    assert len(served) == 2
