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

is_absent() { # PATH: its folder says that there is none; an error of the volume does not
  [ ! -e "$1" ] && [ ! -L "$1" ] || return 1
  command -v ls >/dev/null 2>&1 || return 0
  case $(LC_ALL=C ls -d "$1" 2>&1) in *'o such file'*) ;; *) return 1 ;; esac
}

read_nonce() { # into seen; fails while it is not there, or cannot be read
  seen=
  { [ -s "$base.nonce" ] && IFS= read -r seen <"$base.nonce"; } 2>/dev/null
  [ -n "$seen" ]
}

[ "$made" = 0 ] ||
  refuse 66 "cannot make ${base%/*} or write the prompt: the volume is read-only, full, or not ours"
if [ -n "$nonce" ]; then
  # A gate: the server makes the log before the Job, and writes the nonce when no other Job of the agent may run. Where
  # there is no such log, this is not the server's volume, and there is nothing to wait for.
  trap 'exit 143' TERM
  looks=300 unknown=25
  while strange "$base.nonce"; ! read_nonce && ! is_absent "$base.ndjson"; do
    # What cannot be asked for some seconds is not the server's to mend.
    [ -e "$base.ndjson" ] || unknown=$((unknown - 1))
    [ "$unknown" -gt 0 ] || refuse 66 "cannot look at $base.ndjson: the volume is away, or not ours"
    if [ "$looks" -le 0 ]; then
      [ ! -s "$base.nonce" ] || refuse 66 "cannot read $base.nonce: the volume is away, or not ours"
      refuse 70 "the server did not say within a minute that this Job may run"
    fi
    looks=$((looks - 1))
    sleep 0.2 2>/dev/null || sleep 1
    # NFS believes that a name is absent until the folder's attributes expire, after up to a minute. To open the folder
    # asks for them again.
    { true <"${base%/*}"; } 2>/dev/null
  done
  [ "$seen" = "$nonce" ] ||
    refuse 67 "$base.nonce is not what the server wrote: the pod sees another volume, folder or cluster at /paperclip"
fi
# So that the server's user can write here as a member of the group. What the server made cannot and need not be
# changed.
agent=${base%/*}
[ -L "$agent" ] || [ -L "${agent%/*}" ] || chmod 2775 "$agent" "${agent%/*}" 2>/dev/null
strange "$base.ndjson"
looks=25
until [ -e "$base.ndjson" ]; do
  if is_absent "$base.ndjson"; then
    (set -C; true >"$base.ndjson") || refuse 66 "cannot make $base.ndjson"
  else
    looks=$((looks - 1))
    [ "$looks" -gt 0 ] || refuse 66 "cannot look at $base.ndjson: the volume is away, or not ours"
    sleep 0.2 2>/dev/null || sleep 1
  fi
done
if [ -n "$db" ]; then
  mkdir -p "$db" || refuse 69 "cannot make the database folder $db"
fi
exit 0
