from __future__ import annotations

import pytest

from inkling.training.export.card import _learned_first, _taught
from inkling.training.recipe.sections import Distillation


@pytest.mark.parametrize(
    ("alpha", "beta", "said"),
    [
        (0.5, 0.5, "from a teacher that sees the whole clip and from its own later answers (alpha 0.5, beta 0.5"),
        (0.0, 0.5, "from its own later answers (alpha 0, beta 0.5"),
        (0.5, 0.0, "from a teacher that sees the whole clip (alpha 0.5"),
        (0.0, 0.0, "labels alone"),
    ],
)
def test_a_card_says_what_the_student_learned_from(alpha: float, beta: float, said: str) -> None:
    assert said in _taught(Distillation(alpha=alpha, beta=beta))


def test_a_card_names_what_was_learned_first() -> None:
    said = _learned_first(("Sticks. Free.", "Stones. For research."))
    assert said.startswith("Before these it was trained on the training clips of others")
    assert said.endswith("\n\n- Sticks. Free.\n- Stones. For research.")
