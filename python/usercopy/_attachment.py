"""An attachment to a `unicorn.Uc`."""

from __future__ import annotations

import ctypes
import os
import sys
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence, Type, Union

from . import _library
from ._library import UsercopyError, text
from ._violation import Decision, Finding, SanitizerStatistics, Statistics, Violation, finding_of, violation_of

if TYPE_CHECKING:
    from unicorn import Uc

    from ._snapshot import Snapshot

#: Decides what becomes of the guest; None is STOP.
OnViolation = Callable[[Violation], Optional[Decision]]
#: The same for what a sanitizer found; RETRY is no answer.
OnFinding = Callable[[Finding], Optional[Decision]]
#: Maps the page of an address; whether it could.
OnMissing = Callable[[int], bool]

_TALLIES = ("direction", "region", "cache", "caller", "verdict", "unknown")


def libunicorn_of(uc: Any) -> int:
    """dlopen()'s handle of the libunicorn that the binding of `uc` has loaded."""
    for cls in type(uc).__mro__:
        for value in vars(sys.modules.get(cls.__module__, object)).values():
            if isinstance(value, ctypes.CDLL) and hasattr(value, "uc_open"):
                return value._handle
    raise UsercopyError("usercopy.attach: expected a unicorn.Uc, found " + type(uc).__name__)


class Attachment:
    """The check on one emulator; made by `attach()`. Belongs to one thread at a time."""

    def __init__(self, library: ctypes.CDLL, uc: Any, on_violation: Optional[OnViolation], on_missing: Optional[OnMissing]):
        self._library = library
        self._uc = uc
        self._on_violation = on_violation
        self._on_missing = on_missing
        self._pointer: Optional[int] = None
        self._release: Optional["weakref.finalize[..., Any]"] = None
        self._error: Optional[BaseException] = None
        self._last: Optional[Violation] = None
        self._on_finding: Optional[OnFinding] = None
        self._last_finding: Optional[Finding] = None
        self._resume_address: Optional[int] = None
        # ctypes keeps no callback alive.
        self._callback = _library.Callback(self._decide)
        self._finding_callback = _library.FindingCallback(self._decide_finding)

    def _decide(self, raw: Any) -> int:
        # What is raised here must not get lost in ctypes: emu_start() raises it.
        try:
            violation = violation_of(raw.contents)
            if violation.missing is not None and self._brings(violation.missing):
                return Decision.RETRY
            self._last, self._resume_address = violation, violation.resume_address
            answer = self._on_violation(violation) if self._on_violation is not None else Decision.STOP
            return Decision.STOP if answer is None else Decision(answer)
        except BaseException as error:  # noqa: BLE001
            return self._remember(error)

    def _decide_finding(self, raw: Any) -> int:
        try:
            if raw.contents.sanitizer == 0:
                return Decision.RETRY if self._brings(raw.contents.missing) else Decision.CONTINUE
            finding = finding_of(raw.contents)
            self._last_finding, self._resume_address = finding, finding.resume_address
            answer = self._on_finding(finding) if self._on_finding is not None else Decision.STOP
            return Decision.STOP if answer is None else Decision(answer)
        except BaseException as error:  # noqa: BLE001
            return self._remember(error)

    def _remember(self, error: BaseException) -> int:
        self._error = error
        if hasattr(self._uc, "_hook_exception"):
            self._uc._hook_exception = error
        return Decision.STOP

    def _brings(self, address: int) -> bool:
        return self._on_missing is not None and self._on_missing(address) and self._is_there(address)

    def _is_there(self, address: int) -> bool:
        try:
            self._uc.mem_read(address, 1)
        except Exception:  # noqa: BLE001
            return False
        return True

    def _attached(self, pointer: int) -> None:
        self._pointer = pointer
        # Both may become garbage at once. The newest finalizer is called first: before the binding closes the emulator.
        self._release = weakref.finalize(self._uc, self._library.usercopy_detach, pointer)
        self._release.atexit = False

    def _open(self) -> int:
        if self._pointer is None:
            raise UsercopyError("usercopy: expected an attachment, found one that was detached")
        return self._pointer

    def _failed(self) -> UsercopyError:
        return UsercopyError(text(self._library.usercopy_error()) or "usercopy: unknown failure")

    @property
    def last_violation(self) -> Optional[Violation]:
        """The last copy that `on_violation` was asked about."""
        return self._last

    @property
    def last_finding(self) -> Optional[Finding]:
        """The last copy that `on_finding` was asked about."""
        return self._last_finding

    def resume(self, until: int, timeout: int = 0, count: int = 0) -> None:
        """Goes on from the copy that STOP stopped last, without judging that one again: `Uc.emu_start()` from there.

        Raises UsercopyError when none is stopped, or the emulator stands elsewhere, and what `Uc.emu_start()` raises.
        """
        pointer = self._open()
        if self._resume_address is None:
            raise UsercopyError("usercopy: expected a stopped copy, found none")
        if self._library.usercopy_resume_once(pointer) != 0:
            raise self._failed()
        try:
            self._uc.emu_start(self._resume_address, until, timeout, count)
        finally:
            if self._pointer is not None:
                self._library.usercopy_resume_cancel(self._pointer)

    def symbol(self, name: str) -> int:
        """The address of a function by its name in the prepared file. Raises UsercopyError when it has none."""
        address = ctypes.c_uint64()
        if self._library.usercopy_symbol(self._open(), name.encode("latin-1", "replace"), ctypes.byref(address)) != 0:
            raise UsercopyError(f"usercopy: expected a function of the prepared file, found none of the name {name!r}")
        return address.value

    def reset(self) -> None:
        """Forgets everything about copies under way: once an iteration, and whenever registers or memory were put back."""
        self._library.usercopy_reset(self._open())

    def set_audit(self, audit: bool) -> None:
        """True: copies are noted and happen, and are judged later; see `flush()`. Raises UsercopyError while there are sanitizers."""
        if self._library.usercopy_set_audit(self._open(), int(audit)) != 0:
            raise self._failed()

    def flush(self) -> bool:
        """Judges what an audit has noted; whether a decision was to stop."""
        stops = self._library.usercopy_flush(self._open()) != 0
        self._raise()
        return stops

    def sanitize(self, sanitizers: Sequence[str], on_finding: Optional[OnFinding] = None) -> None:
        """Looks at what the check lets pass from now on: "freed" for objects that are free, "redzone" for red zones; () ends it.

        `on_finding` decides; without it the guest is stopped before the copy. `on_missing` of the attachment is asked for pages
        that a look needs. Raises UsercopyError where the prepared file has no types, in an audit, and for another name.
        """
        known = _library.SANITIZERS
        wrong = [name for name in sanitizers if name not in known]
        if isinstance(sanitizers, str) or wrong:
            raise UsercopyError(f"usercopy: expected sanitizers among {', '.join(known)} in a sequence, found {sanitizers!r}")
        number = sum(known[name] for name in set(sanitizers))
        if number and self._on_missing is not None:
            number += _library.ASK_MISSING
        if self._library.usercopy_sanitize(self._open(), number, self._finding_callback) != 0:
            raise self._failed()
        self._on_finding = on_finding

    @property
    def sanitizer_statistics(self) -> SanitizerStatistics:
        """What looks came to; all 0 without sanitizers."""
        raw = self._library.usercopy_sanitizer_statistics(self._open())
        counts = (raw.elsewhere, raw.allocated, raw.freed, raw.red_zone, raw.unknown)
        return SanitizerStatistics(*counts, self.tally("unknown"), raw.looks)

    def suppress(self, rules: str) -> None:
        """Passes over violations that a rule matches: one rule a line, `caller=proc_* cache=task_struct`."""
        if self._library.usercopy_suppress(self._open(), rules.encode("latin-1", "replace")) != 0:
            raise self._failed()

    def suppressed(self, rule: int) -> int:
        """Violations that this rule silenced, rules counted from 0."""
        return int(self._library.usercopy_suppressed(self._open(), rule))

    @property
    def statistics(self) -> Statistics:
        raw = self._library.usercopy_statistics(self._open())
        return Statistics(raw.checks, raw.good, raw.bad, raw.unreadable, raw.suppressed, raw.resumed)

    def tally(self, by: str) -> Dict[str, int]:
        """Violations by "direction", "region", "cache" or "caller", every judged copy by "verdict", looks of sanitizers
        that came to nothing by why ("unknown"); the most frequent first."""
        if by not in _TALLIES:
            raise UsercopyError(f"usercopy: expected a tally by {', '.join(_TALLIES)}, found {by!r}")
        pointer, number = self._open(), _TALLIES.index(by)
        name, count = ctypes.c_char_p(), ctypes.c_uint64()
        rows: Dict[str, int] = {}
        row, end = 0, 1
        while row < end:
            end = self._library.usercopy_tally(pointer, number, row, ctypes.byref(name), ctypes.byref(count))
            if row < end:
                rows[text(name.value) or ""] = count.value
            row += 1
        return rows

    @property
    def notes(self) -> List[str]:
        """What a person should know: what cannot be judged, and why."""
        return [note for note in (text(self._library.usercopy_notes(self._open())) or "").split("\n") if note]

    def detach(self) -> None:
        """Judges what an audit has noted and takes the hooks away; before the emulator is closed. Twice is harmless."""
        self._pointer = None
        if self._release is not None:
            self._release()

    def _raise(self) -> None:
        """Raises what a callback raised and no emu_start() has."""
        error, self._error = self._error, None
        if error is not None and not hasattr(self._uc, "_hook_exception"):
            raise error

    def __enter__(self) -> "Attachment":
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.detach()
        if kind is None:
            self._raise()

    def __del__(self) -> None:
        if getattr(self, "_release", None) is not None:
            self.detach()


def attach(
    uc: "Uc",
    prepared: Union[str, "os.PathLike[str]", bytes],
    *,
    on_violation: Optional[OnViolation] = None,
    on_missing: Optional[OnMissing] = None,
    suppress: Optional[str] = None,
    audit: bool = False,
    sanitize: Sequence[str] = (),
    on_finding: Optional[OnFinding] = None,
    snapshot: Optional["Snapshot"] = None,
    library: Optional[str] = None,
) -> Attachment:
    """Attaches the check to an emulator. Use it in a `with`, or call `detach()` before the emulator is closed.

    `prepared` is the path of a file of `usercopy prepare`, or its bytes. Without `on_violation` the guest is stopped before a
    bad copy (`Attachment.last_violation`). `on_missing` is asked for pages that the check needs, or the
    cache's name for the message, and that are not there. `sanitize` and `on_finding` are those of `Attachment.sanitize()`.
    `library` is the path of libusercopy, where it is not found by itself.

    With `snapshot`, which `load_snapshot()` put into `uc`, the check reads that memory in place, which is faster: the memory
    then has to stay mapped as it was loaded, see usercopy_attach_snapshot() of native/harness.h.

    Raises UsercopyError with a sentence for a file, an emulator or a library that cannot be used.
    """
    if isinstance(prepared, bytes):
        content = prepared
    else:
        try:
            with open(prepared, "rb") as file:
                content = file.read()
        except OSError as error:
            raise UsercopyError(f"usercopy.attach: {os.fspath(prepared)} cannot be read: {error.strerror}") from None
    if snapshot is not None and snapshot._uc is not uc:
        raise UsercopyError("usercopy.attach: expected a snapshot that was loaded into this emulator, found one of another")
    loaded = _library.load(library) if snapshot is None else snapshot._library
    attachment = Attachment(loaded, uc, on_violation, on_missing)
    if snapshot is not None:
        pointer = loaded.usercopy_attach_snapshot(snapshot._pointer, content, attachment._callback)
    else:
        unicorn = _library.Unicorn(handle=libunicorn_of(uc))
        pointer = loaded.usercopy_attach_with(ctypes.byref(unicorn), uc._uch, content, attachment._callback)
    if not pointer:
        raise attachment._failed()
    attachment._attached(pointer)
    try:
        if suppress is not None:
            attachment.suppress(suppress)
        if audit:
            attachment.set_audit(True)
        if sanitize:
            attachment.sanitize(sanitize, on_finding)
    except UsercopyError:
        attachment.detach()
        raise
    return attachment
