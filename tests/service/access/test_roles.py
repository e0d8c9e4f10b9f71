from __future__ import annotations

import pytest

from inkling.service.access.roles import LOCAL, Identity, Role

MAY = {
    Role.STREAM: {Role.STREAM},
    Role.VIEW: {Role.VIEW},
    Role.OPERATE: {Role.STREAM, Role.VIEW, Role.OPERATE},
    Role.ADMIN: {Role.STREAM, Role.VIEW, Role.OPERATE, Role.ADMIN},
}


@pytest.mark.parametrize("role", Role)
def test_a_role_includes_what_its_description_says(role: Role) -> None:
    identity = Identity("1", "a", role)
    assert {other for other in Role if identity.may(other)} == MAY[role]


def test_on_this_machine_everything_is_allowed() -> None:
    assert all(LOCAL.may(role) for role in Role)
