#!/bin/sh
# An adb that replays transcripts; FAKE_ADB names the folder that the tests write:
#   NAME.out .err .rc    an answer: standard output, standard error, return code
#   devices push    answers of the client; `client`, if there, answers every shell command itself: no phone does
#   shell/NUMBER.words   the first whose words are in a command answers it, as a phone would, closing mark included
#   hands                if there, what nothing answers is run on this computer, and files are really copied
#   lost_at              words where the cable is pulled: `lost` answers that call, `gone` all that follow
f=$FAKE_ADB
printf '%s\037' "$@" >> "$f/log"
printf '\036' >> "$f/log"

say() {
    cat "$f/$1.out"
    cat "$f/$1.err" >&2
    read -r rc < "$f/$1.rc"
    exit "$rc"
}

if [ "$1" = -s ]; then shift 2; fi
if [ -f "$f/unplugged" ]; then say gone; fi
if [ -f "$f/lost_at" ]; then
    IFS= read -r words < "$f/lost_at"
    case "$*" in *"$words"*) : > "$f/unplugged"; say lost ;; esac
fi
case $1 in
    devices) say "$1" ;;
    push)
        read -r rc < "$f/push.rc"
        if [ -f "$f/hands" ] && [ "$rc" = 0 ]; then cp "$2" "$3" || exit 1; fi
        say push ;;
esac
if [ -f "$f/client.rc" ]; then say client; fi
case $2 in
    *'; echo "@@RC=$?@@"') ;;
    *) echo "no closing mark: $2" >&2; exit 99 ;;
esac
for file in "$f"/shell/*.words; do
    IFS= read -r words < "$file"
    case $2 in *"$words"*) answer=${file%.words}; break ;; esac
done
if [ -n "$answer" ]; then
    read -r rc < "$answer.rc"
    cat "$answer.out"
    cat "$answer.err" >&2
    echo "@@RC=$rc@@"
elif [ -f "$f/hands" ]; then
    exec sh -c "$2"
else
    rc=127
    echo "sh: $2: inaccessible or not found" >&2
    echo "@@RC=127@@"
fi
exit "$rc"
