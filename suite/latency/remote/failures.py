"""Why a runner did not end well on a device: cause and remedy in one line."""

from __future__ import annotations

import re

from suite.latency.remote.transport import Reply

KILLED = 128 + 9
TIMED_OUT = 124
SIGNALS = {
    4: ("it met an instruction that this core does not have", "build the library for this processor"),
    6: ("it gave up by itself", "run it by hand to see why"),
    7: ("it read memory that is not there", "push again; storage may be failing"),
    11: ("it crashed", "run it by hand under a debugger"),
    31: ("the system forbade one of its calls", "build it for this system's interface level"),
}


def runner_failure(reply: Reply, limit_s: int, took_s: float, executable: bool, interpreter: str | None) -> str | None:
    """Return cause and remedy of a runner's ending, or None if it ended well.

    Args:
        reply: what its command gave.
        limit_s: seconds after which the device ends it.
        took_s: seconds it took.
        executable: whether the file on the device may be executed.
        interpreter: the loader that the file names, if the device has none of that name.
    """
    text, code = reply.text, reply.code
    if code == 0:
        return None  # whatever it printed: libraries complain of files they may not read, and go on
    library = re.search(r'library "([^"]+)" not found|([^\s:]+\.so[\d.]*): cannot open shared object', text)
    if library:
        name = library[1] or library[2]
        remedy = "link it statically (c++_static)" if name == "libc++_shared.so" else f"add it with --library {name}"
        return f"the runner needs {name}, which is not there; {remedy}"
    symbol = re.search(r'cannot locate symbol "([^"]+)"', text)
    if symbol:
        return f"the system lacks {symbol[1]}, which the runner needs; build it for an older ANDROID_PLATFORM"
    if "Exec format error" in text or "not executable: 64-bit ELF" in text:
        return "the runner is for another processor; build it for this one (arm64-v8a on a phone)"
    if interpreter or (code == 127 and "No such file or directory" in text):
        named = f" ({interpreter})" if interpreter else ""
        return f"the runner's loader{named} is not on the device; build it with the NDK for a phone, or link it static"
    if code == 126 or "Permission denied" in text:
        if executable:
            return "the folder's storage does not let programs run; use another folder (noexec)"
        return "the runner may not be executed; chmod 755 it, in /data/local/tmp on a phone"
    if "affinity: Invalid argument" in text:
        return "the core cannot be used; it may be parked or switched off: keep the screen on, or name another --core"
    if "No space left on device" in text:
        return "the device's storage ran full; free some space on it"
    if code == TIMED_OUT or (code == KILLED and took_s >= limit_s):
        return f"the runner did not end in {limit_s} s and was ended; time a smaller model or name a faster core"
    if code == KILLED:
        return "the runner was killed (signal 9), most likely for want of memory; close apps or time a smaller model"
    if code > 128 and code - 128 in SIGNALS:
        cause, remedy = SIGNALS[code - 128]
        return f"the runner was stopped by signal {code - 128}: {cause}; {remedy}"
    return f"the runner ended with code {code} ({reply.first_line}); run it by hand"
