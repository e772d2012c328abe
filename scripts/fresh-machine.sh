#!/usr/bin/env bash
# What the README promises, tried on a machine that has nothing: a new Debian in a folder, in it what the README names as
# needed, and a clone of this checkout, whose commands an ordinary user runs. Uncommitted changes are not in it.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: scripts/fresh-machine.sh [--keep] [bookworm|trixie] [start] [test]

Makes a Debian (trixie where none is named) in .cache/fresh-machine, runs `npm start` and `npm test` in it, or those named,
and says what was missing. --keep leaves the folder for a look. Needs root and debootstrap.
Exit status: that of the first command that failed; 3 where no such machine can be made here.
TEXT
}

suite=trixie
keep=no
commands=()
for word in "$@"; do
  case "$word" in
    bookworm | trixie) suite=$word ;;
    start | test) commands+=("$word") ;;
    --keep) keep=yes ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
done
((${#commands[@]})) || commands=(start test)

checkout="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
place="$checkout/.cache/fresh-machine/$suite"
machine="$place/root"
packages="$place/packages"
npm_cache="$checkout/.cache/fresh-machine/npm"
project=/home/user/unicorn-usercopy

say() { echo "fresh-machine: $*"; }
cannot() {
  say "no new $suite can be made here: $*" >&2
  exit 3
}

[[ "$(id -u)" == 0 ]] || cannot 'chroot and mount need root'
command -v debootstrap >/dev/null || cannot 'debootstrap is not installed (apt-get install debootstrap)'

leave() {
  local point
  for point in dev proc; do
    if mountpoint -q "$machine/$point"; then umount -R "$machine/$point" || umount -R -l "$machine/$point"; fi
  done
  if [[ $keep == yes ]]; then
    say "left in $machine"
    return
  fi
  if mountpoint -q "$machine"; then umount "$machine" || umount -l "$machine"; fi
  rm -rf --one-file-system "$machine"
}
trap leave EXIT
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH

# Of an interrupted run.
keep_asked=$keep
keep=no
leave
keep=$keep_asked
mkdir -p "$machine" "$packages" "$npm_cache"

# In memory where there is plenty: dpkg and rm write tens of thousands of small files.
plenty=$((8 << 20))
if (($(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo) > plenty)); then
  mount -t tmpfs -o size=6g,mode=755 fresh-machine "$machine" || true
fi

# What the README names. Bookworm's own Node.js is too old: this machine's is copied in.
needed=(nodejs npm g++ make python3)
[[ $suite == bookworm ]] && needed=(g++ make python3)

# What is lost with this machine need not reach the disk: dpkg waits for every file otherwise.
export DPKG_FORCE=unsafe-io

say "$suite, the smallest there is"
debootstrap --variant=minbase --cache-dir="$packages" "$suite" "$machine" >"$place/debootstrap.log" 2>&1 ||
  cannot "debootstrap failed: $(tail -1 "$place/debootstrap.log") (all of it in $place/debootstrap.log)"

mountpoint -q "$machine/proc" || mount -t proc proc "$machine/proc" || cannot 'proc cannot be mounted'
mountpoint -q "$machine/dev" || mount --rbind --make-rslave /dev "$machine/dev" || cannot 'dev cannot be mounted'

# How this machine reaches the network holds there too: names, proxies, certificates, where npm and apt ask.
cp --remove-destination /etc/resolv.conf /etc/hosts "$machine/etc/"
apt-config dump --format '%F "%v";%n' Acquire >"$machine/etc/apt/apt.conf.d/90host" 2>/dev/null || true
environment=(HOME=/home/user USER=user PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 npm_config_cache=/home/user/.npm)
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY CI; do
  if [[ -n "${!name:-}" ]]; then environment+=("$name=${!name}"); fi
done
# Beside the bundle of ca-certificates, which npm's package brings and which overwrites its own.
bundle=/etc/ssl/host-certificates.crt
for candidate in "${NODE_EXTRA_CA_CERTS:-}" "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt; do
  [[ -f "$candidate" ]] || continue
  install -D -m 644 "$candidate" "$machine$bundle"
  environment+=("NODE_EXTRA_CA_CERTS=$bundle" "SSL_CERT_FILE=$bundle")
  break
done
if command -v npm >/dev/null; then environment+=("npm_config_registry=$(npm config get registry)"); fi

inside() { chroot "$machine" /usr/bin/env -i "${environment[@]}" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DPKG_FORCE="$DPKG_FORCE" DEBIAN_FRONTEND=noninteractive "$@"; }
as_user() { chroot --userspec=user:user "$machine" /usr/bin/env -i "${environment[@]}" sh -c "cd $project && $1"; }

say "apt-get install ${needed[*]}"
echo 'Dir::Cache::archives "/var/cache/apt/archives";' >"$machine/etc/apt/apt.conf.d/91archives"
cp "$packages"/*.deb "$machine/var/cache/apt/archives/" 2>/dev/null || true
rm -f "$machine/etc/apt/apt.conf.d/docker-clean"
{ inside apt-get update && inside apt-get install -y --no-install-recommends -o APT::Keep-Downloaded-Packages=true "${needed[@]}"; } \
  >"$place/apt.log" 2>&1 || cannot "apt-get install failed: $(tail -1 "$place/apt.log") (all of it in $place/apt.log)"
cp -n "$machine"/var/cache/apt/archives/*.deb "$packages/" 2>/dev/null || true
rm -f "$machine"/var/cache/apt/archives/*.deb

if [[ $suite == bookworm ]]; then
  node="$(node -p process.execPath)" || cannot 'Node.js of this machine was not found, and bookworm has none that is new enough'
  install -D "$node" "$machine/usr/local/bin/node"
  mkdir -p "$machine/usr/local/lib/node_modules"
  cp -rL "$(npm root -g)/npm" "$machine/usr/local/lib/node_modules/npm"
  ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$machine/usr/local/bin/npm"
  ln -sf ../lib/node_modules/npm/bin/npx-cli.js "$machine/usr/local/bin/npx"
  chmod +x "$machine/usr/local/lib/node_modules/npm/bin/npm-cli.js" "$machine/usr/local/lib/node_modules/npm/bin/npx-cli.js"
fi
inside node --version >"$place/node.log" 2>&1 || cannot "node does not run there: $(tail -1 "$place/node.log")"

inside useradd --create-home user
git -c safe.directory='*' clone -q --no-hardlinks "$checkout" "$machine$project"
cp -r "$npm_cache" "$machine/home/user/.npm"
# Kernels that were fetched before are packages too; only tests ask for them.
if [[ " ${commands[*]} " == *' test '* && -d "$checkout/.cache/kernels" ]]; then
  mkdir -p "$machine$project/.cache"
  cp -r "$checkout/.cache/kernels" "$machine$project/.cache/kernels"
fi
inside chown -R user:user /home/user

status=0
for command in "${commands[@]}"; do
  say "npm $command as an ordinary user, Node.js $(inside node --version), $(uname -m)"
  log="$place/npm-$command.log"
  begun=$SECONDS
  code=0
  as_user "npm $command" >"$log" 2>&1 </dev/null || code=$?
  say "npm $command ended with $code after $((SECONDS - begun)) s (all of it in $log)"
  # What the set-up could not get, what was skipped and what failed.
  grep -aE '^setup: .*(\bnot\b|\bcannot\b|\bno\b|missing|failed|unexpected)|command not found|skipped|↓|FAIL|^ *Tests |^ *Test Files ' "$log" | sort -u | head -60 || true
  if ((code)); then tail -25 "$log"; fi
  ((status)) || status=$code
done
cp -rn "$machine/home/user/.npm/." "$npm_cache/" 2>/dev/null || true
exit "$status"
