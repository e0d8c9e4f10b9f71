"""Seeds. All randomness of a fit follows from a few small numbers, so a resumed fit draws the same again."""

from __future__ import annotations

import numpy as np


def mixed_seed(*numbers: int) -> int:
    """One well mixed 63-bit seed of several small numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
