"""A guest that was written down, put into a `unicorn.Uc`."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, List, Optional, Tuple, Union

from . import _library
from ._attachment import libunicorn_of
from ._library import UsercopyError, text

if TYPE_CHECKING:
    from unicorn import Uc


class _Memory:
    """A snapshot of libusercopy, which is freed with the emulator that holds it, after that was closed."""

    def __init__(self, library: ctypes.CDLL, pointer: int):
        # At the end of the process the module's own names may be gone.
        self._free = library.usercopy_snapshot_free
        self._pointer = pointer

    def __del__(self) -> None:
        self._free(self._pointer)


class Snapshot:
    """A guest in an emulator; made by `load_snapshot()`. Its memory lives as long as the emulator."""

    def __init__(self, library: ctypes.CDLL, uc: "Uc", pointer: int):
        self._library = library
        self._uc = uc
        self._pointer = pointer

    def place(self, name: str) -> Tuple[int, int]:
        """First byte of `return_address`, `user`, `stack`, `task` or an object of the scenario, and first byte after it.

        Raises UsercopyError when the snapshot has nothing of that name.
        """
        start, end = ctypes.c_uint64(), ctypes.c_uint64()
        found = self._library.usercopy_snapshot_place(
            self._pointer, name.encode(), ctypes.byref(start), ctypes.byref(end)
        )
        if found != 0:
            raise UsercopyError(f"usercopy: expected a place of the snapshot, found none of the name {name!r}")
        return start.value, end.value

    def restore(self) -> None:
        """Puts the memory and the whole CPU back as they were loaded. Call `Attachment.reset()` too."""
        if self._library.usercopy_snapshot_restore(self._pointer) != 0:
            raise UsercopyError(text(self._library.usercopy_error()))

    @property
    def unknown_registers(self) -> List[str]:
        """Registers of the files that the emulator does not have or does not take."""
        return (text(self._library.usercopy_snapshot_unknown_registers(self._pointer)) or "").split()


def load_snapshot(
    uc: "Uc", folder: Union[str, "os.PathLike[str]"], *, library: Optional[str] = None
) -> Snapshot:
    """Maps a guest's memory into an emulator that was just made, and sets its registers.

    `folder` is what `usercopy run … --snapshot` writes, or one of Unicorn's dumpers (`unicorn_dumper_*.py`).

    Raises UsercopyError with a sentence for files that cannot be used.
    """
    loaded = _library.load(library)
    unicorn = _library.Unicorn(handle=libunicorn_of(uc))
    pointer = loaded.usercopy_snapshot_load_with(ctypes.byref(unicorn), uc._uch, os.fsencode(folder))
    if not pointer:
        raise UsercopyError(text(loaded.usercopy_error()))
    # The binding closes the emulator when weak references to it are called; what the object itself holds goes after them.
    memories = uc.__dict__.setdefault("_usercopy_memories", [])
    memories.append(_Memory(loaded, pointer))
    return Snapshot(loaded, uc, pointer)
