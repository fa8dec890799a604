# shellcheck shell=bash
# shellcheck source=scripts/lib.sh
# Sourced after lib.sh by what runs hostdiag beside its peers on this machine.
# shellcheck disable=SC2154 # root is lib.sh's

# beside_peers SCRIPT WORDS...: with the peers installed and the kernel's tracing
# files in place, both of them also where the host has not mounted them. SCRIPT
# runs with hostdiag and the calls of tests/lab/calls.c as its last words; beside
# these lie the timers of tests/lab/timers.c.
beside_peers() {
    local temp status=0
    need bpftrace:bpftrace funclatency-bpfcc:bpfcc-tools /usr/sbin/opensnoop:libbpf-tools \
        perf:linux-perf gcc:gcc unshare:util-linux
    temp=$(mktemp -d)
    gcc -O2 -Wall -static "$root/tests/lab/calls.c" -o "$temp/calls"
    gcc -O2 -Wall -static "$root/tests/lab/timers.c" -o "$temp/timers"
    # shellcheck disable=SC2016 # the inner shell's
    unshare --mount bash -ec '
        [[ -e /sys/kernel/tracing/events ]] || mount -t tracefs tracefs /sys/kernel/tracing
        [[ -e /sys/kernel/debug/tracing ]] || mount -t debugfs debugfs /sys/kernel/debug
        exec "$@"' bash "$@" "$(release_binary)" "$temp/calls" || status=$?
    rm -rf "$temp"
    return $status
}

# need_inferno: puts inferno's commands, of the version that is linked in, on PATH;
# built once into the user's cache.
need_inferno() {
    local version folder
    version=$(awk '$0 == "name = \"inferno\"" { getline; gsub(/[^0-9.]/, ""); print }' "$root/Cargo.lock")
    folder=${XDG_CACHE_HOME:-$HOME/.cache}/hostdiag/inferno-$version
    if [[ ! -x $folder/bin/inferno-flamegraph ]]; then
        say "building inferno $version"
        silently cargo install --quiet --locked --root "$folder" --version "$version" inferno ||
            die "cannot build inferno"
    fi
    PATH=$folder/bin:$PATH
}
