"""Masking of WebSocket frames on CPython: in C, where a package that has it is installed, see the extra ``fast``."""
BLOCK = 2048  # bytes that are masked at a time, a multiple of 4


def apply_mask(data: bytes, key: bytes) -> bytes:
    """Mask or unmask ``data`` with a key of 4 bytes (RFC 6455 section 5.3)."""
    # PERF: bench, WebSocket echo: long integers are the only loop over bytes that is in C
    size = len(data)
    if size <= BLOCK:
        keys = (key * (size // 4 + 1))[:size]
        return (int.from_bytes(data, 'little') ^ int.from_bytes(keys, 'little')).to_bytes(size, 'little')
    block = int.from_bytes(key * (BLOCK // 4), 'little')
    end = size - size % BLOCK
    parts = [(int.from_bytes(data[i:i + BLOCK], 'little') ^ block).to_bytes(BLOCK, 'little')
             for i in range(0, end, BLOCK)]
    parts.append(apply_mask(data[end:], key))
    return b''.join(parts)


try:
    from websockets.speedups import apply_mask  # type: ignore[import-not-found,no-redef,assignment,unused-ignore]
except ImportError:
    pass
