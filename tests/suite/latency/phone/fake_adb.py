"""An ``adb`` that replays transcripts: run as a program, configured by the JSON file that FAKE_ADB names.

Keys: ``log`` (file, one line per call), ``devices`` and ``features`` (answers), ``shell`` (list of [words, answer]: the
first whose words are in the command answers, as a phone would, closing mark included), ``client`` (answer of the client
itself to every shell command: no phone answers), ``push`` (answer), ``separates`` (whether the phone has shell_v2). An
answer is {"rc", "stdout", "stderr"}.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any


def say(answer: dict[str, Any]) -> int:
    sys.stdout.write(answer["stdout"])
    sys.stderr.write(answer["stderr"])
    return int(answer["rc"])


def shell(config: dict[str, Any], command: str) -> int:
    if "client" in config:
        return say(config["client"])
    answer = next((answer for words, answer in config["shell"] if words in command), None)
    if answer is None:
        answer = {"rc": 127, "stdout": "", "stderr": f"sh: {command}: inaccessible or not found\n"}
    if answer.get("dropped"):
        return say(answer)
    assert re.search(r'; echo "@@RC=\$\?@@"$', command), command
    merged = "" if config["separates"] else answer["stderr"]
    sys.stdout.write(f"{answer['stdout']}{merged}@@RC={answer['rc']}@@\n")
    sys.stderr.write("" if merged else answer["stderr"])
    return int(answer["rc"]) if config["separates"] else 0


def main(words: list[str]) -> int:
    config = json.loads(Path(os.environ["FAKE_ADB"]).read_text(encoding="utf-8"))
    with Path(config["log"]).open("a", encoding="utf-8") as log:
        log.write(json.dumps(words) + "\n")
    if words[:1] == ["-s"]:
        words = words[2:]
    if words[0] in ("devices", "features", "push"):
        return say(config[words[0]])
    return shell(config, words[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
