"""libusercopy as ctypes sees it: its structures as native/harness.h documents them, to the byte."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import platform
from pathlib import Path
from typing import List, Optional

INTERFACE = 6
# As Node.js names the processors of prebuilds/.
_TARGET = "linux-" + {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


class UsercopyError(Exception):
    """What libusercopy refused, in its own sentence."""


class Unicorn(ctypes.Structure):
    """UsercopyUnicorn."""

    _fields_ = [("handle", ctypes.c_void_p), ("path", ctypes.c_char_p), ("functions", ctypes.c_void_p * 16)]


class Frame(ctypes.Structure):
    """UsercopyFrame."""

    _fields_ = [
        ("address", ctypes.c_uint64),
        ("symbol", ctypes.c_char_p),
        ("offset", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("reliable", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
    ]


class Violation(ctypes.Structure):
    """UsercopyViolation."""

    _fields_ = [
        ("attachment", ctypes.c_void_p),
        ("user_data", ctypes.c_void_p),
        ("message", ctypes.c_char_p),
        ("region", ctypes.c_char_p),
        ("cache", ctypes.c_char_p),
        ("entry", ctypes.c_char_p),
        ("entry_address", ctypes.c_uint64),
        ("pointer", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("to_user", ctypes.c_int32),
        ("has_object", ctypes.c_int32),
        ("object_start", ctypes.c_uint64),
        ("object_end", ctypes.c_uint64),
        ("missing", ctypes.c_uint64),
        ("window_start", ctypes.c_uint64),
        ("window_end", ctypes.c_uint64),
        ("resume_address", ctypes.c_uint64),
        ("caller_address", ctypes.c_uint64),
        ("caller", ctypes.c_char_p),
        ("caller_offset", ctypes.c_uint64),
        ("title", ctypes.c_char_p),
        ("explanation", ctypes.c_char_p),
        ("backtrace", ctypes.POINTER(Frame)),
        ("backtrace_count", ctypes.c_uint32),
        ("outcome", ctypes.c_int32),
        ("kernel_judges", ctypes.c_int32),
        ("judged_afterwards", ctypes.c_int32),
        ("backtrace_method", ctypes.c_char_p),
        ("reserved", ctypes.c_uint64 * 3),
    ]


class Statistics(ctypes.Structure):
    """UsercopyStatistics."""

    _fields_ = [
        (name, ctypes.c_uint64) for name in ("checks", "good", "bad", "unreadable", "suppressed", "resumed")
    ]


class Finding(ctypes.Structure):
    """UsercopyFinding."""

    _fields_ = [
        ("attachment", ctypes.c_void_p),
        ("user_data", ctypes.c_void_p),
        ("line", ctypes.c_char_p),
        ("cache", ctypes.c_char_p),
        ("entry", ctypes.c_char_p),
        ("entry_address", ctypes.c_uint64),
        ("pointer", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("to_user", ctypes.c_int32),
        ("sanitizer", ctypes.c_int32),
        ("object_start", ctypes.c_uint64),
        ("object_end", ctypes.c_uint64),
        ("zone_start", ctypes.c_uint64),
        ("zone_end", ctypes.c_uint64),
        ("missing", ctypes.c_uint64),
        ("resume_address", ctypes.c_uint64),
        ("caller_address", ctypes.c_uint64),
        ("caller", ctypes.c_char_p),
        ("caller_offset", ctypes.c_uint64),
        ("title", ctypes.c_char_p),
        ("backtrace", ctypes.POINTER(Frame)),
        ("backtrace_count", ctypes.c_uint32),
        ("object_index", ctypes.c_uint32),
        ("backtrace_method", ctypes.c_char_p),
        ("reserved", ctypes.c_uint64 * 4),
    ]


class SanitizerStatistics(ctypes.Structure):
    """UsercopySanitizerStatistics."""

    _fields_ = [
        (name, ctypes.c_uint64) for name in ("looks", "elsewhere", "allocated", "freed", "red_zone", "unknown")
    ]


#: UsercopySanitizer by our names, and the bit that asks for missing memory.
SANITIZERS = {"freed": 1, "redzone": 2}
ASK_MISSING = 4

Callback = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.POINTER(Violation))
FindingCallback = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.POINTER(Finding))

_POINTER = ctypes.c_void_p
_SIGNATURES = {
    "usercopy_interface": (ctypes.c_uint32, []),
    "usercopy_attach_with": (_POINTER, [ctypes.POINTER(Unicorn), _POINTER, ctypes.c_char_p, Callback]),
    "usercopy_attach_snapshot": (_POINTER, [_POINTER, ctypes.c_char_p, Callback]),
    "usercopy_detach": (None, [_POINTER]),
    "usercopy_resume_once": (ctypes.c_int, [_POINTER]),
    "usercopy_resume_cancel": (None, [_POINTER]),
    "usercopy_reset": (None, [_POINTER]),
    "usercopy_set_audit": (ctypes.c_int, [_POINTER, ctypes.c_int]),
    "usercopy_flush": (ctypes.c_int, [_POINTER]),
    "usercopy_suppress": (ctypes.c_int, [_POINTER, ctypes.c_char_p]),
    "usercopy_suppressed": (ctypes.c_uint64, [_POINTER, ctypes.c_size_t]),
    "usercopy_statistics": (Statistics, [_POINTER]),
    "usercopy_sanitize": (ctypes.c_int, [_POINTER, ctypes.c_uint32, FindingCallback]),
    "usercopy_sanitizer_statistics": (SanitizerStatistics, [_POINTER]),
    "usercopy_tally": (
        ctypes.c_size_t,
        [
            _POINTER,
            ctypes.c_int32,
            ctypes.c_size_t,
            ctypes.POINTER(ctypes.c_char_p),
            ctypes.POINTER(ctypes.c_uint64),
        ],
    ),
    "usercopy_notes": (ctypes.c_char_p, [_POINTER]),
    "usercopy_symbol": (ctypes.c_int, [_POINTER, ctypes.c_char_p, ctypes.POINTER(ctypes.c_uint64)]),
    "usercopy_snapshot_load_with": (_POINTER, [ctypes.POINTER(Unicorn), _POINTER, ctypes.c_char_p]),
    "usercopy_snapshot_place": (
        ctypes.c_int,
        [_POINTER, ctypes.c_char_p, ctypes.POINTER(ctypes.c_uint64), ctypes.POINTER(ctypes.c_uint64)],
    ),
    "usercopy_snapshot_restore": (ctypes.c_int, [_POINTER]),
    "usercopy_snapshot_unknown_registers": (ctypes.c_char_p, [_POINTER]),
    "usercopy_snapshot_free": (None, [_POINTER]),
    "usercopy_error": (ctypes.c_char_p, []),
}


def _places() -> List[str]:
    """Where libusercopy may be, best first."""
    here = Path(__file__).resolve().parent
    project = here.parents[1]
    places = [os.environ.get("USERCOPY_LIBRARY")]
    # Inside the wheel; compiled in a checkout; as npm's package brings it; where the system's loader looks.
    inside = [here / "libusercopy.so", project / "build/Release/libusercopy.so", project / "prebuilds" / _TARGET / "libusercopy.so"]
    places += [str(path) for path in inside if path.exists()]
    places.append(ctypes.util.find_library("usercopy"))
    return [place for place in places if place]


def load(path: Optional[str] = None) -> ctypes.CDLL:
    """libusercopy at `path`; else the one that $USERCOPY_LIBRARY names, that was installed with this module, or of the system."""
    places = [path] if path is not None else _places()
    if not places:
        raise UsercopyError(
            "libusercopy: expected it beside this module, in $USERCOPY_LIBRARY or among the system's libraries, found none: "
            "run `npm run build` in unicorn-usercopy and install this module again, or set USERCOPY_LIBRARY"
        )
    try:
        library = ctypes.CDLL(places[0])
        for name, (answer, arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = answer, arguments
    except (OSError, AttributeError) as error:
        raise UsercopyError(f"libusercopy: {places[0]} cannot be used: {error}") from None
    found = library.usercopy_interface()
    if found != INTERFACE:
        raise UsercopyError(f"libusercopy: expected interface {INTERFACE}, found {found} in {places[0]}: build it again")
    return library


def text(value: Optional[bytes]) -> Optional[str]:
    """Bytes of the guest as they are: Latin-1 has a character for each."""
    return None if value is None else value.decode("latin-1")
