"""Masking of WebSocket frames in C, where a package that has it is installed: see the extra ``fast``."""
if False:  # TYPE_CHECKING
    from collections.abc import Callable

apply_mask: 'Callable[[bytes, bytes], bytes] | None' = None
try:
    from websockets import speedups  # type: ignore[import-not-found,unused-ignore]
    apply_mask = speedups.apply_mask
except ImportError:
    pass
