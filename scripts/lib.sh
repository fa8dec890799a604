# shellcheck shell=bash
# Sourced by every script: messages, and the programs a script depends on.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export root
# Who speaks, in front of each message.
speaker=${0##*/}

say() { printf '%s: %s\n' "$speaker" "$*" >&2; }
die() {
    say "$*"
    exit 1
}

# need COMMAND:PACKAGE... installs the Debian packages of missing commands; a
# COMMAND that begins with / is a file.
need() {
    local pair missing=() install
    PATH=$PATH:/usr/sbin:/sbin
    for pair; do
        is_there "${pair%%:*}" || missing+=("${pair#*:}")
    done
    ((${#missing[@]})) || return 0
    # Another apt may be at work; it is waited for.
    install=(apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "${missing[@]}")
    command -v apt-get >/dev/null ||
        die "missing, by Debian's names: ${missing[*]}; there is no apt-get here, on Debian it would be: sudo ${install[*]}"
    ((EUID == 0)) || command -v sudo >/dev/null ||
        die "missing: ${missing[*]}; there is no sudo here, as root run: ${install[*]}"
    say "installing what is missing: ${missing[*]}"
    as_root "${install[@]}" >/dev/null 2>&1 && return
    # The package lists were never fetched, or are too old.
    silently as_root apt-get -qq update || die "cannot read the package lists: apt-get update failed"
    silently as_root "${install[@]}" || die "cannot install ${missing[*]}; the command was: ${install[*]}"
}

is_there() {
    case $1 in
    /*) [[ -e $1 ]] ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

as_root() {
    if ((EUID == 0)); then
        DEBIAN_FRONTEND=noninteractive "$@"
    else
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    fi
}

# Shows what a command says only where it fails.
silently() {
    local said
    said=$("$@" 2>&1) || {
        printf '%s\n' "$said" >&2
        return 1
    }
}

# What building needs: a compiler for the BPF programs, one for libbpf, which
# comes along as source, and the static libraries it is linked with.
need_build() {
    local libraries=/usr/lib/x86_64-linux-gnu
    [[ $(uname -m) == x86_64 ]] || die "this machine is $(uname -m); hostdiag is for x86_64 only, so far"
    PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
    command -v cargo >/dev/null || die "there is no cargo here; install Rust first, by rustup"
    need clang:clang gcc:gcc make:make pkg-config:pkg-config "$libraries/libc.a:libc6-dev" \
        "$libraries/libelf.a:libelf-dev" "$libraries/libz.a:zlib1g-dev"
}

# Where cargo puts the release build.
release_binary() {
    printf '%s\n' "${CARGO_TARGET_DIR:-$root/target}/x86_64-unknown-linux-gnu/release/hostdiag"
}

# need_sshd: ssh, and a sshd below target/remote/ that is unpacked, not installed: the
# package would start it.
need_sshd() {
    local folder=$root/target/remote libraries=/usr/lib/x86_64-linux-gnu
    need ssh:openssh-client nsenter:util-linux "$libraries/libwrap.so.0:libwrap0"
    [[ ! -x $folder/sshd/usr/sbin/sshd ]] || return 0
    mkdir -p "$folder"
    (cd "$folder" && silently apt-get download openssh-server) || die "cannot fetch openssh-server"
    dpkg -x "$folder"/openssh-server_*.deb "$folder/sshd" || die "cannot unpack openssh-server"
    rm "$folder"/openssh-server_*.deb
}
