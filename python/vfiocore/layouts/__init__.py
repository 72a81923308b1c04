# SPDX-License-Identifier: MIT
"""What stands where in config space, as tables: the header, and each capability by its id.

:mod:`vfiocore.registers` has the decoder that walks them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..registers import Layout

__all__ = ["layout_of"]


def layout_of(id: int, extended: bool) -> Layout:
    """The layout of a capability; an empty one when it is not public."""
    from ..registers import Layout

    if extended:
        from .extended import EXTENDED

        return EXTENDED.get(id) or Layout()
    from .standard import STANDARD

    return STANDARD.get(id) or Layout()
