#!/bin/sh
# The server's half of the target vm, run by root: puts files, packages and users in place, remembers what was there before,
# tells what has changed since, and takes everything away again. Every command may be repeated at any time.
set -eu
umask 022
export LC_ALL=C
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
home=/var/lib/openclaw-host
opt=/opt/openclaw
secrets=/etc/openclaw/secrets
# Which config the gateway that runs is known to have; gone with the process, at the latest.
in_force=/run/openclaw-in-force
# The last line of everything that comes by standard input: without it the connection broke off on the way.
end='--- end ---'
tab=$(printf '\t')

fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

# One at a time; programs that are started do not keep the lock.
lock() {
  mkdir -p -m 0700 "$home" "$home/files" "$home/backup"
  exec 9>"$home/lock"
  flock -w 300 9 || fail "another deployment has been at work on this server for five minutes"
}

key_of() {
  printf %s "$1" | sed 's/%/%25/g; s|/|%2F|g'
}

# Standard input without its last line, into a file.
receive() {
  cat >"$1"
  [ "$(tail -n 1 "$1")" = "$end" ] || fail "the connection broke off before everything was there; nothing was changed"
  sed -i '$d' "$1"
}

sum_of() {
  sha256sum <"$1" | cut -d ' ' -f 1
}

# Each missing folder of a path is made and remembered, to go when it is empty again.
make_folder() {
  [ -d "$1" ] && return 0
  make_folder "$(dirname "$1")"
  printf '%s\n' "$1" >>"$home/folders"
  mkdir -m 0755 "$1"
}

remove_empty_folders() {
  [ -f "$home/folders" ] || return 0
  sort -r -u "$home/folders" | while IFS= read -r folder; do
    rmdir "$folder" 2>/dev/null || true
  done
}

# An entry of the manifest: path, sum, mode, owner, number of repairs, and 1 while its reload has not been done.
write_entry() {
  printf '%s\n' "$@" >"$home/files/.new"
  mv -f "$home/files/.new" "$home/files/$(key_of "$1")"
}

line_of() {
  sed -n "$2p" "$1" 2>/dev/null || true
}

# put PATH MODE OWNER REPAIRS VALIDATE CHECK: VALIDATE looks at the new file before it is in place, CHECK at the whole afterwards.
put() {
  path=$1 mode=$2 owner=$3 repairs=$4 validate=$5 check=$6
  lock
  key=$(key_of "$path")
  entry=$home/files/$key
  room=$(mktemp -d "$home/room.XXXXXX")
  trap 'rm -rf "$room"' EXIT
  FILE=$room/$(basename "$path")
  export FILE
  receive "$FILE"
  sum=$(sum_of "$FILE")
  if [ -f "$path" ] && [ ! -L "$path" ] && [ "$(line_of "$entry" 2)" = "$sum" ] && [ "$(sum_of "$path")" = "$sum" ] &&
    [ "$(stat -c '%a %U:%G' "$path")" = "${mode#0} $owner" ]; then
    write_entry "$path" "$sum" "$mode" "$owner" "$repairs" "$(line_of "$entry" 6)"
    return 0
  fi
  if [ -n "$validate" ] && ! said=$(sh -c "$validate" 2>&1 9>&-); then
    fail "$path was not changed, since its check refuses the new content: $said"
  fi
  # What is the same already, or was put there by user data, is ours.
  if [ ! -e "$entry" ] && { [ -e "$path" ] || [ -L "$path" ]; } && ! cmp -s "$FILE" "$path" && ! of_user_data "$path"; then
    cp -a -T "$path" "$home/backup/.new"
    mv -f -T "$home/backup/.new" "$home/backup/$key"
  fi
  make_folder "$(dirname "$path")"
  write_entry "$path" "$sum" "$mode" "$owner" "$repairs" 1
  if [ -n "$check" ] && { [ -e "$path" ] || [ -L "$path" ]; }; then cp -a -T "$path" "$room/.old"; fi
  place "$FILE" "$path" "$mode" "$owner"
  if [ -n "$check" ] && ! said=$(sh -c "$check" 2>&1 9>&-); then
    if [ -e "$room/.old" ] || [ -L "$room/.old" ]; then mv -f -T "$room/.old" "$path"; else rm -f "$path"; fi
    # It is as before, and to be tried again.
    [ -e "$home/backup/$key" ] || [ -e "$path" ] || rm -f "$entry"
    fail "$path is as it was, since the check of the new content refuses it: $said"
  fi
}

# As it was put there at the first boot.
of_user_data() {
  [ -f "$home/user-data" ] && [ ! -L "$1" ] && grep -qxF -e "$(sum_of "$1")  $1" "$home/user-data"
}

# Readers see the old file or the new one, also after a crash.
place() {
  beside=$(dirname "$2")/.$(basename "$2").openclaw-new
  rm -f "$beside"
  (umask 077 && cat "$1" >"$beside")
  chown "$4" "$beside"
  chmod "$3" "$beside"
  sync "$beside"
  mv -f -T "$beside" "$2"
}

# take PATH BEFORE AFTER: what was there before comes back.
take() {
  path=$1
  lock
  key=$(key_of "$path")
  [ -e "$home/files/$key" ] || return 0
  [ -z "$2" ] || sh -c "$2" >/dev/null 2>&1 9>&- || true
  if [ -e "$home/backup/$key" ] || [ -L "$home/backup/$key" ]; then
    cp -a -T "$home/backup/$key" "$path.openclaw-old"
    mv -f -T "$path.openclaw-old" "$path"
  else
    rm -f "$path"
  fi
  rm -rf "$home/files/$key" "$home/backup/$key"
  [ -z "$3" ] || sh -c "$3" >/dev/null 2>&1 9>&- || true
  remove_empty_folders
}

# settle: lines of "path TAB sum TAB command"; the commands of files that changed, each once.
settle() {
  lock
  room=$(mktemp -d "$home/room.XXXXXX")
  trap 'rm -rf "$room"' EXIT
  receive "$room/lines"
  : >"$room/commands"
  while IFS="$tab" read -r path _sum command; do
    [ "$(line_of "$home/files/$(key_of "$path")" 6)" = 1 ] || continue
    printf '%s\n' "$path" >>"$room/paths"
    [ -z "$command" ] || grep -qxF -e "$command" "$room/commands" || printf '%s\n' "$command" >>"$room/commands"
  done <"$room/lines"
  while IFS= read -r command <&3; do
    said=$(sh -c "$command" 2>&1 3<&- 9>&-) || fail "this command failed on the server: $command
$said"
  done 3<"$room/commands"
  [ -f "$room/paths" ] || return 0
  sort -u "$room/paths" | while IFS= read -r path; do
    sed -i '6s/.*/0/' "$home/files/$(key_of "$path")"
  done
}

# secrets REPAIRS: lines of "name base64"; files of root's alone, and no others in that folder.
put_secrets() {
  lock
  room=$(mktemp -d "$home/room.XXXXXX")
  trap 'rm -rf "$room"' EXIT
  umask 077
  receive "$room/lines"
  make_folder "$(dirname "$secrets")"
  mkdir -p -m 0700 "$secrets"
  while read -r name text; do
    printf %s "$text" | base64 -d >"$room/value"
    printf '%s\n' "$name" >>"$room/names"
    if [ -f "$secrets/$name" ] && cmp -s "$room/value" "$secrets/$name"; then
      chown root:root "$secrets/$name"
      chmod 0600 "$secrets/$name"
    else
      place "$room/value" "$secrets/$name" 0600 root:root
    fi
  done <"$room/lines"
  touch "$room/names"
  for file in "$secrets"/*; do
    [ -e "$file" ] || continue
    grep -qxF -e "$(basename "$file")" "$room/names" || rm -rf "$file"
  done
  printf '%s\n' "$1" "$(sum_secrets)" >"$home/secrets.new"
  mv -f "$home/secrets.new" "$home/secrets"
  # Whoever depends on them sees that they changed; with a salt that stays here it tells nothing of them.
  [ -s "$home/salt" ] || head -c 32 /dev/urandom >"$home/salt"
  printf 'revision %s\n' "$(cat "$home/salt" "$secrets"/* 2>/dev/null | sha256sum | cut -c 1-12)"
}

sum_secrets() {
  (cd "$secrets" 2>/dev/null && find . -type f -printf '%p %m %U\n' -exec sha256sum {} + | sort | sha256sum | cut -d ' ' -f 1) || true
}

take_secrets() {
  lock
  rm -rf "$secrets" "$home/secrets"
  rmdir "$(dirname "$secrets")" 2>/dev/null || true
  remove_empty_folders
}

is_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null | cut -c 1-2)" = ii ]
}

# packages REPAIRS NAME…: what is not there is installed without starting a service, and remembered with all that came along.
put_packages() {
  lock
  printf '%s\n' "$*" >"$home/wanted-packages"
  shift
  missing=
  for name in "$@"; do is_installed "$name" || missing="$missing $name"; done
  [ -n "$missing" ] || return 0
  room=$(mktemp -d "$home/room.XXXXXX")
  policy=/usr/sbin/policy-rc.d
  ours=
  trap 'rm -rf "$room"; [ -z "$ours" ] || rm -f "$policy"' EXIT
  if [ ! -e "$policy" ]; then
    ours=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  installed >"$room/before"
  export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
  {
    dpkg --configure -a && apt-get -q -o DPkg::Lock::Timeout=300 update &&
      apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
        install --no-install-recommends $missing
  } >"$room/log" 2>&1 9>&- || {
    remember_packages
    fail "the packages$missing could not be installed:
$(tail -n 20 "$room/log")"
  }
  remember_packages
  # The page that the package shows by itself would answer in our place.
  case " $missing " in *" nginx "*) rm -f /etc/nginx/sites-enabled/default ;; esac
  # Ours has a unit of its own; the package's would start with the server, without a password.
  case " $missing " in *" redis-server "*) systemctl disable -q redis-server.service 2>/dev/null 9>&- || true ;; esac
}

installed() {
  dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | sed -n 's/^ii. *//p' | sort
}

remember_packages() {
  installed | comm -13 "$room/before" - >>"$home/packages"
}

# Only what this agent brought, and only where nothing else has come to need it.
take_packages() {
  lock
  [ -s "$home/packages" ] || return 0
  sort -u "$home/packages" >"$home/packages.sorted"
  mv -f "$home/packages.sorted" "$home/packages"
  present=
  while IFS= read -r name; do is_installed "$name" && present="$present $name"; done <"$home/packages" || true
  if [ -n "$present" ]; then
    others=$(apt-get -s purge $present 2>/dev/null | sed -n 's/^\(Purg\|Remv\) \([^ ]*\).*/\2/p' | sort -u | comm -23 - "$home/packages")
    if [ -n "$others" ]; then
      printf 'kept:%s, since these need them: %s\n' "$present" "$(printf %s "$others" | tr '\n' ' ')"
      return 0
    fi
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 purge $present >/dev/null 2>&1 9>&- ||
      fail "these packages could not be removed:$present"
  fi
  rm -f "$home/packages"
}

# user NAME HOME
put_user() {
  lock
  getent passwd "$1" >/dev/null && return 0
  useradd --system --user-group --no-create-home --home-dir "$2" --shell /usr/sbin/nologin "$1"
  printf '%s\n' "$1" >>"$home/users"
}

# take-user NAME STATE KEEP: with the data its owner stays.
take_user() {
  lock
  [ "$3" = keep ] && [ -d "$2" ] && return 0
  # Redis and model servers have folders of their own beside the gateway's.
  for name in "$1" "$1-redis" "$1-vllm" "$1-ollama"; do
    rm -rf "/var/lib/$name"
    [ "$name" = "$1" ] || userdel "$name" 2>/dev/null || true
  done
  if grep -qxF -e "$1" "$home/users" 2>/dev/null; then
    userdel "$1" 2>/dev/null || true
    sed -i "/^$1\$/d" "$home/users"
  fi
}

# release ID SUM ARCHIVE REPAIRS: unpacked, not yet used.
put_release() {
  lock
  room=
  trap 'rm -rf "$room"' EXIT
  archive=$3
  mkdir -p "$home/releases"
  printf '%s\n' "$4" >"$home/releases/$1"
  if [ -e "$opt/releases/$1/.complete" ]; then
    rm -f "$archive"
    return 0
  fi
  [ -f "$archive" ] || fail "the release $1 did not arrive; run up again"
  [ "$(sum_of "$archive")" = "$2" ] || fail "the release $1 arrived damaged; run up again"
  make_folder "$opt/releases"
  room=$(mktemp -d "$opt/releases/.new.XXXXXX")
  tar -xzf "$archive" -C "$room" --no-same-owner
  chmod -R go-w "$room"
  rm -rf "${opt:?}/releases/$1"
  mv -T "$room/$1" "$opt/releases/$1"
  sync
  touch "$opt/releases/$1/.complete"
  rm -f "$archive"
}

# activate ID KEEP STATE USER REPAIRS UNIT…: the gateway runs from this release, with its files as they are now. Databases are copied
# before another release may change them. Older releases than KEEP go. Of standard input, "started X" stands for what a gateway
# reads only when it starts.
activate() {
  release=$1 keep=$2 state=$3 user=$4 repairs=$5
  shift 5
  lock
  room=$(mktemp -d "$home/room.XXXXXX")
  trap 'rm -rf "$room"' EXIT
  receive "$room/lines"
  started=$(sed -n 's/^started //p' "$room/lines")
  for unit in "$@"; do
    systemctl is-enabled -q "$unit" 2>/dev/null || said=$(systemctl enable "$unit" 2>&1 9>&-) || fail "$unit: $said"
    systemctl is-active -q "$unit" || said=$(systemctl restart "$unit" 2>&1 9>&-) || fail "$unit does not start: $said
$(journalctl -q -o cat -n 10 -u "$unit")"
  done
  [ $# -eq 0 ] || printf '%s\n' openclaw-gateway.socket openclaw-gateway.service "$@" >"$home/units"
  if ! took_over; then
    run_release
    printf '%s\n' "$started" >"$home/started"
  fi
  printf '%s\n' "$repairs" >"$home/unit-repairs"
}

run_release() {
  [ -e "$opt/releases/$release/.complete" ] || fail "the release $release is not on this server"
  before=$(basename "$(readlink "$opt/current" 2>/dev/null || true)")
  if [ -n "$before" ] && [ "$before" != "$release" ]; then copy_data "$before" "$state" "$user" "$keep"; fi
  ln -sfn "releases/$release" "$opt/next.new"
  mv -T "$opt/next.new" "$opt/next"
  said=$("$opt/bin/replace-gateway" 2>&1 9>&-) || fail "$said"
  [ "$before" = "$release" ] || date +%s >"$opt/releases/$release/.complete"
  printf '%s\n' "$release" >"$home/activated"
  prune "$release" "$keep"
}

# Whether the gateway that runs has taken over by itself all that changed. Then nobody waits for streams, and a token that was
# replaced is let in for its time. Wherever that is not certain the gateway is replaced.
took_over() {
  unit=openclaw-gateway.service config=/etc/openclaw/openclaw.json
  [ "$(readlink "$opt/current" 2>/dev/null)" = "releases/$release" ] && [ -n "$started" ] || return 1
  [ "$(cat "$home/activated" 2>/dev/null)" = "$release" ] && [ "$(cat "$home/started" 2>/dev/null)" = "$started" ] || return 1
  systemctl is-active -q "$unit" && ! systemctl is-active -q openclaw-gateway-next.service || return 1
  cursor=$(journalctl -q -n 1 -o cat --show-cursor | sed -n 's/^-- cursor: //p')
  [ -n "$cursor" ] && changed=$(refresh_credentials "/run/credentials/$unit") || return 1
  [ -z "$changed" ] || says '"secrets_applied"|secrets_applied ' --after-cursor="$cursor" || return 1
  # Which config it has, it says when it is ready and with each change.
  invocation=$(systemctl show -p InvocationID --value "$unit")
  sum=$(sum_of "$config")
  [ "$(cat "$in_force" 2>/dev/null)" != "$invocation $sum" ] || return 0
  since=$(stat -c %Y "$config")
  touch -c "$config"
  says "(gateway_ready|config_applied).*$sum" --since="@$((since - 1))" "_SYSTEMD_INVOCATION_ID=$invocation" || return 1
  ! journalctl -q -o cat --since="@$((since - 1))" -g "config_restart_needed" "_SYSTEMD_INVOCATION_ID=$invocation" >/dev/null || return 1
  printf '%s\n' "$invocation $sum" >"$in_force"
}

# PATTERN OPTION…: the gateway's log says it, soon.
says() {
  pattern=$1
  shift
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
    journalctl -q -o cat -t openclaw-gateway -g "$pattern" "$@" 2>/dev/null | grep -q . && return 0
    sleep 0.25
  done
  return 1
}

# FOLDER: what systemd gave to the service becomes what the secrets are now; prints the names of those that changed. As systemd's own
# RefreshOnReload=, which most systems do not have yet: the service sees the same files, and cannot write to them.
refresh_credentials() {
  [ -d "$1" ] || return 1
  names=
  for file in "$1"/*; do
    [ -f "$file" ] || continue
    [ -f "$secrets/${file##*/}" ] || return 1
    cmp -s "$secrets/${file##*/}" "$file" || names="$names ${file##*/}"
  done
  [ -n "$names" ] || return 0
  ! mountpoint -q "$1" || mount -o remount,bind,rw "$1" || return 1
  good=0
  for name in $names; do
    cp -p "$1/$name" "$1/.new" && cat "$secrets/$name" >"$1/.new" && mv -f "$1/.new" "$1/$name" || good=1
  done
  ! mountpoint -q "$1" || mount -o remount,bind,ro "$1" || good=1
  printf '%s\n' "$names"
  return $good
}

# By the gateway's own user: files that SQLite makes beside a database must stay the gateway's.
copy_data() {
  [ -d "$2" ] || return 0
  copy=$2/backups/$1
  setpriv --reuid "$3" --regid "$3" --clear-groups "$opt/releases/$1/bin/node" --disable-warning=ExperimentalWarning -e '
    const { backup, DatabaseSync } = require("node:sqlite");
    const { globSync, mkdirSync, readdirSync, rmSync, statSync } = require("node:fs");
    const { basename, dirname, join } = require("node:path");
    const [state, copy, keep] = process.argv.slice(1);
    rmSync(copy, { recursive: true, force: true });
    mkdirSync(copy, { recursive: true, mode: 0o700 });
    const folder = dirname(copy);
    const old = readdirSync(folder).map((name) => join(folder, name)).sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
    for (const path of old.slice(Number(keep))) rmSync(path, { recursive: true, force: true });
    (async () => {
      for (const file of globSync("*.sqlite", { cwd: state })) {
        const database = new DatabaseSync(join(state, file), { readOnly: true });
        await backup(database, join(copy, basename(file)));
        database.close();
      }
    })();
  ' "$2" "$copy" "$4" >"$home/copy.log" 2>&1 9>&- || fail "the data could not be copied before the change: $(cat "$home/copy.log")"
}

# The newest ones stay, and the one that runs.
prune() {
  ls -t "$opt"/releases/*/.complete | sed 's|/.complete$||; s|.*/||' | grep -vxF -e "$1" | tail -n +"$2" | while IFS= read -r old; do
    rm -rf "${opt:?}/releases/$old" "$home/releases/$old"
  done
}

# rollback ID KEEP STATE USER DATA: to a release that is still here. DATA is "data": its databases come back as they were when
# it was replaced; the gateway is down for that moment, since nothing may write to them.
rollback() {
  release=$1 state=$3 user=$4
  if [ "$5" != data ]; then
    wanted=$(cat "$home/activated")
    keep=$2
    lock
    run_release
    # What `up` brought last: that something else runs now is to be seen.
    printf '%s\n' "$wanted" >"$home/activated"
    return
  fi
  lock
  [ -e "$opt/releases/$release/.complete" ] || fail "the release $release is not on this server"
  copy=$state/backups/$release
  [ -d "$copy" ] || fail "there is no copy of the data of $release; roll back without it"
  systemctl stop openclaw-gateway.service 9>&-
  for file in "$copy"/*.sqlite; do
    [ -e "$file" ] || continue
    name=$(basename "$file")
    rm -f "$state/$name-wal" "$state/$name-shm"
    cp -a -T "$file" "$state/.$name.new"
    mv -T "$state/.$name.new" "$state/$name"
  done
  ln -sfn "releases/$release" "$opt/next.new"
  mv -T "$opt/next.new" "$opt/next"
  said=$("$opt/bin/replace-gateway" 2>&1 9>&-) || fail "$said"
}

# self-signed FOLDER COMMON-NAME ALTERNATIVES GROUP MODE: a certificate for ten years, unless there is one for these names that has a month left.
self_signed() {
  folder=$1 common=$2 names=$3 group=$4 mode=$5
  lock
  make_folder "$folder"
  # The authority's takes its place.
  [ "$mode" = acme ] && [ -L "$folder/chain.pem" ] && return 0
  # Or did, and would again.
  [ "$mode" = acme ] || systemctl stop openclaw-certificate.timer openclaw-certificate.service 2>/dev/null 9>&- || true
  chown "root:$group" "$folder"
  chmod 0750 "$folder"
  if [ -f "$folder/key.pem" ] && [ ! -L "$folder/key.pem" ] && [ "$(cat "$folder/names" 2>/dev/null)" = "$names" ] &&
    openssl x509 -in "$folder/chain.pem" -noout -checkend 2592000 >/dev/null 2>&1; then
    return 0
  fi
  (
    umask 077
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/CN=$common" \
      -addext "subjectAltName=$names" -keyout "$folder/key.new" -out "$folder/chain.new" 2>"$home/openssl.log"
  ) || fail "no certificate could be made: $(cat "$home/openssl.log")"
  chown "root:$group" "$folder/key.new"
  chmod 0640 "$folder/key.new"
  chmod 0644 "$folder/chain.new"
  mv -f "$folder/key.new" "$folder/key.pem"
  mv -f "$folder/chain.new" "$folder/chain.pem"
  printf '%s\n' "$names" >"$folder/names"
}

# certbot REVISION: by the program that the timer runs later on; it takes its turn by itself.
get_certificate() {
  said=$("$opt/bin/renew-certificate" 2>&1) || fail "certbot got no certificate:
$(printf '%s\n' "$said" | grep -v -e '^$' -e '^- - ' -e '^Saving debug log' -e '^Ask for help' -e '^Some challenges have failed' | tail -n 30)
$stays"
}

stays="The site runs with the certificate that it has (a self-signed one until the first is there), and the server goes on trying. Once the cause is gone: npm run up"

# caddy-certificate PORT DIRECTORY NAME…: Caddy asks by itself; where it gets none, what it was told is the error.
caddy_certificate() {
  port=$1
  shift 2
  since=$(date '+%Y-%m-%d %H:%M:%S')
  left=180
  for name in "$@"; do
    # After a failure it waits for longer and longer.
    caddy_shows "$name" || [ -z "$(caddy_refusal "$name" '1 hour ago')" ] || systemctl reload caddy
    until caddy_shows "$name"; do
      why=$(caddy_refusal "$name" "$since")
      left=$((left - 1))
      [ -z "$why" ] && [ "$left" -gt 0 ] || fail "Caddy got no certificate for $name: ${why:-it has said nothing for three minutes}
Until it has one, connections to $name fail. It goes on trying. Once the cause is gone: npm run up"
      sleep 1
    done
  done
}

caddy_shows() {
  openssl s_client -connect "127.0.0.1:$port" -servername "$1" </dev/null 2>/dev/null | openssl x509 -noout 2>/dev/null
}

# NAME SINCE: the last reason that it gave.
caddy_refusal() {
  journalctl -q -o cat -u caddy --since "$2" | grep '"level":"error"' | grep -F "\"identifier\":\"$1\"" |
    sed -n 's/.*"error":"\(.*\)"[^"]*}$/\1/p' | tail -n 1
}

take_certbot() {
  lock
  rm -rf /var/lib/openclaw-acme
}

# take-folder PATH: with what this agent made in it; a certificate that somebody brought since stays.
take_folder() {
  lock
  case $1 in /etc/ssl/openclaw) ;; *) fail "$1 is not ours" ;; esac
  for file in names chain.pem key.pem; do
    [ -e "$home/files/$(key_of "$1/$file")" ] || rm -f "$1/$file"
    # What was there before is not somebody else's.
    rm -f "$home/backup/$(key_of "$1/$file")"
  done
  remove_empty_folders
}

# take-gateway: nothing runs any more, and no release is left.
take_gateway() {
  lock
  systemctl stop openclaw-gateway.socket openclaw-gateway.service openclaw-gateway-next.service 2>/dev/null 9>&- || true
  systemctl reset-failed openclaw-gateway.service openclaw-gateway.socket openclaw-gateway-next.service 2>/dev/null 9>&- || true
  rm -rf "$opt/releases" "$opt/current" "$opt/next" "$opt/replace.lock" "$home/releases" "$home/units" "$home/unit-repairs" "$home/activated" \
    "$home/started" "$in_force" /run/openclaw
}

# Whether the agent is as it was put there, and the name of this installation: on a server that was made anew there is none.
agent_state() {
  [ -f "$home/installation" ] || return 0
  read -r id sum <"$home/installation"
  if [ -f "$home/agent" ] && [ "$(sum_of "$home/agent")" = "$sum" ]; then say installation "$id"; fi
}

# Nothing is left of the agent itself, unless data or their owner stay.
take_agent() {
  lock
  rm -rf /var/log/openclaw
  systemctl daemon-reload 9>&- || true
  systemctl reset-failed 'openclaw-*' caddy.service nginx.service fail2ban.service 2>/dev/null 9>&- || true
  remove_empty_folders
  if [ -s "$home/users" ] || [ -s "$home/packages" ]; then
    find "$home" -mindepth 1 ! -name users ! -name packages -delete
  else
    rm -rf "$home"
  fi
}

# inspect SSH_CONNECTION PACKAGE…: facts, one a line.
inspect() {
  connection=$1
  shift
  . /etc/os-release
  say uid "$(id -u)"
  say os "${ID:-} ${VERSION_ID:-}"
  say arch "$(dpkg --print-architecture 2>/dev/null || uname -m)"
  say init "$(cat /proc/1/comm)"
  say cpus "$(nproc)"
  say memoryKb "$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) $(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
  say diskKb "$(df -Pk /var | tail -n 1 | tr -s ' ' | cut -d ' ' -f 4) $(df -Pk /opt 2>/dev/null | tail -n 1 | tr -s ' ' | cut -d ' ' -f 4)"
  say time "$(date +%s)"
  say connection "$connection"
  say addresses "$(hostname -I 2>/dev/null || true)"
  agent_state
  ! grep -qs default_server /etc/nginx/sites-enabled/* || say foreignDefault yes
  is_as_packaged nginx-common /etc/nginx/nginx.conf ||
    say foreignNginx "$(sed -n 's/^[^#]*worker_connections *\([0-9]*\);.*/\1/p' /etc/nginx/nginx.conf | tail -n 1)"
  is_as_packaged caddy /etc/caddy/Caddyfile || say foreignCaddyfile yes
  if command -v ss >/dev/null; then
    ss -Hltnp | while read -r _state _receive _send here _peer who; do
      say listen "${here##*:} $(printf %s "${who-}" | sed -n 's/^users:(("\([^"]*\)".*/\1/p')"
    done
  fi
  for name in "$@"; do ! is_installed "$name" || say package "$name"; done
  if [ -f "$home/wanted-packages" ]; then
    read -r repairs names <"$home/wanted-packages"
    found=ok
    for name in $names; do is_installed "$name" || found=missing; done
    say packages "$found $repairs"
  fi
  for entry in "$home"/files/*; do
    [ -e "$entry" ] || continue
    { read -r path && read -r sum && read -r mode && read -r owner && read -r repairs && read -r _pending; } <"$entry"
    found=ok
    if [ ! -e "$path" ]; then found=missing
    elif [ -L "$path" ] || [ "$(sum_of "$path")" != "$sum" ]; then found=changed
    elif [ "$(stat -c '%a %U:%G' "$path")" != "${mode#0} $owner" ]; then found=mode
    fi
    say file "$found $repairs $path"
  done
  if [ -e "$home/secrets" ]; then
    found=ok
    [ "$(line_of "$home/secrets" 2)" = "$(sum_secrets)" ] || found=changed
    say secrets "$found $(line_of "$home/secrets" 1)"
  fi
  for record in "$home"/releases/*; do
    [ -e "$record" ] || continue
    release=$(basename "$record")
    at=$(stat -c %Y "$opt/releases/$release/.complete" 2>/dev/null || echo missing)
    say release "$at $(cat "$record") $release"
  done
  [ ! -f "$home/activated" ] || say activated "$(cat "$home/activated")"
  [ ! -L "$opt/current" ] || say current "$(basename "$(readlink "$opt/current")")"
  if [ -f "$home/units" ]; then
    while read -r unit; do
      say unit "$(systemctl is-active "$unit" || true) $(systemctl is-enabled "$unit" 2>/dev/null || true) $unit"
    done <"$home/units"
    say unitRepairs "$(cat "$home/unit-repairs" 2>/dev/null || echo 0)"
  fi
}

say() {
  printf '%s=%s\n' "$1" "$2"
}

# PACKAGE PATH: nobody has changed the package's file, or there is none.
is_as_packaged() {
  [ -e "$2" ] || return 0
  dpkg-query -W -f '${Conffiles}\n' "$1" 2>/dev/null | grep -qxF -e " $2 $(md5sum <"$2" | cut -d ' ' -f 1)"
}

command=${1-}
[ $# -eq 0 ] || shift
if [ "$command" != inspect ]; then
  # What is meant for one server must not reach another one that has taken its place.
  id=
  [ ! -f "$home/installation" ] || read -r id _sum <"$home/installation"
  [ "$command" = "$id" ] || fail "this server was set up anew, or by somebody else; run up again"
  command=$1
  shift
fi
case $command in
inspect) inspect "$@" ;;
take-agent) take_agent ;;
put) put "$@" ;;
take) take "$@" ;;
settle) settle ;;
secrets) put_secrets "$@" ;;
take-secrets) take_secrets ;;
packages) put_packages "$@" ;;
take-packages) take_packages ;;
user) put_user "$@" ;;
take-user) take_user "$@" ;;
release) put_release "$@" ;;
activate) activate "$@" ;;
rollback) rollback "$@" ;;
take-gateway) take_gateway ;;
self-signed) self_signed "$@" ;;
certbot) get_certificate "$@" ;;
caddy-certificate) caddy_certificate "$@" ;;
take-certbot) take_certbot ;;
take-folder) take_folder "$@" ;;
*) fail "the agent has no command $command" ;;
esac
# the end of the agent
