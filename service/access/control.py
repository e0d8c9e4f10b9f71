"""Everything that a server asks of those who use it, put together from its settings."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from inkling.service.access.exposure import check_exposure
from inkling.service.access.gate import Gate, ProxyLogin
from inkling.service.access.middleware import AccessTerms
from inkling.service.access.quota import Quota
from inkling.service.access.quotas import Quotas
from inkling.service.access.roles import Role
from inkling.service.access.tls import Certificate
from inkling.service.access.tokens import FILE, TokenError, Tokens


class AccessChoices(Protocol):
    """What of the settings counts here (`AccessSettings`)."""

    @property
    def insecure(self) -> bool: ...
    @property
    def first_token(self) -> bool: ...
    @property
    def allowed_hosts(self) -> tuple[str, ...]: ...
    @property
    def allowed_origins(self) -> tuple[str, ...]: ...
    @property
    def tls_cert(self) -> Path | None: ...
    @property
    def tls_key(self) -> Path | None: ...
    @property
    def proxy_user_header(self) -> str | None: ...
    @property
    def proxy_addresses(self) -> tuple[str, ...]: ...
    @property
    def proxy_role(self) -> Role: ...
    @property
    def token_streams(self) -> int | None: ...
    @property
    def token_people(self) -> int | None: ...
    @property
    def token_sources(self) -> int | None: ...
    @property
    def token_bytes_per_s(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class AccessControl:
    """first_token: the text of a token that was made just now, to be shown once."""

    terms: AccessTerms
    quotas: Quotas
    certificate: Certificate | None = None
    first_token: str | None = None

    @property
    def gate(self) -> Gate:
        """Who knows the senders of requests."""
        return self.terms.gate

    def close(self) -> None:
        """Close the file of tokens."""
        if self.gate.tokens is not None:
            self.gate.tokens.close()


def access_control(
    chosen: AccessChoices, host: str, state_dir: Path | None, refused: Callable[[str], None] = lambda code: None
) -> AccessControl:
    """host: where the server listens. state_dir: where tokens are kept. refused: counts refusals by error code.

    Raises Unprotected, TokenError, TlsError.
    """
    tokens = None if state_dir is None else Tokens(state_dir / FILE)
    first = None
    if chosen.first_token:
        if tokens is None:
            raise TokenError("first_token needs a directory in which the token is kept: set state_dir")
        if not tokens.any():
            _, first = tokens.create("first", Role.ADMIN, time.time())
    proxy = None
    if chosen.proxy_user_header:
        header = chosen.proxy_user_header.lower()
        proxy = ProxyLogin(header, frozenset(chosen.proxy_addresses), chosen.proxy_role)
    gate = Gate(tokens, proxy)
    check_exposure(host, protected=gate.asks, insecure=chosen.insecure)
    certificate = None if chosen.tls_cert is None else Certificate(chosen.tls_cert, chosen.tls_key)
    usual = Quota(chosen.token_streams, chosen.token_people, chosen.token_sources, chosen.token_bytes_per_s)
    terms = AccessTerms(gate, chosen.allowed_hosts, chosen.allowed_origins, refused)
    return AccessControl(terms, Quotas(usual), certificate, first)
