# shellcheck shell=bash
# Sourced: builds what runs in the guests.

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
}

stripped() {
    local path
    path=$(jq -r --arg kind "$2" --arg name "$3" 'select(.reason == "compiler-artifact" and
        .target.kind == [$kind] and .target.name == $name and .executable) | .executable' <<<"$1")
    [[ -x $path ]] || die "cargo named no $2 '$3'"
    # Tests of symbols need the symbol table: only debug information goes.
    strip --strip-debug -o "$4" "$path"
}
