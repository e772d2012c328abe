#!/usr/bin/env bash
# What the README promises, tried on a machine that has nothing: a new Debian in a folder, in it what the README names as
# needed, and a clone of this checkout, whose commands an ordinary user runs. Uncommitted changes are not in it.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: scripts/fresh-machine.sh [--keep] [bookworm|trixie] [start] [test] [package]

Makes a Debian (trixie where none is named) in .cache/fresh-machine, runs `npm start` and `npm test` in it, or those named,
and says what was missing. --keep leaves the folder, without /proc and /dev, for a look. Needs root and debootstrap.
`package` packs this checkout (`npm run build:prebuilt` must have run) and installs the packed file instead: first on a machine that has only
Node.js and npm, then compiled, with what each takes in seconds and megabytes.
Exit status: that of the first command that failed; 3 where no such machine can be made here.
TEXT
}

suite=trixie
keep=no
commands=()
for word in "$@"; do
  case "$word" in
    bookworm | trixie) suite=$word ;;
    start | test | package) commands+=("$word") ;;
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

# What is mounted here is mounted for this process and its children alone, and is gone with them even after SIGKILL: a /dev
# left behind in .cache would be emptied by the next `rm -rf .cache`.
if [[ "${FRESH_MACHINE_MOUNTS:-}" != own ]]; then
  unshare --mount true 2>/dev/null || cannot 'unshare --mount is refused'
  FRESH_MACHINE_MOUNTS=own exec unshare --mount --propagation private -- bash "${BASH_SOURCE[0]}" "$@"
fi

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

# In memory where there is plenty and nothing is to be kept: dpkg and rm write tens of thousands of small files.
plenty=$((8 << 20))
if [[ $keep == no ]] && (($(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo) > plenty)); then
  mount -t tmpfs -o size=6g,mode=755 fresh-machine "$machine" || true
fi

# What the README names. Bookworm's own Node.js is too old: this machine's is copied in.
compilers=(g++ make python3)
needed=(nodejs npm "${compilers[@]}")
# The packed file needs no compiler.
[[ "${commands[*]}" == package ]] && needed=(nodejs npm)
[[ $suite == bookworm ]] && needed=(ca-certificates "${needed[@]:2}")

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

install_packed() {
  local tool=/home/user/tool log="$place/npm-package.log" begun code=0
  local inside_tool="cd $tool && PATH=node_modules/.bin:\$PATH"
  (cd "$checkout" && npm pack --ignore-scripts --silent --pack-destination "$machine/home/user") >"$log" 2>&1 || { cat "$log" && return 1; }
  inside sh -c "mkdir -p $tool && mv /home/user/unicorn-usercopy-*.tgz $tool/package.tgz && echo '{ \"private\": true }' >$tool/package.json && chown -R user:user $tool"
  sizes() { as_user "cd $tool && du -sm node_modules node_modules/unicorn-usercopy node_modules/unicorn-usercopy/.cache 2>/dev/null" | sed "s/^/fresh-machine:   MB: /"; }
  say "npm install of the packed file as an ordinary user, Node.js $(inside node --version), $(uname -m); compilers: $(inside sh -c 'command -v g++ cc make || echo none')"
  begun=$(date +%s.%N)
  as_user "cd $tool && npm install --foreground-scripts --no-audit --no-fund ./package.tgz" >>"$log" 2>&1 </dev/null || code=$?
  say "it ended with $code after $(awk -v a="$begun" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }') s (all of it in $log)"
  grep -a '^setup:' "$log" || true
  ((code == 0)) || return "$code"
  sizes
  as_user "$inside_tool && usercopy doctor && usercopy run own --runnable" >>"$log" 2>&1 </dev/null || code=$?
  say "usercopy doctor and usercopy run own ended with $code"
  ((code == 0)) || { tail -25 "$log" && return "$code"; }
  inside apt-get install -y --no-install-recommends "${compilers[@]}" >>"$place/apt.log" 2>&1 || cannot 'g++ cannot be installed'
  begun=$SECONDS
  as_user "cd $tool && npm rebuild --foreground-scripts --build-from-source unicorn-usercopy" >"$log.rebuild" 2>&1 </dev/null || code=$?
  say "npm rebuild --build-from-source ended with $code after $((SECONDS - begun)) s (all of it in $log.rebuild)"
  grep -a '^setup:' "$log.rebuild" || true
  sizes
  as_user "$inside_tool && usercopy run own --runnable && test -f node_modules/unicorn-usercopy/build/Release/unicorn_engine.node" >>"$log.rebuild" 2>&1 </dev/null || code=$?
  say "usercopy run own with what was compiled ended with $code"
  return "$code"
}

status=0
for command in "${commands[@]}"; do
  if [[ $command == package ]]; then
    install_packed || status=$?
    continue
  fi
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
