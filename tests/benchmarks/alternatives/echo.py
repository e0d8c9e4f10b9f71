"""The ceiling of the socket side: a bare WebSocket handler on uvicorn, set as the service sets it, that answers every
message with a fixed number of bytes and does nothing else. `... echo PORT BYTES text|binary`.
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn

SETTINGS: dict[str, Any] = {
    "loop": "uvloop",
    "http": "httptools",
    "ws": "websockets-sansio",
    "ws_per_message_deflate": False,
    "ws_ping_timeout": None,
    "log_config": None,
    "access_log": False,
}
"""As in service/server.py, for every contestant on uvicorn."""


def application(answer: dict[str, Any]) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        if scope["type"] != "websocket":
            return
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] == "websocket.receive":
            await send(answer)

    return app


def main() -> None:
    port, size, kind = sys.argv[1:]
    body: dict[str, Any] = {"text": "x" * int(size)} if kind == "text" else {"bytes": b"x" * int(size)}
    print("serving", flush=True)
    uvicorn.run(application({"type": "websocket.send", **body}), port=int(port), lifespan="off", **SETTINGS)


if __name__ == "__main__":
    main()
