# shellcheck shell=bash
# Sourced by the scripts of this folder: what packages are made of, and by what.

# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
speaker=package
export speaker
# Packages, and what is laid out for them.
out=$root/target/package
# Whom a package names: the usual variables of Debian's tools, else an address that by its name
# (RFC 2606) reaches nobody.
maintainer="${DEBFULLNAME:-hostdiag maintainers} <${DEBEMAIL:-hostdiag@hostdiag.invalid}>"
# For builds of one commit to be the same bytes.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct)}
export out maintainer SOURCE_DATE_EPOCH
umask 022

# A lower one than the source's own is for tests of upgrades.
version=${HOSTDIAG_PACKAGE_VERSION:-$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)}
export version

# cargo_tool NAME VERSION prints its path; a version is built once a machine, outside of the clone.
cargo_tool() {
    local folder=${HOSTDIAG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hostdiag}/tools/$1-$2
    if [[ ! -x $folder/bin/$1 ]]; then
        need_build
        mkdir -p "$folder"
        say "building $1 $2; that takes some minutes, once"
        # In its own folder: the flags of this repository are for hostdiag alone.
        (cd "$folder" && silently cargo install --quiet --locked --version "$2" --root "$folder" "$1") ||
            die "cannot install $1 $2"
    fi
    printf '%s\n' "$folder/bin/$1"
}
