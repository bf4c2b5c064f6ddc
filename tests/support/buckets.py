"""A bucket of S3 over HTTP, on this machine."""

from __future__ import annotations

import urllib.request
from collections.abc import Generator
from contextlib import contextmanager

from moto.server import ThreadedMotoServer


@contextmanager
def bucket_called(name: str) -> Generator[dict[str, str]]:
    """Serve an empty bucket; gives the variables by which clients find it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    try:
        urllib.request.urlopen(urllib.request.Request(f"{url}/{name}", method="PUT"), timeout=60).close()
        yield {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "testtesttest",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        server.stop()
