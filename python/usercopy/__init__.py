"""Linux's hardened-usercopy check for Unicorn harnesses in Python, over libusercopy.

    import usercopy

    with usercopy.attach(uc, "attach.json", on_violation=lambda violation: usercopy.Decision.STOP) as attachment:
        uc.emu_start(begin, until)

A kernel's guest that `usercopy run --kernel IMAGE --snapshot guest` has set up is loaded with `usercopy.load_snapshot(uc, "guest")`.
`attach.json` is made by `usercopy prepare`. It works with the libunicorn that the `unicorn` module has loaded, 2.0.1 or later.
"""

from ._attachment import Attachment, attach
from ._library import UsercopyError
from ._snapshot import Snapshot, load_snapshot
from ._violation import Decision, Finding, Frame, Outcome, SanitizerStatistics, Statistics, Violation

__all__ = [
    "Attachment",
    "Decision",
    "Finding",
    "Frame",
    "Outcome",
    "SanitizerStatistics",
    "Snapshot",
    "Statistics",
    "UsercopyError",
    "Violation",
    "attach",
    "load_snapshot",
]
