from __future__ import annotations

import logging
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from inkling.service.access.tls import Certificate, TlsError
from tests.support import skip_unless


def make(folder: Path, name: str, *more: str) -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    skip_unless(shutil.which("openssl") is not None, "openssl is not installed")
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "2"]
    command += ["-keyout", str(key), "-out", str(certificate), "-subj", f"/CN={name}", *(more or ("-nodes",))]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def served_name(certificate: Certificate) -> str:
    """The common name that a client is shown, by a handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname, client_context.verify_mode = False, ssl.CERT_NONE
    server = certificate.context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    shown = client.getpeercert(binary_form=True)
    assert shown is not None
    text = subprocess.run(
        ["openssl", "x509", "-inform", "der", "-noout", "-subject"], input=shown, capture_output=True, check=True
    )
    return text.stdout.decode().strip().rpartition("=")[2].strip()


def replace(certificate: Path, key: Path, new: tuple[Path, Path]) -> None:
    for old, fresh in zip((certificate, key), new, strict=True):
        fresh.replace(old)


def test_a_renewed_certificate_is_served_without_a_restart(tmp_path: Path) -> None:
    certificate, key = make(tmp_path, "first")
    served = Certificate(certificate, key)
    assert served_name(served) == "first"
    assert not served.refresh()
    replace(certificate, key, make(tmp_path, "second"))
    assert served.refresh()
    assert served_name(served) == "second"


def test_a_renewal_that_cannot_be_used_leaves_the_good_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    certificate, key = make(tmp_path, "first")
    served = Certificate(certificate, key)
    other, _ = make(tmp_path, "other")
    other.replace(certificate)  # the key does not belong to it
    with caplog.at_level(logging.ERROR):
        assert not served.refresh()
    assert "the old certificate is kept" in caplog.text
    assert served_name(served) == "first"
    key.unlink()
    assert not served.refresh()


def test_what_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    certificate, key = make(tmp_path, "first")
    with pytest.raises(TlsError, match="No such file"):
        Certificate(tmp_path / "none.pem", key)
    with pytest.raises(TlsError, match=r"first\.pem and its key"):
        Certificate(certificate, certificate)
    locked = make(tmp_path, "locked", "-passout", "pass:secret")
    with pytest.raises(TlsError, match=r"locked\.pem"):
        Certificate(*locked)
