"""Health check of a container: exits 0 when an address answers as it should.

``python healthy.py http://127.0.0.1:8701/healthz`` asks for status 200;
``python healthy.py tcp://127.0.0.1:15002`` for an open port. Several addresses must all answer. A
word after ``#`` must stand in the page: ``http://127.0.0.1:8080/json/#ALIVE``.
"""

from __future__ import annotations

import socket
import sys
import urllib.error
import urllib.request
from urllib.parse import urlsplit

SECONDS = 5
# Never through a proxy that the environment names: what is asked is in this container.
OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def problem(address: str) -> str | None:
    """What is wrong with one address, None when nothing is."""
    parts = urlsplit(address)
    try:
        if parts.scheme == "tcp":
            with socket.create_connection((parts.hostname, parts.port), SECONDS):
                return None
        with OPEN(parts._replace(fragment="").geturl(), timeout=SECONDS) as page:
            if parts.fragment and parts.fragment not in page.read().decode("utf-8", "replace"):
                return f"{address}: {parts.fragment} is not there"
            return None if page.status == 200 else f"{address}: status {page.status}"
    except (OSError, urllib.error.URLError) as error:
        return f"{address}: {error}"


def main(addresses: list[str]) -> int:
    if not addresses:
        print("healthy.py: name at least one address", file=sys.stderr)
        return 2
    problems = [found for found in map(problem, addresses) if found]
    print("\n".join(problems) or "healthy", file=sys.stderr if problems else sys.stdout)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
