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


def _bytes_of(given: Any, what: str) -> bytes:
    """Text for the library, which sees it end at a zero byte."""
    if not isinstance(given, str) or "\0" in given:
        found = "one with a zero byte" if isinstance(given, str) else type(given).__name__
        raise UsercopyError(f"usercopy: expected {what} as a str, found {found}")
    return given.encode("latin-1", "replace")


def _decision_of(answer: Any) -> Decision:
    """What a callback answered; a bool would be CONTINUE or STOP by accident."""
    if answer is None:
        return Decision.STOP
    if isinstance(answer, int) and not isinstance(answer, bool) and answer in list(Decision):
        return Decision(answer)
    raise UsercopyError(f"usercopy: expected the callback to answer a usercopy.Decision or None, found {repr(answer)[:80]}")


class Attachment:
    """The check on one emulator, which keeps it until it is detached; made by `attach()`. Belongs to one thread at a time."""

    def __init__(self, library: ctypes.CDLL, uc: Any, on_violation: Optional[OnViolation], on_missing: Optional[OnMissing]):
        self._library = library
        self._uc = uc
        self._on_violation = on_violation
        self._on_missing = on_missing
        self._pointer: Optional[int] = None
        self._release: Optional["weakref.finalize[..., Any]"] = None
        self._error: Optional[BaseException] = None
        # Callbacks under way; and whether they are called by what a harness has called here, not by emu_start().
        self._asking = 0
        self._is_called_here = False
        self._last: Optional[Violation] = None
        self._on_finding: Optional[OnFinding] = None
        self._last_finding: Optional[Finding] = None
        self._resume_address: Optional[int] = None
        # ctypes keeps no callback alive.
        self._callback = _library.Callback(self._decide)
        self._finding_callback = _library.FindingCallback(self._decide_finding)

    def _decide(self, raw: Any) -> int:
        return self._guarded(lambda: self._decided(raw.contents))

    def _decide_finding(self, raw: Any) -> int:
        return self._guarded(lambda: self._decided_finding(raw.contents))

    def _guarded(self, decide: Callable[[], Decision]) -> int:
        # What is raised here must not get lost in ctypes: emu_start() raises it, or what called the library.
        self._asking += 1
        try:
            return decide()
        except BaseException as error:  # noqa: BLE001
            return self._remember(error)
        finally:
            self._asking -= 1
            self._let_go()

    def _decided(self, raw: _library.Violation) -> Decision:
        violation = violation_of(raw)
        if violation.missing is not None and self._brings(violation.missing):
            return Decision.RETRY
        self._last, self._resume_address = violation, violation.resume_address
        decision = _decision_of(self._on_violation(violation) if self._on_violation is not None else None)
        if decision is Decision.RETRY and (violation.missing is None or not self._is_there(violation.missing)):
            found = "a violation without any" if violation.missing is None else f"nothing at {violation.missing:#x}"
            raise UsercopyError(f"usercopy: expected missing memory that the callback has mapped with RETRY, found {found}")
        if decision is Decision.FAIL and violation.judged_afterwards:
            raise UsercopyError("usercopy: expected another decision in an audit, found FAIL: the copy has happened")
        return decision

    def _decided_finding(self, raw: _library.Finding) -> Decision:
        if raw.sanitizer == 0:
            return Decision.RETRY if self._brings(raw.missing) else Decision.CONTINUE
        finding = finding_of(raw)
        self._last_finding, self._resume_address = finding, finding.resume_address
        decision = _decision_of(self._on_finding(finding) if self._on_finding is not None else None)
        if decision is Decision.RETRY:
            raise UsercopyError("usercopy: expected another decision for what a sanitizer found, found RETRY: nothing is missing")
        return decision

    def _remember(self, error: BaseException) -> int:
        # The first one is the cause of those behind it.
        if self._is_called_here or not hasattr(self._uc, "_hook_exception"):
            self._error = self._error or error
        else:
            self._uc._hook_exception = error
        return Decision.STOP

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Calls what may judge copies of an audit itself, and raises what a callback has raised meanwhile."""
        before, self._is_called_here = self._is_called_here, True
        try:
            answer = function(*arguments)
        finally:
            self._is_called_here = before
        self._raise()
        return answer

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
        # Who does not keep what attach() answered has attached all the same.
        self._uc.__dict__.setdefault("_usercopy_attachments", []).append(self)

    def _let_go(self) -> None:
        """When it is detached, and not in the middle of a callback: an emulator that nobody else has is freed at once."""
        if self._pointer is not None or self._asking > 0 or self._release is None:
            return
        attachments = self._uc.__dict__.get("_usercopy_attachments", []) if self._uc is not None else []
        if self in attachments:
            attachments.remove(self)
        self._uc = self._on_violation = self._on_missing = self._on_finding = None

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
        if self._library.usercopy_symbol(self._open(), _bytes_of(name, "a name"), ctypes.byref(address)) != 0:
            raise UsercopyError(f"usercopy: expected a function of the prepared file, found none of the name {name!r}")
        return address.value

    def reset(self) -> None:
        """Forgets everything about copies under way: once an iteration, and whenever registers or memory were put back."""
        self._library.usercopy_reset(self._open())

    def set_audit(self, audit: bool) -> None:
        """True: copies are noted and happen, and are judged later; see `flush()`. Raises UsercopyError while there are sanitizers."""
        if self._call(self._library.usercopy_set_audit, self._open(), int(audit)) != 0:
            raise self._failed()

    def flush(self) -> bool:
        """Judges what an audit has noted; whether a decision was to stop. Raises what a callback raises."""
        return self._call(self._library.usercopy_flush, self._open()) != 0

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
        if self._library.usercopy_suppress(self._open(), _bytes_of(rules, "rules")) != 0:
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
        """Judges what an audit has noted and takes the hooks away; before the emulator is closed. Twice is harmless.

        Raises what a callback raises.
        """
        self._pointer = None
        if self._release is None:
            return
        try:
            self._call(self._release)
        finally:
            self._let_go()

    def _raise(self) -> None:
        """Raises what a callback has raised and no emu_start() does."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def __enter__(self) -> "Attachment":
        self._open()
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        try:
            self.detach()
            self._raise()
        except BaseException:  # noqa: BLE001
            # What ended the `with` goes on.
            if kind is None:
                raise


def _content_of(prepared: Any) -> bytes:
    """The content of a prepared file; errors do not print it, in whatever way it was handed in."""
    if isinstance(prepared, (bytes, bytearray, memoryview)):
        content = bytes(prepared)
    elif isinstance(prepared, (str, os.PathLike)):
        name = os.fsdecode(prepared)
        if len(name) > 4095 or "\0" in name:
            raise UsercopyError(f"usercopy.attach: expected the path of a prepared file or its bytes, found a text of {len(name)} characters")
        try:
            with open(name, "rb") as file:
                content = file.read()
        except OSError as error:
            raise UsercopyError(f"usercopy.attach: {name} cannot be read: {error.strerror}") from None
    else:
        raise UsercopyError(f"usercopy.attach: expected the path of a prepared file or its bytes, found {type(prepared).__name__}")
    if b"\0" in content:
        raise UsercopyError("usercopy.attach: expected the text of a prepared file, found a zero byte in it: it was damaged; prepare it again")
    return content


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
    """Attaches the check to an emulator. Use it in a `with`, or call `detach()` when it is to end: the emulator keeps it until then.

    `prepared` is the path of a file of `usercopy prepare`, or its bytes. Without `on_violation` the guest is stopped before a
    bad copy (`Attachment.last_violation`). `on_missing` is asked for pages that the check needs, or the
    cache's name for the message, and that are not there. `sanitize` and `on_finding` are those of `Attachment.sanitize()`.
    `library` is the path of libusercopy, where it is not found by itself.

    With `snapshot`, which `load_snapshot()` put into `uc`, the check reads that memory in place, which is faster: the memory
    then has to stay mapped as it was loaded, see usercopy_attach_snapshot() of native/harness.h.

    Raises UsercopyError with a sentence for a file, an emulator or a library that cannot be used.
    """
    for name, given in (("on_violation", on_violation), ("on_missing", on_missing), ("on_finding", on_finding)):
        if given is not None and not callable(given):
            raise UsercopyError(f"usercopy.attach: expected a function as {name}, found {type(given).__name__}")
    if on_finding is not None and not sanitize:
        raise UsercopyError("usercopy.attach: expected sanitizers with on_finding, found none: it would never be called")
    content = _content_of(prepared)
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
