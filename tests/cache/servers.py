"""Servers that misbehave, each in its own way, at the other end of a real socket."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Behaviour = Callable[[socket.socket, threading.Event], None]
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"


def silent(connection: socket.socket, over: threading.Event) -> None:
    """Take the request and never answer."""
    over.wait()


def resetting(connection: socket.socket, over: threading.Event) -> None:
    """Reset the connection as soon as it is there."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def dripping(connection: socket.socket, over: threading.Event) -> None:
    """Promise a megabyte, and send a byte now and then."""
    connection.sendall(_OK % (1 << 20))
    while not over.wait(0.05):
        connection.sendall(b" ")


def endless(connection: socket.socket, over: threading.Event) -> None:
    """Send without end what was asked for in part."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while not over.is_set():
        connection.sendall(b" " * (1 << 16))


def garbage(connection: socket.socket, over: threading.Event) -> None:
    """Speak no protocol."""
    connection.sendall(b"\x1b]0;owned\x07 \xff\xfe" * 100)


def short(connection: socket.socket, over: threading.Event) -> None:
    """Promise more than is sent."""
    connection.sendall(_OK % 1000 + b"{")


def forbidding(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def broken(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[int]:
    """Serve on a port of this machine until the block ends."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        listener.settimeout(0.05)

        def answer(connection: socket.socket) -> None:
            with connection:
                try:
                    connection.settimeout(5)
                    if behaviour is not resetting:
                        connection.recv(65536)
                    behaviour(connection, over)
                except OSError:
                    pass  # the client has gone

        def accept() -> None:
            while not over.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            thread.join()


BEHAVIOURS: dict[str, Behaviour] = {
    "silent": silent,
    "resetting": resetting,
    "dripping": dripping,
    "endless": endless,
    "garbage": garbage,
    "short": short,
    "forbidding": forbidding,
    "broken": broken,
}
