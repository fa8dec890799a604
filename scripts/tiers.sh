# shellcheck shell=bash
# Sourced by scripts/test: what each tier runs. Tests report as `test result:`
# (cargo), `vm: ROLE:` (the kernel lab), and everything else as `check: NAME:`.
# shellcheck disable=SC2154 # root is lib.sh's

# For the table.
# shellcheck disable=SC2034 # scripts/test prints it
declare -A what=(
    [build]="static release build, bootstrap"
    [unit]="format, lints, licences, unit and property tests"
    [goldens]="command line against stored input"
    [browser]="reports in headless Chromium"
    [live]="this machine's kernel, as root"
    [remote]="other hosts by ssh, and broken ones"
    [fuzz]="every parser of foreign input"
    [vm]="every kernel of the lab"
    [systemd]="systemd guest"
    [replay]="two hosts over SSH, with planted causes"
    [package]="packages and their life on a host, metrics, playbook"
    [bench]="benchmarks, a short run; peers beside"
)

# Only catches hangs.
limit=(timeout --kill-after=10 1200)

check() {
    local name=$1
    shift
    printf '== %s: %s\n' "$name" "$*"
    if "$@"; then
        printf 'check: %s: ok\n' "$name"
    else
        printf 'check: %s: FAILED\n' "$name"
        return 1
    fi
}

cargo_test() {
    printf '== cargo test %s\n' "$*"
    "${limit[@]}" cargo test --locked --no-fail-fast "$@"
}

needs_root() { ((EUID == 0)) || die "this tier needs root: sudo scripts/test $1"; }

tier_build() {
    local status=0
    need_build
    check "release build" scripts/hostdiag --version || return 1
    check "static" is_static || status=1
    check "a second start calls no cargo" starts_at_once || status=1
    check "from elsewhere, by a symbolic link" starts_elsewhere || status=1
    check "tests build" cargo test --locked --workspace --no-run || status=1
    check "fuzz targets build" scripts/fuzz --build || status=1
    return $status
}

is_static() {
    local binary kind
    binary=$(release_binary)
    need file:file
    kind=$(file -b "$binary")
    printf '%s: %s bytes, %s\n' "$binary" "$(stat -c %s "$binary")" "$kind"
    [[ $kind == *"statically linked"* || $kind == *static-pie* ]]
}

# With a cargo in front that would fail the start.
starts_at_once() {
    local folder status=0
    folder=$(mktemp -d)
    printf '#!/bin/sh\nexit 99\n' >"$folder/cargo"
    chmod +x "$folder/cargo"
    PATH=$folder:$PATH scripts/hostdiag --version || status=1
    rm -r "$folder"
    return $status
}

starts_elsewhere() {
    local folder status=0
    folder=$(mktemp -d)
    ln -s "$root/scripts/hostdiag" "$folder/hostdiag"
    # Status 2, of the program itself: the arguments arrive, and no more.
    (cd "$folder" && ./hostdiag --no-such-option "two words" 2>err >out) && status=1
    grep -q -- "--no-such-option" "$folder/err" && [[ ! -s $folder/out ]] || status=1
    rm -r "$folder"
    return $status
}

tier_unit() {
    local status=0
    need_build
    need git:git shellcheck:shellcheck python3:python3
    check "format" cargo fmt --all --check || status=1
    check "format of fuzz targets" cargo fmt --manifest-path tests/fuzz/Cargo.toml --check || status=1
    check "shellcheck" shell_lints || status=1
    check "licences" scripts/licenses --check || status=1
    check "clippy" cargo clippy --locked --workspace --all-targets --quiet -- -D warnings || status=1
    cargo_test --workspace --lib --bins || status=1
    cargo_test --workspace --doc || status=1
    cargo_test -p hostdiag --test tidy || status=1
    return $status
}

# Every file that begins as a shell script, or says which shell it is for.
shell_lints() {
    local files
    mapfile -t files < <(git ls-files -- scripts .ci |
        xargs grep -lE -m1 '^#!/(usr/bin/env bash|bin/(ba)?sh)|^# shellcheck shell=')
    shellcheck --external-sources "${files[@]}"
}

tier_goldens() {
    local status=0
    need_build
    cargo_test -p hostdiag --test cli || status=1
    [[ ! $long ]] || check "pprof reads ours" pprof_reads || status=1
    return $status
}

# By the tool that the format is of.
pprof_reads() {
    local profile read
    need go:golang-go
    profile=$(mktemp)
    scripts/hostdiag report --format pprof tests/recordings/trace/push-stable.hd >"$profile"
    read=$(go tool pprof -traces "$profile")
    rm "$profile"
    printf '%s\n' "$read"
    # The stack as the text of this recording has it.
    [[ $read == *717*tcp_push_one*tcp_sendmsg_locked*do_sendfile*entry_SYSCALL_64_after_hwframe* ]]
}

# Which prints a line for each check.
tier_browser() {
    need_build
    scripts/hostdiag --version || return 1
    scripts/browser
}

tier_live() {
    needs_root live
    need_build
    need ip:iproute2 ethtool:ethtool
    # One at a time: some look at what all of the kernel has loaded.
    cargo_test -p hostdiag --test live -- --test-threads=1
}

tier_remote() {
    needs_root remote
    need_build
    need sudo:sudo tcsh:tcsh fish:fish busybox:busybox-static strip:binutils
    need_sshd
    cargo_test -p hostdiag --test remote
}

tier_fuzz() {
    need_build
    scripts/fuzz ${long:+120}
}

# The program that users run, in guests; the tests' own build is for the desk.
guests() {
    need_build
    scripts/hostdiag --version || return 1
    HOSTDIAG_PROGRAM=$(release_binary) HOSTDIAG_LONG=$long "$@"
}

# Of the full kernel the gate wants its cards alone.
tier_vm() {
    local status=0
    needs_root vm
    if [[ $long ]]; then
        guests scripts/vm/run all || status=1
        guests scripts/vm/run all --peers scripts/bench/agree-beside functions || status=1
        guests scripts/vm/run oldest,no-fprobe,stable,newest locked:: || status=1
        return $status
    fi
    guests scripts/vm/run oldest,no-fprobe,stable,newest || status=1
    guests scripts/vm/run hardware hardware:: role_facts || status=1
    return $status
}

# Debian 12's own kernel; at length all of them, and what takes minutes on two.
tier_systemd() {
    local status=0
    needs_root systemd
    guests scripts/vm/systemd "no-fprobe${long:+,newest}" || status=1
    [[ ! $long ]] || long="" guests scripts/vm/systemd oldest,stable,hardware || status=1
    return $status
}

tier_replay() {
    local status=0
    needs_root replay
    need_build
    scripts/replay || status=1
    scripts/replay causes || status=1
    return $status
}

# At length the program is built a second time as well, to compare its bytes.
tier_package() {
    local status=0
    needs_root package
    need_build
    scripts/package/check ${long:+--twice} || status=1
    scripts/metrics/check || status=1
    scripts/rollout/check || status=1
    return $status
}

tier_bench() {
    local status=0
    needs_root bench
    need_build
    check "bench offload" scripts/bench/offload --smoke || status=1
    check "bench watch" scripts/bench/watch --smoke || status=1
    check "bench tracing" scripts/bench/tracing --smoke || status=1
    check "bench timers" scripts/bench/timers --smoke || status=1
    check "bench profile" scripts/bench/profile --smoke || status=1
    check "bench compare" scripts/bench/compare --smoke || status=1
    check "agreement with peers" scripts/bench/agree || status=1
    return $status
}
