"""How long and how often everything is measured."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Seconds are those of one measurement, each after a warm-up; every figure is the median over the rounds."""

    rounds: int = 5
    seconds: int = 3
    warm_up: int = 1
    connections: int = 32
    idle_connections: int = 10_000
    busy_connections: int = 100
    file_megabytes: int = 100
    upload_megabytes: int = 100
    slow_clients: int = 1000
    slow_hold: float = 12  # longer than header_timeout, so that slow senders are dropped and come back
    fresh_tries: int = 20
    event_clients: int = 500
    event_readers: int = 10  # beside those that never read
    deaf_clients: int = 100
    deaf_hold: float = 10  # long enough that the kernel, too, takes no more for them
    event_kilobytes: int = 16  # of those events
    peers: 'tuple[str, ...]' = ()  # none means all

    def select(self, peers: tuple) -> list:
        return [peer for peer in peers if not self.peers or peer.name in self.peers]


QUICK = {'rounds': 1, 'seconds': 1, 'idle_connections': 1000, 'file_megabytes': 10,
         'upload_megabytes': 10, 'slow_clients': 100, 'slow_hold': 2,
         'deaf_hold': 2}
