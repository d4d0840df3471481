"""An ``adb`` that replays transcripts: run as a program, configured by the JSON file that FAKE_ADB names.

Keys: ``log`` (file, one line per call), ``devices`` and ``features`` (answers), ``shell`` (list of [words, answer]: the
first whose words are in the command answers, as a phone would, closing mark included), ``client`` (answer of the client
itself to every shell command: no phone answers), ``push`` (answer), ``separates`` (whether the phone has shell_v2). An
answer is {"rc", "stdout", "stderr"}.

With ``root`` it is a phone with hands: /data/local/tmp is that folder, and a command that nothing answers is run there.
``lost_at`` (words) is where the cable is pulled: ``lost`` answers that command, ``gone`` all that follow.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

PHONE_FOLDER = "/data/local/tmp"


def say(answer: dict[str, Any]) -> int:
    sys.stdout.write(answer["stdout"])
    sys.stderr.write(answer["stderr"])
    return int(answer["rc"])


def run(config: dict[str, Any], command: str) -> dict[str, Any]:
    root = config["root"]
    done = subprocess.run(["sh", "-c", command.replace(PHONE_FOLDER, root)], capture_output=True, text=True, cwd=root)
    told = [text.replace(root, PHONE_FOLDER) for text in (done.stdout, done.stderr)]
    return {"rc": done.returncode, "stdout": told[0], "stderr": told[1]}


def shell(config: dict[str, Any], command: str) -> int:
    if "client" in config:
        return say(config["client"])
    answer = next((answer for words, answer in config["shell"] if words in command), None)
    if answer is None and "root" in config:
        # The closing mark is the command's own.
        return say(run(config, command))
    if answer is None:
        answer = {"rc": 127, "stdout": "", "stderr": f"sh: {command}: inaccessible or not found\n"}
    if answer.get("dropped"):
        return say(answer)
    assert re.search(r'; echo "@@RC=\$\?@@"$', command), command
    merged = "" if config["separates"] else answer["stderr"]
    sys.stdout.write(f"{answer['stdout']}{merged}@@RC={answer['rc']}@@\n")
    sys.stderr.write("" if merged else answer["stderr"])
    return int(answer["rc"]) if config["separates"] else 0


def copy(source: str, target: str, answer: dict[str, Any]) -> int:
    if answer["rc"] == 0:
        shutil.copyfile(source, target)
    return say(answer)


def main(words: list[str]) -> int:
    config = json.loads(Path(os.environ["FAKE_ADB"]).read_text(encoding="utf-8"))
    with Path(config["log"]).open("a", encoding="utf-8") as log:
        log.write(json.dumps(words) + "\n")
    if words[:1] == ["-s"]:
        words = words[2:]
    marker = Path(config["log"]).with_name("unplugged")
    if marker.exists():
        return say(config["gone"])
    if any(config.get("lost_at") and config["lost_at"] in word for word in words):
        marker.touch()
        return say(config["lost"])
    if words[0] in ("push", "pull") and "root" in config:
        source, target = (word.replace(PHONE_FOLDER, config["root"]) for word in words[1:3])
        return copy(source, target, config["push"])
    if words[0] in ("devices", "features", "push"):
        return say(config[words[0]])
    return shell(config, words[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
