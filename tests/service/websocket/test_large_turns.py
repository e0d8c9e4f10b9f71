"""Who reads on when."""

from __future__ import annotations

import asyncio

from inkling.service.websocket.large_turns import LargeTurns


class Heard:
    def __init__(self, name: str, said: list[str]) -> None:
        self._name, self._said = name, said

    def read_on(self) -> None:
        self._said.append(self._name)


def test_whoever_is_within_a_message_goes_on_before_the_others() -> None:
    async def said_after_all() -> list[str]:
        said: list[str] = []
        turns = LargeTurns(asyncio.get_running_loop())
        one, other = Heard("one", said), Heard("other", said)
        turns.wait(one)
        turns.wait(other)
        await asyncio.sleep(0)
        turns.wait(one)  # the next piece of the same message
        for _ in range(2):
            await asyncio.sleep(0)
        return said

    assert asyncio.run(said_after_all()) == ["one", "one", "other"]


def test_one_reads_on_in_each_turn_of_the_loop_in_the_order_of_asking() -> None:
    async def said_after_each_turn() -> list[list[str]]:
        said: list[str] = []
        turns = LargeTurns(asyncio.get_running_loop())
        one, other = Heard("one", said), Heard("other", said)
        for reader in (one, other, one):
            turns.wait(reader)
        after = []
        for _ in range(3):
            await asyncio.sleep(0)
            after.append(list(said))
        turns.wait(one)
        await asyncio.sleep(0)
        return [*after, said]

    assert asyncio.run(said_after_each_turn()) == [
        ["one"],
        ["one", "other"],
        ["one", "other"],
        ["one", "other", "one"],
    ]
