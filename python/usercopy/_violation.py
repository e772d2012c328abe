"""What a harness is told of a copy, and what it answers."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Dict, Optional, Tuple

from . import _library
from ._library import text


class Decision(enum.IntEnum):
    """What becomes of the guest after a violation."""

    #: The copy happens.
    CONTINUE = 0
    #: `Uc.emu_start()` returns before the copy happens, the pc at the entry point; see `Attachment.resume()`.
    STOP = 1
    #: The copy is not made, and its caller is told so, as after -EFAULT. Not in an audit.
    FAIL = 2
    #: `Uc.emu_start()` raises UcError, which fuzzers take for a crash.
    CRASH = 3
    #: The memory at `Violation.missing` is there now: the copy is judged again.
    RETRY = 4


class Outcome(enum.IntEnum):
    """Why a copy is a violation."""

    #: The kernel would refuse it.
    BAD = 1
    #: It could not be judged: bytes of the guest are missing.
    UNREADABLE = 2
    #: It could not be judged: structures of the guest make no sense.
    UNJUDGED = 3


@dataclass(frozen=True)
class Frame:
    """A function that was left by a call."""

    #: Where it goes on.
    address: int
    symbol: Optional[str]
    #: Bytes from the symbol's start.
    offset: int
    #: False for a word that merely lies on the stack and looks like a return address: what an oops marks with "?".
    reliable: bool

    def __str__(self) -> str:
        place = f"{self.address:#x}" if self.symbol is None else f"{self.symbol}+{self.offset:#x}"
        return place if self.reliable else f"? {place}"


@dataclass(frozen=True)
class Violation:
    """A copy that the check refused, or could not judge. Addresses are the guest's, sizes are bytes."""

    #: The kernel's line, without the log prefix; None where it prints none or the copy could not be judged.
    message: Optional[str]
    outcome: Outcome
    #: The rule: "slab object", "process stack", …; "unreadable" where the copy could not be judged.
    region: str
    #: Slab cache; None for anything else.
    cache: Optional[str]
    #: The entry point at which the guest was caught, and its address.
    entry: str
    entry_address: int
    #: The kernel's side of the copy.
    pointer: int
    size: int
    #: "to_user" or "from_user".
    direction: str
    #: First byte and first byte after it; None where no object is known.
    object: Optional[Tuple[int, int]]
    #: What user copies may touch of the object.
    window: Optional[Tuple[int, int]]
    #: The address whose bytes could not be had: UNREADABLE: those that the check needs; BAD: those of the cache's name. None: none.
    missing: Optional[int]
    #: Where to go on after STOP.
    resume_address: int
    #: Where the function that copies returns to.
    caller: Frame
    #: From the caller outwards; empty in an audit.
    backtrace: Tuple[Frame, ...]
    #: How reliable frames were found: "frame pointers", "back chain", "register windows" or "stack scan" (none).
    backtrace_method: str
    #: To deduplicate by, as syzbot titles it: "BUG: bad usercopy in FUNC".
    title: str
    #: Lines for a person: the object, its bounds, and by how much the copy misses.
    explanation: Tuple[str, ...]
    #: Whether the kernel's own check is asked about this copy too; None where it is not known.
    kernel_judges: Optional[bool]
    #: An audit found it after the copy had happened.
    judged_afterwards: bool


@dataclass(frozen=True)
class Statistics:
    """Copies since the attachment was made."""

    #: Judged copies: good, bad and unreadable ones.
    checks: int
    good: int
    bad: int
    unreadable: int
    #: Of the bad and the unreadable: those that a rule silenced.
    suppressed: int
    #: Arrivals that `Attachment.resume()` let pass, not judged again.
    resumed: int


@dataclass(frozen=True)
class Finding:
    """A copy that the check let pass and a sanitizer did not like. Addresses are the guest's, sizes are bytes."""

    #: "freed": the object is free. "redzone": the copy goes over a red zone of one in use, or past what was asked for.
    sanitizer: str
    #: Our own words: no kernel prints this line.
    line: str
    #: Slab cache; None where its name cannot be read.
    cache: Optional[str]
    #: The entry point at which the guest was caught, and its address.
    entry: str
    entry_address: int
    #: The kernel's side of the copy.
    pointer: int
    size: int
    #: "to_user" or "from_user".
    direction: str
    #: The first object that it is about: first byte and first byte after it; and which one of its slab it is.
    object: Tuple[int, int]
    object_index: int
    #: The red zone that the copy touches; None for "freed".
    red_zone: Optional[Tuple[int, int]]
    #: Where to go on after STOP.
    resume_address: int
    #: Where the function that copies returns to.
    caller: Frame
    #: From the caller outwards.
    backtrace: Tuple[Frame, ...]
    #: How reliable frames were found, as in a Violation.
    backtrace_method: str
    #: To deduplicate by: "sanitizer freed in FUNC".
    title: str


@dataclass(frozen=True)
class SanitizerStatistics:
    """Copies of some bytes that the check let pass, by what a look at them came to; the first five are all of them."""

    #: No slab: nothing that a sanitizer knows.
    elsewhere: int
    #: In objects that are in use, their red zones untouched.
    allocated: int
    freed: int
    red_zone: int
    #: The state of an object is not known; and those by why it is not.
    unknown: int
    unknown_by: Dict[str, int]
    #: All of them.
    looks: int


def _frame(raw: _library.Frame) -> Frame:
    return Frame(raw.address, text(raw.symbol), raw.offset, raw.reliable != 0)


def violation_of(raw: _library.Violation) -> Violation:
    """A copy of what lives only as long as the callback."""
    has_object = raw.has_object != 0
    outcome = Outcome(raw.outcome)
    return Violation(
        message=text(raw.message),
        outcome=outcome,
        region=text(raw.region) or "",
        cache=text(raw.cache),
        entry=text(raw.entry) or "",
        entry_address=raw.entry_address,
        pointer=raw.pointer,
        size=raw.size,
        direction="to_user" if raw.to_user else "from_user",
        object=(raw.object_start, raw.object_end) if has_object else None,
        window=(raw.window_start, raw.window_end) if has_object else None,
        missing=raw.missing if outcome is Outcome.UNREADABLE else raw.missing or None,
        resume_address=raw.resume_address,
        caller=Frame(raw.caller_address, text(raw.caller), raw.caller_offset, True),
        backtrace=tuple(_frame(raw.backtrace[i]) for i in range(raw.backtrace_count)),
        backtrace_method=text(raw.backtrace_method) or "",
        title=text(raw.title) or "",
        explanation=tuple((text(raw.explanation) or "").split("\n")),
        kernel_judges=None if raw.kernel_judges < 0 else raw.kernel_judges != 0,
        judged_afterwards=raw.judged_afterwards != 0,
    )


def finding_of(raw: _library.Finding) -> Finding:
    """The same of what a sanitizer found."""
    names = {number: name for name, number in _library.SANITIZERS.items()}
    return Finding(
        sanitizer=names[raw.sanitizer],
        line=text(raw.line) or "",
        cache=text(raw.cache),
        entry=text(raw.entry) or "",
        entry_address=raw.entry_address,
        pointer=raw.pointer,
        size=raw.size,
        direction="to_user" if raw.to_user else "from_user",
        object=(raw.object_start, raw.object_end),
        object_index=raw.object_index,
        red_zone=(raw.zone_start, raw.zone_end) if raw.zone_end else None,
        resume_address=raw.resume_address,
        caller=Frame(raw.caller_address, text(raw.caller), raw.caller_offset, True),
        backtrace=tuple(_frame(raw.backtrace[i]) for i in range(raw.backtrace_count)),
        backtrace_method=text(raw.backtrace_method) or "",
        title=text(raw.title) or "",
    )
