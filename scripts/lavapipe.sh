#!/usr/bin/env bash
# Puts Mesa's lavapipe, a software Vulkan driver, where deeplimit looks for it: a training step is two to five
# times as fast as on SwiftShader (docs/performance.md).
# Debian 12 and its derivatives: Dawn refuses the Mesa of the release (22.3), so the package of bookworm-backports is
# fetched by apt, from the machine's own mirror and checked by its signatures, in a private apt state that leaves the
# system's package lists alone; one library of it is unpacked. Newer systems: their own Mesa (25 or later) will do.
set -euo pipefail

target="${XDG_CACHE_HOME:-$HOME/.cache}/deeplimit/lavapipe"
say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || fail "lavapipe is fetched for linux x86_64 only, this is $(uname -s)-$(uname -m)"
[ -r /etc/os-release ] && . /etc/os-release
if [ "${VERSION_CODENAME:-}" != bookworm ]; then
  say "This is ${PRETTY_NAME:-an unknown system}, not Debian 12. Install its own lavapipe, Mesa 25 or later:"
  say "  Debian 13, Ubuntu 24.04 or later: apt-get install mesa-vulkan-drivers libvulkan1"
  say "  Fedora: dnf install mesa-vulkan-drivers vulkan-loader      Arch: pacman -S vulkan-swrast vulkan-icd-loader"
  fail "nothing was installed; deeplimit finds the system's driver by itself"
fi
for tool in apt-get dpkg-deb; do command -v "$tool" > /dev/null || fail "$tool is missing"; done

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
# The mirror this machine uses for Debian's main archive: the one that offers libc6.
mirror="$(apt-get indextargets --format '$(SITE) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' | awk '$2 == "bookworm" && $3 == "main" { print $1; exit }')"
[ -n "$mirror" ] || mirror="$(apt-cache policy libc6 | awk '$2 ~ /^https?:/ && $3 ~ /^bookworm/ { print $2; exit }')"
[ -n "$mirror" ] || fail "apt knows no mirror of Debian 12 (apt-get update first)"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/deb"
printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s bookworm-backports main\n' "$mirror" > "$work/sources.list"
options=(-o "Dir::Etc::sourcelist=$work/sources.list" -o "Dir::Etc::sourceparts=-" -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o "APT::Sandbox::User=root")
say "Fetching mesa-vulkan-drivers of bookworm-backports ..."
apt-get "${options[@]}" -qq update
(cd "$work/deb" && apt-get "${options[@]}" -qq download mesa-vulkan-drivers)
dpkg-deb -x "$work"/deb/mesa-vulkan-drivers_*.deb "$work/tree"
library="$(find "$work/tree" -name libvulkan_lvp.so -print -quit)"
[ -n "$library" ] || fail "the package holds no libvulkan_lvp.so"

missing="$(ldd "$library" | awk '/not found/ { print $1 }' | tr '\n' ' ')"
if [ -n "$missing" ]; then
  packages="libllvm15 libdrm2 libelf1 libexpat1 libwayland-client0 libx11-xcb1 libxcb-dri3-0 libxcb-present0 libxcb-randr0 libxcb-shm0 libxcb-sync1 libxcb-xfixes0 libxshmfence1 libzstd1 zlib1g"
  [ "$(id -u)" = 0 ] || fail "libraries are missing: $missing; as root: apt-get install -y --no-install-recommends $packages"
  say "Installing the libraries it needs ($missing) ..."
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $packages > /dev/null
  missing="$(ldd "$library" | awk '/not found/ { print $1 }' | tr '\n' ' ')"
  [ -z "$missing" ] || fail "libraries are still missing: $missing"
fi

mkdir -p "$target"
install -m 755 "$library" "$target/libvulkan_lvp.so.new"
mv "$target/libvulkan_lvp.so.new" "$target/libvulkan_lvp.so"
printf '{ "file_format_version": "1.0.0", "ICD": { "library_path": "%s", "api_version": "1.3.0" } }\n' "$target/libvulkan_lvp.so" > "$target/lvp_icd.json"
say "lavapipe ($(dpkg-deb -f "$work"/deb/mesa-vulkan-drivers_*.deb Version)) is in $target; \`deeplimit doctor\` shows it."
