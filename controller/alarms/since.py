"""Since when something has been so, alarm by alarm; what is so no more begins anew."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from controller.image.masks import anywhere

NEVER_NS = 2**62


class Since:
    """Begins of what lasts [A]."""

    def __init__(self, size: int) -> None:
        """Nothing lasts."""
        self._began_ns = np.full(size, NEVER_NS, np.int64)
        self._any = False

    def shorter_than(
        self, lasts: NDArray[np.bool_], longest_ns: NDArray[np.int64] | int, now_ns: int
    ) -> NDArray[np.bool_] | None:
        """Return which of those that last now have not done so for so long; None where nothing lasts."""
        if not anywhere(lasts):
            if self._any:
                self._began_ns.fill(NEVER_NS)
                self._any = False
            return None
        self._any = True
        self._began_ns = np.where(lasts, np.minimum(self._began_ns, now_ns), NEVER_NS)
        young: NDArray[np.bool_] = lasts & (now_ns - self._began_ns < longest_ns)
        return young
