"""How a WebSocket is closed with a reason, and the transport below it."""

from __future__ import annotations

import contextlib

from starlette.websockets import WebSocket, WebSocketDisconnect

from inkling.service.protocol.codec import encode, error_message
from inkling.service.protocol.errors import Internal, ServiceError
from inkling.service.websocket.transport import EXTENSION, StreamTransport

NORMAL, BROKEN, RESTART = 1000, 1011, 1012
"""Close codes (RFC 6455) beside those of the errors."""


def transport_of(websocket: WebSocket) -> StreamTransport:
    """The connection below. Raises WebSocketDisconnect when it is lost, Internal when it is not one of ours."""
    extension = websocket.scope.get("extensions", {}).get(EXTENSION)
    if extension is None:
        raise Internal(
            "this server was started without the transport that streams need: use inkling serve, or uvicorn with "
            "--ws inkling.service.websocket.transport:StreamTransport"
        )
    if not extension:
        raise WebSocketDisconnect(1006)
    transport: StreamTransport = extension["connection"]
    return transport


async def send_and_close(websocket: WebSocket, error: ServiceError) -> None:
    """Tell a client why it is parted with, and close. Raises WebSocketDisconnect."""
    with contextlib.suppress(Internal):  # another server's transport waits for the client to read
        transport_of(websocket).unblock()
    await websocket.send_text(encode(error_message(error)))
    await websocket.close(error.close or NORMAL, error.code)
