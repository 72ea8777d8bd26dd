"""The hub's door: how many connections stand open, whose they are, and which clients they belong to."""

from __future__ import annotations

import threading
from collections import Counter

from store import address
from store.errors import StoreError
from store.wire import Channel

MOST, MOST_OF_ONE = 512, 256  # connections: a console holds three or four


class Door:
    """Counts who is in. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accounts: Counter[int] = Counter()
        self._instances: Counter[str] = Counter()
        self._channels: dict[Channel, int] = {}  # with the account's uid

    def enter(self, channel: Channel) -> None:
        """Let a connection in; raises StoreError where there are too many already."""
        uid = address.peer_of(channel.sock).uid
        with self._lock:
            if self._accounts[uid] >= MOST_OF_ONE or self._accounts.total() >= MOST:
                raise StoreError(
                    f"the hub has {self._accounts[uid]} connections of {address.user_name(uid)} open already",
                    todo="Close some of its consoles or jobs.",
                )
            self._accounts[uid] += 1
            self._channels[channel] = uid

    def leave(self, channel: Channel) -> None:
        """A connection that was let in is over."""
        with self._lock:
            self._accounts[self._channels.pop(channel)] -= 1

    def come(self, instance: str) -> None:
        """A connection said which client it belongs to."""
        with self._lock:
            self._instances[instance] += 1

    def go(self, instance: str) -> bool:
        """One of its connections is over; whether it was the client's last."""
        with self._lock:
            self._instances[instance] -= 1
            last = self._instances[instance] <= 0
            if last:
                del self._instances[instance]
            return last

    def channels(self) -> list[Channel]:
        """The connections that are open."""
        with self._lock:
            return list(self._channels)
