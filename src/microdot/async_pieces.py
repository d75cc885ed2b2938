"""A generator as an asynchronous one, which MicroPython does not have."""
if False:  # TYPE_CHECKING
    from collections.abc import AsyncIterator
    from typing import Any


class AsyncPieces:
    """Iterates over what a generator yields."""

    def __init__(self, pieces: 'Any'):
        self.pieces = pieces

    def __aiter__(self) -> 'AsyncIterator[str]':
        return self

    async def __anext__(self) -> str:
        for piece in self.pieces:
            return piece  # type: ignore[no-any-return]
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.pieces.close()
