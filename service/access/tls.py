"""TLS for the server itself: a certificate and its key, read again when the files change."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from inkling.models.errors import InklingError

log = logging.getLogger(__name__)


class TlsError(InklingError):
    """A certificate or key cannot be used; the text names the file."""


class Certificate:
    """The files and the context that connections are made with.

    New connections get a renewed certificate from `refresh` on; those that are open keep theirs.
    """

    def __init__(self, certificate: Path, key: Path | None) -> None:
        """key None: it is in the same file. Raises TlsError."""
        self._files = (certificate, key)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._seen = self._stamps()
        self._load()

    def refresh(self) -> bool:
        """Read the files again if they have changed; whether they were taken.

        Files that cannot be used are logged and left alone: the certificate that was good goes on.
        """
        try:
            stamps = self._stamps()
            if stamps == self._seen:
                return False
            self._seen = stamps
            self._load()
        except TlsError as error:
            log.error("the old certificate is kept: %s", error)
            return False
        log.info("a new certificate is used from now on", extra={"file": str(self._files[0])})
        return True

    def _stamps(self) -> tuple[tuple[int, int], ...]:
        try:
            found = [path.stat() for path in self._files if path is not None]
        except OSError as error:
            raise TlsError(f"{error.filename}: {error.strerror}") from error
        return tuple((status.st_mtime_ns, status.st_ino) for status in found)

    def _load(self) -> None:
        certificate, key = self._files
        # A context that failed half-way would have the new certificate without its key: try on another one first.
        for context in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self.context):
            try:
                context.load_cert_chain(certificate, key, password=_no_password)
            except (OSError, ssl.SSLError) as error:
                reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
                raise TlsError(f"{certificate} and its key cannot be used for TLS: {reason}") from error


def _no_password() -> str:
    raise ssl.SSLError("the key is protected by a password")
