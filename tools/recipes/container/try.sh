#!/usr/bin/env bash
# try.sh WHEEL BASE [BUILDAH-OPTION...]: build the image with buildah on the image BASE, and run the
# example in it as on a hardened machine: a user without rights, nothing writable but /work and /tmp,
# no network, no environment but the image's. Needs root and Linux. Prints the digest of the results.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
wheel=$1 base=$2
shift 2
context=$(mktemp -d)
work=$(mktemp -d)
container=
trap 'test -z "$container" || buildah rm "$container" >/dev/null; rm -rf "$context" "$work"' EXIT
cp "$wheel" "$context"
cp "$root"/tests/data/enteric_300* "$work"
chmod 777 "$work"
buildah build -q "$@" --build-arg "BASE=$base" -t cytotrace2-lite -f "$here/Containerfile" "$context"
user=$(buildah inspect --type image --format '{{.OCIv1.Config.User}}' cytotrace2-lite)
test "${user%%:*}" != 0
container=$(buildah from cytotrace2-lite)
image=$(buildah mount "$container")
mapfile -t environment < <(buildah inspect --type image \
    --format '{{range .OCIv1.Config.Env}}{{println .}}{{end}}' cytotrace2-lite | grep .)
unshare --mount --net --pid --fork bash -euo pipefail -s "$image" "$work" "$user" "${environment[@]}" <<'BASH'
image=$1 work=$2 user=$3
shift 3
mkdir -p "$image/work" "$image/proc"
mount --bind "$image" "$image"
mount -o remount,bind,ro "$image"
cd "$image"
mount --bind "$work" work
mount -t tmpfs tmpfs tmp
mount -t proc proc proc
exec chroot --userspec="$user" . env -i "$@" sh -euc '
    cd /work
    if touch /here 2>/dev/null; then exit 1; fi
    ct2-lite run enteric_300.txt.gz -a enteric_300_annotation.txt --require-plots --disable-verbose
    sha256sum cytotrace2_results/cytotrace2_results.txt
'
BASH
