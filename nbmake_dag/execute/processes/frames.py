"""Messages on a stream socket between two processes of a build: four bytes of length, then JSON."""

from __future__ import annotations

import socket
import threading
from typing import Generic, TypeVar

import msgspec

Incoming = TypeVar("Incoming")
_HEAD = 4
_CHUNK = 1 << 20


class Frames(Generic[Incoming]):
    """One end of a connection. Any thread may send; one thread receives."""

    def __init__(self, connection: socket.socket, decoder: msgspec.json.Decoder[Incoming]) -> None:
        self._connection = connection
        self._decode = decoder.decode
        self._encode = msgspec.json.Encoder().encode
        self._sending = threading.Lock()
        self._file = connection.makefile("rb", buffering=_CHUNK)

    def send(self, message: msgspec.Struct) -> None:
        """Send all of a message; raises `OSError` when the other end is gone or does not read."""
        body = self._encode(message)
        with self._sending:
            self._connection.sendall(len(body).to_bytes(_HEAD, "big") + body)

    def receive(self) -> Incoming | None:
        """Wait for the next message; ``None`` when the other end is gone."""
        try:
            size = int.from_bytes(head := self._file.read(_HEAD), "big")
            body = self._file.read(size)
        except OSError:
            return None
        return self._decode(body) if len(head) == _HEAD and len(body) == size else None

    def close(self) -> None:
        """End the connection, for the thread that receives."""
        self._file.close()
        self._connection.close()
