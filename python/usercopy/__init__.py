"""Linux's hardened-usercopy check for Unicorn harnesses in Python, over libusercopy.

    import usercopy

    with usercopy.attach(uc, "attach.json", on_violation=lambda violation: usercopy.Decision.STOP) as attachment:
        uc.emu_start(begin, until)

`attach.json` is made by `usercopy prepare`. It works with the libunicorn that the `unicorn` module has loaded, 2.0.1 or later.
"""

from ._attachment import Attachment, attach
from ._library import UsercopyError
from ._violation import Decision, Frame, Outcome, Statistics, Violation

__all__ = [
    "Attachment",
    "Decision",
    "Frame",
    "Outcome",
    "Statistics",
    "UsercopyError",
    "Violation",
    "attach",
]
