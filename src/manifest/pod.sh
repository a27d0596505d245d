# Runs opencode once, and writes an end record of what it printed. POSIX sh: dash, bash, busybox sh.
#
# opencode's stdout and stderr are files, because it does not drain a pipe when it exits. The container's own output is
# copied from those files. Exit status: opencode's own, or one of 64 to 68 (src/manifest/exit_codes.rs).
#
# Arguments: run id, namespace, more members of the start record as JSON, path that all files of the run start with,
# prompt file, bytes of the prompt, largest log in bytes (0: no limit), termination log, nonce (may be empty); then the
# arguments of opencode.
# Environment, removed before opencode starts: PAPERCLIP_POD_NAME, PAPERCLIP_POD_UID, and PAPERCLIP_POD_CONFIG,
# configuration for opencode that the server could not merge with what OPENCODE_CONFIG_CONTENT holds here.
# Variables that are set before opencode starts begin with pod_: another name could be one of the agent's environment.
umask 002
pod_agent= pod_interrupted= pod_asked=
stop() { # sends TERM to opencode, and 10 s later KILL: the end record must be written within the grace period
  pod_interrupted=1 pod_asked=1
  [ -n "$pod_agent" ] || return 0
  kill -TERM "$pod_agent" 2>/dev/null
  # TERM again: a fork that has not become opencode yet may ignore the first one.
  (sleep 0.5 || sleep 1; kill -TERM "$pod_agent"; sleep 9; kill -KILL "$pod_agent") >/dev/null 2>&1 &
}
trap stop TERM INT # before all else: the first process of a container ignores what it has no trap for

pod_run=$1 pod_namespace=$2 pod_facts=$3 pod_base=$4 pod_prompt=$5 pod_prompt_bytes=$6 pod_max_bytes=$7 pod_report=$8
pod_nonce=$9
shift 9
pod_log=$pod_base.ndjson pod_err=$pod_base.stderr.log pod_started=$pod_base.started pod_end=$pod_base.end.json
pod_name=${PAPERCLIP_POD_NAME:-${HOSTNAME:-unknown}} pod_uid=${PAPERCLIP_POD_UID:-} pod_config=${PAPERCLIP_POD_CONFIG:-}
unset PAPERCLIP_POD_NAME PAPERCLIP_POD_UID PAPERCLIP_POD_CONFIG

refuse() { # CODE REASON: ends before opencode was started
  printf 'paperclip: %s\n' "$2" >&2
  { printf 'paperclip: %s\n' "$2" >"$pod_report"; } 2>/dev/null
  exit "$1"
}

size() { # FILE: prints its bytes, 0 when it is absent; by stat, because busybox's wc reads the whole file
  pod_bytes_seen=$(stat -L -c %s "$1" 2>/dev/null || wc -c 2>/dev/null <"$1")
  printf '%d' $((${pod_bytes_seen:-0}))
}

[ -r "$pod_prompt" ] || refuse 65 "the prompt file $pod_prompt is missing"
pod_prompt_seen=$(size "$pod_prompt")
[ "$pod_prompt_seen" -ge "$pod_prompt_bytes" ] ||
  refuse 65 "the prompt file $pod_prompt has $pod_prompt_seen of $pod_prompt_bytes bytes"

# The Job's controller may start a second pod: only the pod that makes this file starts opencode.
(
  set -C
  exec 9>"$pod_started" || exit 2
  printf '{"v":1,"run":"%s","pod":"%s","podUid":"%s","namespace":"%s",%s}\n' \
    "$pod_run" "$pod_name" "$pod_uid" "$pod_namespace" "$pod_facts" >&9 || exit 3
) 2>/dev/null
case $? in
  0) ;;
  3) rm -f "$pod_started"; refuse 66 "cannot write $pod_started: the shared volume is full" ;;
  *)
    [ -e "$pod_started" ] || refuse 66 "cannot write to ${pod_base%/*}: the shared volume is read-only, full, or not ours"
    refuse 64 "another pod of this Job already ran the agent: $(head -c 400 "$pod_started")"
    ;;
esac
# A server that harvests the run removes the nonce before the start record: this pod may have started in between.
if [ -n "$pod_nonce" ] && [ "$(cat "$pod_base.nonce" 2>/dev/null)" != "$pod_nonce" ]; then
  rm -f "$pod_started"
  refuse 64 "this run is over: $pod_base.nonce is not there any more"
fi
{ true >>"$pod_log" && true >>"$pod_err"; } 2>/dev/null ||
  refuse 66 "cannot write $pod_log: the shared volume is read-only, full, or not ours"

feed() { # prints both files as they grow; the shell's descriptors keep the offsets, so nothing is lost or printed twice
  trap '' TERM INT
  ticks=0 over=0
  while kill -0 "$pod_agent" 2>/dev/null; do
    cat <&3
    cat <&4 >&2
    ticks=$((ticks + 1))
    if [ "$pod_max_bytes" -gt 0 ] && [ $((ticks % 5)) = 0 ] && [ "$(size "$pod_log")" -gt "$pod_max_bytes" ]; then
      over=$((over + 1))
      # TERM first, and KILL after ten more looks.
      if [ "$over" -le 10 ]; then kill -TERM "$pod_agent" 2>/dev/null; else kill -KILL "$pod_agent" 2>/dev/null; fi
    fi
    sleep 0.2 2>/dev/null || sleep 1
  done
  cat <&3
  cat <&4 >&2
}

# A variable may name a folder that only the server's pod has, and opencode does not start where it cannot make its own.
# Without the variable it uses the usual folder, below HOME or /tmp. This only looks: it makes no folder.
usable() { # PATH: succeeds when it exists, or can be made
  pod_at=$1
  [ ! -e "$pod_at" ] || return 0
  until [ -e "$pod_at" ]; do
    pod_at=${pod_at%/*}
    pod_at=${pod_at:-/}
  done
  [ -d "$pod_at" ] && [ -w "$pod_at" ]
}
for pod_variable in XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME XDG_CACHE_HOME TMPDIR TMP TEMP \
  $(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=\/.*/\1/p' | grep -i cache); do
  eval "pod_folder=\${$pod_variable-}"
  pod_wanted=$pod_folder
  case $pod_variable in XDG_* | TMP | TMPDIR | TEMP) pod_wanted=$pod_folder/opencode ;; esac
  case $pod_folder in /*) usable "$pod_wanted" ;; esac && continue
  printf 'paperclip: %s is no folder that this pod can use: left out\n' "$pod_variable=$pod_folder" >&2
  unset "$pod_variable"
done

export NODE_ENV="${NODE_ENV-development}"
if [ -n "$pod_config" ]; then # into the first variable or file that is free: what others have set stays as it is
  pod_config_file=${pod_prompt%/*}/opencode.json
  if [ -z "${OPENCODE_CONFIG_CONTENT:-}" ]; then
    export OPENCODE_CONFIG_CONTENT="$pod_config"
  elif [ -z "${OPENCODE_CONFIG:-}" ] && { printf '%s\n' "$pod_config" >"$pod_config_file"; } 2>/dev/null; then
    export OPENCODE_CONFIG="$pod_config_file"
  else
    echo "paperclip: OPENCODE_CONFIG and OPENCODE_CONFIG_CONTENT are both taken: what opencode asks for is refused" >&2
  fi
fi

# Only opencode's own log says why a model is unknown, why a database fails, and that a provider is asked again. So its
# errors go to stderr, unless the operator has configured the log.
[ -n "${OPENCODE_LOG_LEVEL-}${OPENCODE_PRINT_LOGS-}" ] || export OPENCODE_LOG_LEVEL=ERROR OPENCODE_PRINT_LOGS=1

[ -z "$pod_asked" ] || opencode() { exit 143; } # TERM came before the start
# Opened before opencode starts, which may remove the files. `command`, so that the shell outlives a failure.
command exec 3<"$pod_log" 4<"$pod_err" || refuse 66 "cannot read $pod_log: the shared volume is not ours"
opencode "$@" <"$pod_prompt" >>"$pod_log" 2>>"$pod_err" 3<&- 4<&- &
pod_agent=$!
[ -z "$pod_asked" ] || stop # TERM came between the last two lines
feed &
feeder=$!
exec 3<&- 4<&-

status=
while :; do # a wait that a signal interrupts has another status than opencode's
  pod_interrupted=
  wait "$pod_agent"
  code=$?
  # 127: the shell has already returned opencode's status, and does not know it any more.
  if [ "$code" != 127 ] || [ -z "$status" ]; then status=$code; fi
  [ -n "$pod_interrupted" ] || break
done
trap '' TERM INT

# The container must end even if somebody does not read its output.
(sleep 7; kill -KILL "$feeder") >/dev/null 2>&1 &
limit=$!

signal=null reason=null record= trouble=
if [ ! -e "$pod_log" ]; then
  # The server could not reach this node for so long that it gave the run up. Its files must not come back.
  trouble="paperclip: this run is over: $pod_log is not there any more"
else
  true >>"$pod_log" 2>/dev/null # opening and closing for writing flushes on NFS
  true >>"$pod_err" 2>/dev/null
  bytes=$(size "$pod_log") err_bytes=$(size "$pod_err")
  sum=$(head -c "$bytes" "$pod_log" 2>/dev/null | sha256sum 2>/dev/null | cut -c1-64)
  [ -z "$sum" ] && sum=null || sum="\"$sum\""
  [ "$status" -gt 128 ] && [ "$status" -le 192 ] && signal=$((status - 128))
  [ "$pod_max_bytes" -gt 0 ] && [ "$bytes" -gt "$pod_max_bytes" ] && reason='"log_too_large"'
  record=$(
    printf '{"v":1,"run":"%s","pod":"%s","exit":%d,"signal":%s,"bytes":%d,"errBytes":%d,"sha256":%s,"reason":%s}' \
      "$pod_run" "$pod_name" "$status" "$signal" "$bytes" "$err_bytes" "$sum" "$reason"
  )
  draft=${pod_base%/*}/.${pod_base##*/}.end
  { printf '%s\n' "$record" >"$draft" && mv -f "$draft" "$pod_end"; } 2>/dev/null || {
    rm -f "$draft"
    trouble="paperclip: cannot write $pod_end: the shared volume is read-only, full, or not ours"
  }
fi
[ -z "$trouble" ] || printf '%s\n' "$trouble" >&2
{
  {
    [ -z "$record" ] || printf '%s\n' "$record"
    [ -z "$trouble" ] || printf '%s\n' "$trouble"
    tail -c 1500 "$pod_err"
  } >"$pod_report"
} 2>/dev/null
wait "$feeder"
kill "$limit" 2>/dev/null
[ "$reason" = null ] || exit 68
exit "$status"
