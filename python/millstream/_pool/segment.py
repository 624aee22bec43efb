"""Memory without a name that two processes share: it goes when the last of them does, however that ends."""

import mmap
import os
import tempfile
from multiprocessing import context, reduction
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST = 1 << 16


class Segment:
    """Shared memory that grows when needed, and is never made smaller.

    A child gets it among the arguments of its `Process`, for reading only.
    """

    def __init__(self, descriptor: int, *, owner: bool) -> None:
        self._descriptor = descriptor
        self._owner = owner
        self._map: mmap.mmap | None = None

    @classmethod
    def create(cls) -> "Segment":
        """Return memory of this process, to be shared with others."""
        if hasattr(os, "memfd_create"):
            return cls(os.memfd_create("millstream"), owner=True)
        with tempfile.TemporaryFile() as file:
            return cls(os.dup(file.fileno()), owner=True)

    def view(self, size: int) -> NDArray[np.uint8]:
        """Return its first bytes, as they are: what is written to them is seen on the other side.

        Args:
            size: Bytes that are needed; the owner makes room for them.
        """
        if self._map is None or len(self._map) < size:
            there = os.fstat(self._descriptor).st_size
            if there < size:
                there = max(size, 2 * there, _LEAST)
                os.ftruncate(self._descriptor, there)
            access = mmap.ACCESS_WRITE if self._owner else mmap.ACCESS_READ
            self._map = mmap.mmap(self._descriptor, there, access=access)
        return np.frombuffer(self._map, np.uint8, size)

    def close(self) -> None:
        """Give it up; views that are still held stay usable."""
        self._map = None
        os.close(self._descriptor)

    def __reduce__(self) -> tuple[Any, ...]:
        context.assert_spawning(self)
        return _attach, (reduction.DupFd(self._descriptor),)


def _attach(descriptor: Any) -> Segment:
    return Segment(descriptor.detach(), owner=False)
