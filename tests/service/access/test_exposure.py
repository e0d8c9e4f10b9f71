from __future__ import annotations

import pytest

from inkling.service.access.exposure import Unprotected, check_exposure, is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.4.5", "::1", "localhost"])
def test_on_this_machine_nothing_is_asked(host: str) -> None:
    assert is_loopback(host)
    check_exposure(host, protected=False, insecure=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "no-such-host.invalid"])  # noqa: S104
def test_elsewhere_it_takes_tokens_or_insistence(host: str) -> None:
    with pytest.raises(Unprotected, match=r"inkling tokens create .*--insecure"):
        check_exposure(host, protected=False, insecure=False)
    check_exposure(host, protected=True, insecure=False)
    check_exposure(host, protected=False, insecure=True)
