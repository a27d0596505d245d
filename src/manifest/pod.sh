# Runs opencode once and leaves proof of what it printed. POSIX sh: dash, bash, busybox sh.
#
# opencode's stdout and stderr are files (it does not drain a pipe when it exits); the container's own output is fed
# from those files. Exit status: opencode's own, or one of 64 to 68 (src/manifest/exit_codes.rs).
#
# Arguments: run id, namespace, cluster as a JSON string, path that all files of the run start with, prompt file,
# bytes of the prompt, largest log in bytes (0: no limit), termination log; then the arguments of opencode.
# Environment: PAPERCLIP_POD_NAME and PAPERCLIP_POD_UID, which opencode does not get to see.
umask 002
run=$1 namespace=$2 cluster=$3 base=$4 prompt=$5 prompt_bytes=$6 max_bytes=$7 report=$8
shift 8
log=$base.ndjson err=$base.stderr.log started=$base.started end=$base.end.json
pod=${PAPERCLIP_POD_NAME:-${HOSTNAME:-unknown}} uid=${PAPERCLIP_POD_UID:-}
unset PAPERCLIP_POD_NAME PAPERCLIP_POD_UID

refuse() { # CODE REASON: ends before opencode was started
  printf 'paperclip: %s\n' "$2" >&2
  { printf 'paperclip: %s\n' "$2" >"$report"; } 2>/dev/null
  exit "$1"
}

size() { # FILE: its bytes, 0 without it
  bytes_seen=$(wc -c 2>/dev/null <"$1")
  printf '%d' $((${bytes_seen:-0}))
}

[ -r "$prompt" ] || refuse 65 "the prompt file $prompt is missing"
prompt_seen=$(size "$prompt")
[ "$prompt_seen" -ge "$prompt_bytes" ] ||
  refuse 65 "the prompt file $prompt has $prompt_seen of $prompt_bytes bytes"

# A Job's controller may start a second pod: only the one that makes this file runs the agent.
(
  set -C
  exec 9>"$started" || exit 2
  printf '{"v":1,"run":"%s","pod":"%s","podUid":"%s","namespace":"%s","cluster":%s}\n' \
    "$run" "$pod" "$uid" "$namespace" "$cluster" >&9 || exit 3
) 2>/dev/null
case $? in
  0) ;;
  3) rm -f "$started"; refuse 66 "cannot write $started: the shared volume is full" ;;
  *)
    [ -e "$started" ] || refuse 66 "cannot write to ${base%/*}: the shared volume is read-only, full, or not ours"
    refuse 64 "another pod of this Job already ran the agent: $(head -c 400 "$started")"
    ;;
esac
{ true >>"$log" && true >>"$err"; } 2>/dev/null ||
  refuse 66 "cannot write $log: the shared volume is read-only, full, or not ours"

feed() { # shows both files as they grow; the shell's own descriptors keep the offsets, so nothing is lost or shown twice
  trap '' TERM INT
  ticks=0 over=0
  while kill -0 "$agent" 2>/dev/null; do
    cat <&3
    cat <&4 >&2
    ticks=$((ticks + 1))
    if [ "$max_bytes" -gt 0 ] && [ $((ticks % 5)) = 0 ] && [ "$(size "$log")" -gt "$max_bytes" ]; then
      over=$((over + 1))
      # First politely, and after some ten more looks by force.
      if [ "$over" -le 10 ]; then kill -TERM "$agent" 2>/dev/null; else kill -KILL "$agent" 2>/dev/null; fi
    fi
    sleep 0.2 2>/dev/null || sleep 1
  done
  cat <&3
  cat <&4 >&2
}

agent= interrupted= asked=
stop() { # passes TERM on, and 10 s later KILL: the record must still be written within the grace period
  interrupted=1 asked=1
  [ -n "$agent" ] || return 0
  kill -TERM "$agent" 2>/dev/null
  (sleep 10; kill -KILL "$agent") >/dev/null 2>&1 &
}
trap stop TERM INT

opencode "$@" <"$prompt" >>"$log" 2>>"$err" &
agent=$!
[ -z "$asked" ] || stop
feed 3<"$log" 4<"$err" &
feeder=$!

status=
while :; do # a wait that a signal interrupts says nothing about opencode
  interrupted=
  wait "$agent"
  code=$?
  # A shell that has already told the status of the agent does not know it any more.
  if [ "$code" != 127 ] || [ -z "$status" ]; then status=$code; fi
  [ -n "$interrupted" ] || break
done
trap '' TERM INT

# Whoever still holds the container's output may not hold the container.
(sleep 7; kill -KILL "$feeder") >/dev/null 2>&1 &
limit=$!

true >>"$log" 2>/dev/null # opening and closing for writing flushes on NFS
true >>"$err" 2>/dev/null
bytes=$(size "$log") err_bytes=$(size "$err")
sum=$(head -c "$bytes" "$log" 2>/dev/null | sha256sum 2>/dev/null | cut -c1-64)
[ -z "$sum" ] && sum=null || sum="\"$sum\""
signal=null reason=null
[ "$status" -gt 128 ] && [ "$status" -le 192 ] && signal=$((status - 128))
[ "$max_bytes" -gt 0 ] && [ "$bytes" -gt "$max_bytes" ] && reason='"log_too_large"'
record=$(
  printf '{"v":1,"run":"%s","pod":"%s","exit":%d,"signal":%s,"bytes":%d,"errBytes":%d,"sha256":%s,"reason":%s}' \
    "$run" "$pod" "$status" "$signal" "$bytes" "$err_bytes" "$sum" "$reason"
)
draft=${base%/*}/.${base##*/}.end
trouble=
{ printf '%s\n' "$record" >"$draft" && mv -f "$draft" "$end"; } 2>/dev/null || {
  rm -f "$draft"
  trouble="paperclip: cannot write $end: the shared volume is read-only, full, or not ours"
  printf '%s\n' "$trouble" >&2
}
{
  {
    printf '%s\n' "$record"
    [ -z "$trouble" ] || printf '%s\n' "$trouble"
    tail -c 1500 "$err"
  } >"$report"
} 2>/dev/null
wait "$feeder"
kill "$limit" 2>/dev/null
[ "$reason" = null ] || exit 68
exit "$status"
