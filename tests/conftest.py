from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.support import skip_unless

hypothesis.settings.register_profile("developer", deadline=None)
hypothesis.settings.register_profile("build", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("build" if os.environ.get("INKLING_CI") else "developer")

CHECKOUT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets: INKLING_TEST_DATA, or `../shared/data` beside the checkout."""
    path = Path(os.environ.get("INKLING_TEST_DATA") or CHECKOUT.parent / "shared" / "data")
    skip_unless(path.is_dir(), f"no public data sets in {path}")
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker("shared_data")


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Reports of a test process as pytest-xdist can send them: it stops at a lone surrogate, which some tests log."""
    return without_surrogates((yield))


def without_surrogates(value: Any) -> Any:
    """What JSON can hold, with lone surrogates in its texts written as escapes."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_surrogates(item) for item in value]
    if isinstance(value, tuple):  # pytest tells a skip by its tuple of file, line and reason
        return tuple(without_surrogates(item) for item in value)
    return value
