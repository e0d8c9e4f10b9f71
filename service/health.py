"""Exit 0 when the server of this container takes streams, else 1 with a sentence: `python -m inkling.service.health`.

For probes that run a command. It imports next to nothing, because it runs every few seconds.
"""

from __future__ import annotations

import http.client
import os
import sys

TIMEOUT_S = 2.0


def problem(host: str, port: int, *, secure: bool = False) -> str | None:
    """Why the server there is not ready, or None. secure: it speaks TLS, under whatever name."""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    if secure:
        import ssl  # takes longer to load than all the rest

        context = ssl._create_unverified_context()  # noqa: S323 - loopback: there is nobody in between
        connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
    try:
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"no answer from {host}:{port}: {error}"
    finally:
        connection.close()
    return None if status == http.client.OK else f"{host}:{port}/readyz answers {status}"


def main() -> int:
    """Ask the server that the environment's settings describe."""
    host = os.environ.get("INKLING_HOST", "127.0.0.1")
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - listened on, not asked
    port = int(os.environ.get("INKLING_PORT") or 8000)
    found = problem(loopback.get(host, host), port, secure=bool(os.environ.get("INKLING_TLS_CERT")))
    if found:
        sys.stderr.write(f"inkling: {found}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
