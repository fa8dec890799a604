# shellcheck shell=bash
# Sourced: builds what runs in the guests, and the initramfs that holds it.

# build_for_guest TARGET sets tests and program to the static test binary of the
# test target and the hostdiag program, as cargo itself names their paths,
# without debug information, which would only fill the guest's memory.
build_for_guest() {
    local target=$1 messages bins=$root/target/vm/bin-$1
    need cargo:cargo jq:jq strip:binutils
    messages=$(cd "$root" && cargo test --no-run -p hostdiag --test "$target" \
        --profile "${HOSTDIAG_PROFILE:-dev}" --message-format=json-render-diagnostics) ||
        die "the tests do not build"
    mkdir -p "$bins"
    tests=$bins/tests program=$bins/hostdiag
    stripped "$messages" test "$target" "$tests"
    stripped "$messages" bin hostdiag "$program"
    need clang:clang
    xdp=$bins/xdp_pass.o
    clang -O2 -g -target bpf -c "$root/tests/lab/xdp_pass.bpf.c" -o "$xdp"
}

stripped() {
    local path
    path=$(jq -r --arg kind "$2" --arg name "$3" 'select(.reason == "compiler-artifact" and
        .target.kind == [$kind] and .target.name == $name and .executable) | .executable' <<<"$1")
    [[ -x $path ]] || die "cargo named no $2 '$3'"
    # Tests of symbols need the symbol table: only debug information goes.
    strip --strip-debug -o "$4" "$path"
}

# Modules of tests are named after roles; those of the other roles are skipped.
skips() {
    local other
    for other in $(all_roles); do
        [[ $other == "$1" ]] || printf -- '--skip %s:: ' "${other//-/_}"
    done
}

guest_env() {
    printf 'export HOSTDIAG_ROLE=%s HOSTDIAG_BIN=/usr/bin/hostdiag RUST_BACKTRACE=1\n' "$1"
    printf "HOSTDIAG_GUEST_DRIVERS='%s'\n" "virtio_pci virtio_net vmxnet3 $(role_lines module "$1" | xargs)"
    printf "export HOSTDIAG_GUEST_SKIP='%s' HOSTDIAG_GUEST_TESTS='%s'\n" "$(skips "$1")" "$2"
}

# guest ROLE KERNEL OUT SCRIPT TESTS [ENV_LINE]: the initramfs OUT/initramfs that
# runs SCRIPT.
guest() {
    { guest_env "$1" "$5" && echo "${6:-HOSTDIAG_GUEST_SHELL=}"; } >"$3/env"
    "$lab/initramfs" "$1" "$2" "$3/initramfs" "$lab/guest-init=/init" "$3/env=/guest.env" \
        "$4=/run-me" "$tests=/usr/bin/vm-tests" "$program=/usr/bin/hostdiag" \
        "$xdp=/lib/hostdiag/xdp_pass.o"
}
