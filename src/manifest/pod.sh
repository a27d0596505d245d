# Runs opencode once, and writes an end record of what it printed. POSIX sh: dash, bash, busybox sh.
#
# opencode's stdout and stderr are files, because it does not drain a pipe when it exits. The container's own output is
# copied from those files. Exit status: opencode's own, or one of 64 to 68 (src/manifest/exit_codes.rs).
#
# Arguments: run id, namespace, more members of the start record as JSON, path that all files of the run start with,
# prompt file, bytes of the prompt, largest log in bytes (0: no limit), termination log, nonce (may be empty); then the
# arguments of opencode.
# Environment, removed before opencode starts: PAPERCLIP_POD_NAME, PAPERCLIP_POD_UID, PAPERCLIP_POD_CONFIG
# (configuration for opencode that the server could not merge with what OPENCODE_CONFIG_CONTENT holds here),
# PAPERCLIP_POD_HIDDEN (the names of variables that hide what a whole Secret has under them), PAPERCLIP_POD_GITHUB and
# PAPERCLIP_POD_LAUNCHER (see `stage_github`) and those.
# The files lie where all agents can write: a link, a pipe or a folder under one of their names is refused before it is
# used, what was opened is compared with what has the name, and of a file of others only what has its form is printed.
# Variables that are set before opencode starts begin with pod_: another name could be one of the agent's environment.
umask 002
pod_agent= pod_interrupted= pod_asked= pod_took=
stop() { # sends TERM to opencode, and 10 s later KILL: the end record must be written within the grace period
  pod_interrupted=1 pod_asked=1
  [ -n "$pod_agent" ] || return 0
  kill -TERM "$pod_agent" 2>/dev/null
  # TERM again: a fork that has not become opencode yet may ignore the first one.
  # Without `sleep` nobody knows when 10 s are over: then the kubelet ends it.
  (sleep 0.5 || sleep 1; kill -TERM "$pod_agent"; sleep 9 && kill -KILL "$pod_agent") >/dev/null 2>&1 &
}
trap stop TERM INT # before all else: the first process of a container ignores what it has no trap for

pod_run=$1 pod_namespace=$2 pod_facts=$3 pod_base=$4 pod_prompt=$5 pod_prompt_bytes=$6 pod_max_bytes=$7 pod_report=$8
pod_nonce=$9
shift 9
pod_log=$pod_base.ndjson pod_err=$pod_base.stderr.log pod_started=$pod_base.started pod_end=$pod_base.end.json
pod_name=${PAPERCLIP_POD_NAME:-${HOSTNAME:-unknown}} pod_uid=${PAPERCLIP_POD_UID:-} pod_config=${PAPERCLIP_POD_CONFIG:-}
for pod_variable in ${PAPERCLIP_POD_HIDDEN-}; do
  case $pod_variable in *[!A-Za-z0-9_]*) ;; *) unset "$pod_variable" ;; esac
done
pod_github=${PAPERCLIP_POD_GITHUB:-} pod_launcher=${PAPERCLIP_POD_LAUNCHER:-}
unset PAPERCLIP_POD_NAME PAPERCLIP_POD_UID PAPERCLIP_POD_CONFIG PAPERCLIP_POD_HIDDEN
unset PAPERCLIP_POD_GITHUB PAPERCLIP_POD_LAUNCHER

refuse() { # CODE REASON: ends before opencode was started, and takes back that it may have been
  [ -z "$pod_took" ] || rm -f "$pod_started" 2>/dev/null
  printf 'paperclip: %s\n' "$2" >&2
  { printf 'paperclip: %s\n' "$2" >"$pod_report"; } 2>/dev/null
  exit "$1"
}

size() { # FILE: prints its bytes; 0, and fails, when nobody can say. By stat: busybox's wc reads the whole file
  pod_bytes_seen=$(stat -L -c %s "$1" 2>/dev/null || wc -c 2>/dev/null <"$1")
  printf '%d' $((${pod_bytes_seen:-0}))
  [ -n "$pod_bytes_seen" ]
}

[ -r "$pod_prompt" ] || refuse 65 "the prompt file $pod_prompt is missing"
pod_prompt_seen=$(size "$pod_prompt")
[ "$pod_prompt_seen" -ge "$pod_prompt_bytes" ] ||
  refuse 65 "the prompt file $pod_prompt has $pod_prompt_seen of $pod_prompt_bytes bytes"

# A volume may fail for a moment, as when its server changes: what nobody can say is asked again for some seconds.
again() { # waits before another try; fails when there is none left
  [ "$pod_tries" -gt 0 ] || return 1
  pod_tries=$((pod_tries - 1))
  sleep 0.5 2>/dev/null || sleep 1
}
pod_tries=10

is_file() { [ -f "$1" ] && [ ! -L "$1" ]; } # PATH: a regular file and no link
is_strange() { [ -L "$1" ] || { [ -e "$1" ] && [ ! -f "$1" ]; }; } # PATH: something else has the name
is_absent() { # PATH: its folder says that there is none; an error of the volume does not
  [ ! -e "$1" ] && [ ! -L "$1" ] || return 1
  command -v ls >/dev/null 2>&1 || return 0
  case $(LC_ALL=C ls -d "$1" 2>&1) in *'o such file'*) ;; *) return 1 ;; esac
}
first_line() { # PATH: reads it into pod_seen, without a program and no more than a record is long
  pod_seen=
  { [ "$(size "$1")" -le 8192 ] && IFS= read -r pod_seen <"$1"; } 2>/dev/null
}
strange() { refuse 66 "$1 is a link, a pipe or a folder: another pod of the shared volume made it. Remove it"; }

# Which opencode this is, by the package that it is in. To ask itself takes seconds, and as much memory as a small run.
installed() { # sets pod_version; leaves it empty where opencode is in no package, or in one of another form
  pod_at=$(command -v opencode) && pod_at=$(readlink -f "$pod_at") || return 0
  pod_at=${pod_at%/*/*}/package.json
  is_file "$pod_at" && [ "$(size "$pod_at")" -le 8192 ] || return 0
  pod_named=
  while IFS= read -r pod_seen; do
    case $pod_seen in
      *'"name": "opencode'* | *'"name": "@opencode'*) pod_named=1 ;;
      *'"version": "'*) pod_version=${pod_seen#*'"version": "'} pod_version=${pod_version%%'"'*} ;;
    esac
  done <"$pod_at"
  [ -n "$pod_named" ] && [ "${#pod_version}" -le 40 ] || pod_version=
}
pod_version=
installed 2>/dev/null
case $pod_version in '' | *[!0-9A-Za-z.+-]*) ;; *) pod_facts="$pod_facts,\"opencode\":\"$pod_version\"" ;; esac

# The Job's controller may start a second pod: only the pod that makes this file starts opencode.
pod_first=$(
  printf '{"v":1,"run":"%s","pod":"%s","podUid":"%s","namespace":"%s",%s}' \
    "$pod_run" "$pod_name" "$pod_uid" "$pod_namespace" "$pod_facts"
)
is_strange "$pod_started" && strange "$pod_started"
(
  set -C
  exec 9>"$pod_started" || exit 2
  printf '%s\n' "$pod_first" >&9 || exit 3
) 2>/dev/null
case $? in
  0) pod_took=1 ;;
  3) pod_took=1; refuse 66 "cannot write $pod_started: the shared volume is full" ;;
  *)
    [ -e "$pod_started" ] ||
      refuse 66 "cannot write to ${pod_base%/*}: the shared volume is read-only, full, or not ours"
    is_file "$pod_started" || strange "$pod_started"
    first_line "$pod_started"
    case $pod_seen in '{"v":1,"run":"'"$pod_run"'","pod":"'*) ;; *) pod_seen= ;; esac
    pod_other=${pod_seen#'{"v":1,"run":"'"$pod_run"'","pod":"'}
    pod_other=${pod_other%%'"'*}
    case $pod_other in '' | *[!A-Za-z0-9.-]*) pod_other="its start record cannot be read" ;; esac
    refuse 64 "another pod of this Job already ran the agent: $pod_other"
    ;;
esac
# A network volume may tell only when a file is closed that it is full, and the shell does not say so.
first_line "$pod_started"
while [ -z "$pod_seen" ] && ! is_strange "$pod_started" && again; do first_line "$pod_started"; done
if ! is_file "$pod_started" || [ "$pod_seen" != "$pod_first" ]; then
  refuse 66 "cannot write $pod_started: the shared volume is full, over its quota, or another pod has changed the file"
fi
# A server that harvests the run removes the nonce before the start record: this pod may have started in between.
if [ -n "$pod_nonce" ]; then
  read_nonce() {
    pod_seen=
    is_file "$pod_base.nonce" && first_line "$pod_base.nonce"
    [ -n "$pod_seen" ] || is_strange "$pod_base.nonce" || is_absent "$pod_base.nonce"
  }
  # A file that nobody can read says nothing of that.
  until read_nonce; do again || refuse 66 "cannot read $pod_base.nonce on the shared volume"; done
  if [ "$pod_seen" != "$pod_nonce" ]; then
    refuse 64 "this run is over: $pod_base.nonce is not there any more"
  fi
fi

# What is open stays the same file, whatever becomes of its name. `<>` waits for nobody, should it be a pipe by now. The
# fifth descriptor is for the digest: NFS opens what a descriptor names by its name, which may be another file's then.
pod_out=/proc/self/fd/3 pod_trouble=/proc/self/fd/4
is_open() { # PATH FD-PATH: the file of that name is a regular one, and the one that is open
  is_file "$1" && { [ ! -e "$2" ] || [ "$1" -ef "$2" ]; }
}
open_files() {
  is_strange "$pod_log" && strange "$pod_log"
  is_strange "$pod_err" && strange "$pod_err"
  pod_opened=
  { command exec 3<>"$pod_log" 4<>"$pod_err" 5<"$pod_log"; } 2>/dev/null || return
  pod_opened=1
  is_open "$pod_log" "$pod_out" && is_open "$pod_log" /proc/self/fd/5 && is_open "$pod_err" "$pod_trouble"
}
until open_files; do
  again && continue
  [ -z "$pod_opened" ] || strange "$pod_log"
  refuse 66 "cannot write $pod_log: the shared volume is read-only, full, or not ours"
done
[ -e "$pod_out" ] || pod_out=$pod_log pod_trouble=$pod_err

feed() { # prints both files as they grow; the shell's descriptors keep the offsets, so nothing is lost or printed twice
  # On NFS lines reach the server in time only because the size of both files is asked for in each round: that makes
  # this node write out what it still holds of them. The shell asks itself, because not every `cat` does.
  trap '' TERM INT
  while kill -0 "$pod_agent" 2>/dev/null; do
    [ -s "$pod_out" ]
    cat <&3
    [ -s "$pod_trouble" ]
    cat <&4 >&2
    sleep 0.2 2>/dev/null || sleep 1
  done
  cat <&3
  cat <&4 >&2
}

guard() { # ends opencode when both files together are over the limit; apart from `feed`, which a huge file holds up
  trap '' TERM INT
  over=0
  while kill -0 "$pod_agent" 2>/dev/null; do
    sleep 1 || return
    [ $(($(size "$pod_out") + $(size "$pod_trouble"))) -gt "$pod_max_bytes" ] || continue
    over=$((over + 1))
    # TERM first, and KILL after ten more looks.
    if [ "$over" -le 10 ]; then kill -TERM "$pod_agent" 2>/dev/null; else kill -KILL "$pod_agent" 2>/dev/null; fi
  done
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

# A company with a GitHub connection: Paperclip takes the server's own access away by variables, some of them blank, and
# puts a program of node in the place of git and gh, which asks it for the company's. The file that begins a shell puts
# it first again where a login shell has changed PATH.
stage_github() {
  pod_folder=${pod_prompt%/*}/github
  [ -n "$pod_launcher" ] && command -v node >/dev/null 2>&1 && mkdir -p "$pod_folder/gh-config" || return 1
  for pod_program in git gh; do
    printf '%s' "$pod_launcher" >"$pod_folder/$pod_program" && chmod 700 "$pod_folder/$pod_program" || return 1
  done
  export PATH="$pod_folder:$PATH"
  pod_quoted=$(printf '%s' "$PATH" | sed "s/'/'\\\\''/g")
  for pod_program in .zshenv .zprofile .zshrc .bash_profile .bashrc .profile; do
    printf "export PATH='%s'\n" "$pod_quoted" >"$pod_folder/$pod_program" || return 1
  done
  export ZDOTDIR="$pod_folder" BASH_ENV="$pod_folder/.bashrc" GH_CONFIG_DIR="$pod_folder/gh-config"
  export PAPERCLIP_GITHUB_LAUNCHER_DIR="$pod_folder"
  # A blank identity ends every commit of a git that is called by its path.
  [ -n "${GIT_AUTHOR_NAME-}" ] || unset GIT_AUTHOR_NAME
  [ -n "${GIT_AUTHOR_EMAIL-}" ] || unset GIT_AUTHOR_EMAIL
  [ -n "${GIT_COMMITTER_NAME-}" ] || unset GIT_COMMITTER_NAME
  [ -n "${GIT_COMMITTER_EMAIL-}" ] || unset GIT_COMMITTER_EMAIL
}
if [ -n "$pod_github" ] && ! stage_github 2>/dev/null; then
  for pod_variable in $pod_github; do
    case $pod_variable in *[!A-Za-z0-9_]*) ;; *) unset "$pod_variable" ;; esac
  done
  pod_seen="paperclip: git and gh have no access to the company's GitHub connection, which needs node in the image: use"
  printf '%s\n' "$pod_seen an image with node, or give the agent a token in its env" >>"$pod_trouble"
fi

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
opencode "$@" <"$pod_prompt" >>"$pod_out" 2>>"$pod_trouble" 3<&- 4<&- 5<&- &
pod_agent=$!
[ -z "$pod_asked" ] || stop # TERM came between the last two lines
feed &
feeder=$!
if [ "$pod_max_bytes" -gt 0 ]; then guard </dev/null >/dev/null 2>&1 & fi

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

digest() { # BYTES: prints the SHA-256 of so much of opencode's output, or nothing if that takes over 6 s
  exec 2>/dev/null
  sum_base=${pod_prompt%/*}/sha256
  rm -f "$sum_base" "$sum_base.whole"
  {
    head -c "$1" <&5 &
    echo "$!" >"$sum_base.reader"
    wait "$!" && : >"$sum_base.whole"
  } | sha256sum | cut -c1-64 >"$sum_base" &
  worker=$!
  # Without its reader the whole pipeline ends; what it then prints is the digest of a part.
  (sleep 6 && kill -KILL "$(cat "$sum_base.reader")") >/dev/null 2>&1 &
  timer=$!
  wait "$worker" && [ -e "$sum_base.whole" ] && cat "$sum_base"
  kill "$timer"
}

# A volume tells a writer at most that it is full. That it is read-only, away or not allowed any more it tells those who
# wait until all is written, which opencode does not. The descriptor is as old as the log, so it hears of all of it.
has_arrived() { # what was written to the log has reached the volume, or nobody can say
  if ! dd if=/dev/null of="${pod_prompt%/*}/flush" conv=notrunc,fsync 2>/dev/null; then
    # Opening and closing for writing flushes on NFS as well; a file that only has the name is not opened.
    if is_open "$pod_log" "$pod_out"; then true >>"$pod_out" 2>/dev/null; fi
    return 0
  fi
  LC_ALL=C dd if=/dev/null conv=fsync 2>"${pod_prompt%/*}/flush" >&3 &
  worker=$!
  (sleep 6 && kill -KILL "$worker") >/dev/null 2>&1 &
  timer=$!
  wait "$worker"
  waited=$?
  kill "$timer" 2>/dev/null
  # What was ended, for its time or its memory, says nothing: the end record must be written within the grace period.
  [ "$waited" -gt 0 ] && [ "$waited" -le 128 ] || return 0
  case $(cat "${pod_prompt%/*}/flush") in # not every volume can be waited for
    *"Invalid argument"* | *"not implemented"* | *[Nn]"ot supported"*) return 0 ;;
  esac
  return 1
}

leave_record() { # the end record of so many $bytes, beside the log
  err_bytes=$(size "$pod_trouble")
  if [ "$pod_max_bytes" -gt 0 ]; then
    [ $((bytes + err_bytes)) -le "$pod_max_bytes" ] || reason='"log_too_large"'
    # Nobody reads so much; a size costs nothing, and reading it does.
    [ "$bytes" -gt $((pod_max_bytes + 67108864)) ] || sum=$(digest "$bytes")
  else
    sum=$(digest "$bytes")
  fi
  # Without `head -c` it is the digest of nothing.
  case $bytes:$sum in 0:*) ;; *:e3b0c44298fc1c14*) sum= ;; esac
  [ "${#sum}" = 64 ] && sum="\"$sum\"" || sum=null
  [ "$status" -gt 128 ] && [ "$status" -le 192 ] && signal=$((status - 128))
  record=$(
    printf '{"v":1,"run":"%s","pod":"%s","exit":%d,"signal":%s,"bytes":%d,"errBytes":%d,"sha256":%s,"reason":%s}' \
      "$pod_run" "$pod_name" "$status" "$signal" "$bytes" "$err_bytes" "$sum" "$reason"
  )
  draft=${pod_base%/*}/.${pod_base##*/}.end
  is_strange "$pod_end" && rm -f "$pod_end" 2>/dev/null
  rm -f "$draft" 2>/dev/null
  # The size tells what a network volume says only when a file is closed.
  (set -C; printf '%s\n' "$record" >"$draft" && ! is_strange "$pod_end" && mv -f "$draft" "$pod_end") 2>/dev/null &&
    is_file "$pod_end" && [ "$(size "$pod_end")" -eq $((${#record} + 1)) ] || {
    rm -f "$draft" 2>/dev/null
    [ -n "$trouble" ] ||
      trouble="paperclip: cannot write $pod_end: the shared volume is read-only, full, over its quota, or not ours"
  }
}

signal=null reason=null sum= record= trouble=
# NFS believes for up to a minute that a name is still the file that had it: to open the folder asks again.
{ true <"${pod_base%/*}"; } 2>/dev/null
# The container has to end soon.
pod_tries=6
until [ -e "$pod_log" ] || [ -L "$pod_log" ] || is_absent "$pod_log"; do again || break; done
if is_absent "$pod_log"; then
  # The server could not reach this node for so long that it gave the run up. Its files must not come back.
  trouble="paperclip: this run is over: $pod_log is not there any more"
else
  # The record is about the files that opencode wrote to, whatever has their names now.
  is_open "$pod_log" "$pod_out" || [ ! -e "$pod_log" ] ||
    trouble="paperclip: $pod_log is not the file that the agent wrote to: another process has replaced it"
  has_arrived || {
    reason='"log_lost"'
    trouble="paperclip: a part of the agent's output was lost: the shared volume is read-only, full, over its quota,"
    trouble="$trouble or away"
  }
  if is_open "$pod_err" "$pod_trouble"; then true >>"$pod_trouble" 2>/dev/null; fi
  # Of a file that cannot be asked nobody knows what it holds: a record of no bytes would say that it is empty.
  until bytes=$(size "$pod_out") && err_bytes=$(size "$pod_trouble"); do again || break; done
  if bytes=$(size "$pod_out"); then
    leave_record
  else
    trouble="paperclip: cannot read $pod_log: the shared volume does not know the file any more"
  fi
fi
[ -z "$trouble" ] || printf '%s\n' "$trouble" >&2
{
  {
    [ -z "$record" ] || printf '%s\n' "$record"
    [ -z "$trouble" ] || printf '%s\n' "$trouble"
    tail -c 1500 "$pod_trouble"
  } >"$pod_report"
} 2>/dev/null
wait "$feeder"
kill "$limit" 2>/dev/null
[ "$reason" != '"log_too_large"' ] || exit 68
exit "$status"
