# SPDX-License-Identifier: MIT
"""The token that guards virtual functions, as C takes it."""

from __future__ import annotations

from .errors import invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from uuid import UUID


def token_bytes(token: UUID | str) -> bytes:
    """The 16 bytes of a token, in the order in which a UUID is written."""
    from uuid import UUID

    if isinstance(token, str):
        try:
            token = UUID(token)
        except ValueError:
            text = f"{token!r} is no UUID; one looks like 2ab74924-c335-45f4-9b16-8569e5b08258"
            raise invalid(text) from None
    if not isinstance(token, UUID):
        raise TypeError(f"a token is a uuid.UUID or its text, not {type(token).__name__}")
    return token.bytes
