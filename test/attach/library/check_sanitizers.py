"""Looks at copies of a guest's objects, one after the other; prints a line of JSON: what was found of each, and the counts.

Arguments: the variant, a prepared file, a snapshot that stands at do_copy(), and addresses to copy from, 0x….
"""
import json
import sys

from machines import Standing

import usercopy
from usercopy import Decision

VARIANT, PREPARED, FOLDER, *ADDRESSES = sys.argv[1:]
standing = Standing(VARIANT, FOLDER)
rows, found, refused = [], [], []


def on_finding(finding):
    found.append(finding)
    return Decision.CONTINUE


with usercopy.attach(
    standing.uc, PREPARED, on_violation=refused.append, sanitize=("freed", "redzone"), on_finding=on_finding
) as attachment:
    for address in ADDRESSES:
        found.clear()
        standing.run(int(address, 0))
        attachment.reset()
        rows.append([[one.sanitizer, one.line, one.title, one.caller.symbol, list(map(hex, one.object))] for one in found])
    try:
        attachment.set_audit(True)
        audit = "begun"
    except usercopy.UsercopyError as error:
        audit = str(error)
    counts, checks = attachment.sanitizer_statistics, attachment.statistics
    attachment.sanitize(())
    found.clear()
    for address in ADDRESSES:
        standing.run(int(address, 0))
    attachment.set_audit(True)
    attachment.set_audit(False)
    quiet = not found and attachment.sanitizer_statistics.looks == counts.looks
print(json.dumps({"rows": rows, "refused": len(refused), "good": checks.good, "quiet": quiet, "audit": audit, "counts": vars(counts)}))
