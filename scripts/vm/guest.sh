# shellcheck shell=bash
# shellcheck source=scripts/vm/lib.sh
# Sourced after lib.sh: builds what runs in a guest, puts it into an initramfs,
# boots it and says how it went.
# shellcheck disable=SC2154 # lab and root are lib.sh's

# build_for_guest TARGET sets tests and program to the static test binary of the
# test target and the hostdiag program, as cargo itself names their paths,
# without debug information, which would only fill the guest's memory.
# HOSTDIAG_PROGRAM is a hostdiag that takes the place of the one built with the
# tests: the release, which is what users run, and faster in emulation.
build_for_guest() {
    local target=$1 messages bins=$root/target/vm/bin-$1
    need cargo:cargo jq:jq strip:binutils
    messages=$(cd "$root" && cargo test --no-run -p hostdiag --test "$target" \
        --profile "${HOSTDIAG_PROFILE:-dev}" --message-format=json-render-diagnostics) ||
        die "the tests do not build"
    mkdir -p "$bins"
    tests=$bins/tests program=$bins/hostdiag
    stripped "$messages" test "$target" "$tests"
    if [[ ${HOSTDIAG_PROGRAM:-} ]]; then
        cp "$HOSTDIAG_PROGRAM" "$program"
    else
        stripped "$messages" bin hostdiag "$program"
    fi
    need clang:clang gcc:gcc /usr/lib/x86_64-linux-gnu/libc.a:libc6-dev
    xdp=$bins/xdp_pass.o af_xdp=$bins/af_xdp stacks=$bins/stacks calls=$bins/calls
    timers=$bins/timers
    profiled=$bins/profiled
    gcc -O2 -Wall -static "$root/tests/lab/af_xdp.c" -o "$af_xdp"
    gcc -O0 -fno-omit-frame-pointer -Wall -static "$root/tests/lab/stacks.c" -o "$stacks"
    gcc -O0 -fno-omit-frame-pointer -Wall -static "$root/tests/lab/profiled.c" -o "$profiled"
    gcc -O2 -Wall -static "$root/tests/lab/calls.c" -o "$calls"
    gcc -O2 -Wall -static "$root/tests/lab/timers.c" -o "$timers"
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

# skips ROLE TESTS: modules of tests are named after roles; those of the other
# roles are skipped; where none is named, those that leave the kernel unusable, and
# the long ones unless HOSTDIAG_LONG.
skips() {
    local other
    for other in $(all_roles); do
        [[ $other == "$1" ]] || printf -- '--skip %s:: ' "${other//-/_}"
    done
    [[ $2 ]] || printf -- '--skip locked:: '
    [[ $2 || ${HOSTDIAG_LONG:-} ]] || printf -- '--skip long:: '
}

# What guest-init and guest-tests are told, and the tests themselves.
guest_env() {
    printf 'export HOSTDIAG_ROLE=%s HOSTDIAG_BIN=/usr/bin/hostdiag RUST_BACKTRACE=1\n' "$1"
    printf "HOSTDIAG_GUEST_DRIVERS='%s'\n" "virtio_pci virtio_net vmxnet3 $(role_lines module "$1" | xargs)"
    printf "export HOSTDIAG_GUEST_SKIP='%s' HOSTDIAG_GUEST_TESTS='%s'\n" "$(skips "$1" "$2")$not_here" "$2"
    printf 'HOSTDIAG_GUEST_SHELL=%s\n' "${HOSTDIAG_GUEST_SHELL:-}"
}

# pack ROLE KERNEL OUT INIT SCRIPT TESTS: OUT/initramfs, whose INIT runs SCRIPT.
pack() {
    guest_env "$1" "$6" >"$3/env"
    "$lab/initramfs" "$1" "$2" "$3/initramfs" "$4=/init" "$lab/guest-verdict=/guest-verdict" \
        "$3/env=/guest.env" "$5=/run-me" "$tests=/usr/bin/vm-tests" "$program=/usr/bin/hostdiag" \
        "$xdp=/lib/hostdiag/xdp_pass.o" "$af_xdp=/lib/hostdiag/af_xdp" \
        "$stacks=/lib/hostdiag/stacks" "$profiled=/lib/hostdiag/profiled" \
        "$calls=/lib/hostdiag/calls" "$timers=/lib/hostdiag/timers" "${extra[@]}"
}

# What one kind of guest has beside the others: files of its initramfs, options
# of QEMU; and tests that belong elsewhere, as libtest is told.
extra=()
qemu_options=()
not_here=""

# run_guest ROLE NAME INIT SCRIPT TESTS: prints the verdict, and on failure all
# that the guest said; keeps that in target/vm/NAME.
run_guest() {
    local role=$1 name=$2 kernel out=$root/target/vm/$2 started=$SECONDS status=0
    rm -rf "$out"
    mkdir -p "$out"
    kernel=$("$lab/fetch" "$role") || return 1
    pack "$role" "$kernel" "$out" "$3" "$4" "$5" || return 1
    "$lab/boot" "$role" "$kernel" "$out/initramfs" "$out" "${qemu_options[@]}" || status=1
    rm -f "$out/initramfs"
    if ((status)); then
        sed "s/^/$name console| /" "$out/console"
        # awk ends the last line, which a guest that was killed owes.
        awk -v name="$name" '{ print name " output| " $0 }' "$out/output"
    fi
    say "$name: $(<"$out/verdict") in $((SECONDS - started)) s on $(<"$kernel/release")"
    return $status
}

# each_role FUNCTION ARGUMENT...: FUNCTION ROLE ARGUMENT... for each of $roles,
# HOSTDIAG_VM_JOBS (2) at a time: a guest keeps one core of this machine busy.
each_role() {
    local role running=0 status=0
    for role in "${roles[@]}"; do
        if ((running == ${HOSTDIAG_VM_JOBS:-2})); then
            wait -n || status=1
            running=$((running - 1))
        fi
        "$1" "$role" "${@:2}" &
        running=$((running + 1))
    done
    while ((running--)); do wait -n || status=1; done
    return $status
}
