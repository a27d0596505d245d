# Runs after the commands that make the log folder and write the prompt: checks that they succeeded, and that this is
# the server's volume.
# Arguments: path that all files of the run start with, nonce (may be empty), folder of the database (may be empty).
made=$?
umask 002
base=$1 nonce=$2 db=$3

refuse() { # CODE REASON
  printf 'paperclip: %s\n' "$2" >&2
  { printf 'paperclip: %s\n' "$2" >/dev/termination-log; } 2>/dev/null
  exit "$1"
}

strange() { # PATH: a link, a pipe or a folder has the name of a file of this run
  if [ -L "$1" ] || { [ -e "$1" ] && [ ! -f "$1" ]; }; then
    refuse 66 "$1 is a link, a pipe or a folder: another pod of the shared volume made it. Remove it"
  fi
}

[ "$made" = 0 ] ||
  refuse 66 "cannot make ${base%/*} or write the prompt: the volume is read-only, full, or not ours"
if [ -n "$nonce" ]; then
  # A gate: the server makes the log before the Job, and writes the nonce when no other Job of the agent may run. Where
  # there is no such log, this is not the server's volume, and there is nothing to wait for.
  trap 'exit 143' TERM
  looks=300
  while [ -e "$base.ndjson" ] && [ ! -s "$base.nonce" ]; do
    strange "$base.nonce"
    [ "$looks" -gt 0 ] || refuse 70 "the server did not say within a minute that this Job may run"
    looks=$((looks - 1))
    sleep 0.2 2>/dev/null || sleep 1
    # NFS believes that a name is absent until the folder's attributes expire, after up to a minute. To open the folder
    # asks for them again.
    { true <"${base%/*}"; } 2>/dev/null
  done
  strange "$base.nonce"
  seen=
  IFS= read -r seen 2>/dev/null <"$base.nonce"
  [ "$seen" = "$nonce" ] ||
    refuse 67 "$base.nonce is not what the server wrote: the pod sees another volume, folder or cluster at /paperclip"
fi
# So that the server's user can write here as a member of the group. What the server made cannot and need not be
# changed.
agent=${base%/*}
[ -L "$agent" ] || [ -L "${agent%/*}" ] || chmod 2775 "$agent" "${agent%/*}" 2>/dev/null
strange "$base.ndjson"
[ -e "$base.ndjson" ] || (set -C; true >"$base.ndjson") || refuse 66 "cannot make $base.ndjson"
if [ -n "$db" ]; then
  mkdir -p "$db" || refuse 69 "cannot make the database folder $db"
fi
exit 0
