"""What only CPython's server can do. The core runs without this file, but then Ctrl-C ends requests half-way."""
import asyncio
import signal

from microdot.microdot import Microdot

if False:  # TYPE_CHECKING
    from typing import Any


async def run_app(app: Microdot, *args: 'Any') -> None:
    """Run ``app.start_server(*args)``. The first Ctrl-C shuts it down gracefully, another one interrupts as usual."""
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        app.shutdown()

    try:
        loop.add_signal_handler(signal.SIGINT, interrupt)
    except (NotImplementedError, ValueError, RuntimeError):  # Windows; not in the main thread
        pass
    await app.start_server(*args)
