"""Who opened a WebSocket: as its handshake said, or as its first message does."""

from __future__ import annotations

import time

from starlette.websockets import WebSocket

from inkling.service.access.gate import Gate
from inkling.service.access.middleware import IDENTITY, check_role
from inkling.service.access.roles import LOCAL, Identity, Role
from inkling.service.protocol.codec import Token
from inkling.service.protocol.errors import Unauthorized

SUBPROTOCOL = "inkling"
"""What a browser offers beside its token, and what the server then chooses: it must choose one of those offered."""


def chosen_subprotocol(websocket: WebSocket) -> str | None:
    """What to accept the handshake with."""
    return SUBPROTOCOL if SUBPROTOCOL in websocket.scope.get("subprotocols", ()) else None


def identity_of(websocket: WebSocket) -> Identity | None:
    """Who that is by the handshake; None: a message must tell."""
    identity: Identity | None = websocket.scope.get(IDENTITY, LOCAL)
    return identity


def identify(websocket: WebSocket, gate: Gate, message: object, need: Role) -> Identity:
    """Who that is by a first message. Raises Unauthorized, Forbidden, TooManyTries."""
    if not isinstance(message, Token):
        raise Unauthorized(
            "this server asks for a token: send it in the handshake, or as the first message: "
            '{"type":"token","token":"…"}'
        )
    address = websocket.client.host if websocket.client else ""
    identity = gate.sign_in(message.token, address, time.time()).identity
    check_role(identity, need)
    return identity
