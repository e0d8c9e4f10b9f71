from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import pytest

from inkling.client import Client
from tests.service.client.both import FacedClient, Loop

MakeClient = Callable[..., Client]


@pytest.fixture(params=["blocking", "async"])
def client(request: pytest.FixtureRequest) -> Iterator[MakeClient]:
    """Makes clients of either kind: a test that takes it runs against both."""
    if request.param == "blocking":
        yield Client
        return
    loop = Loop()
    try:
        yield cast(Any, partial(FacedClient, loop))
    finally:
        loop.close()
