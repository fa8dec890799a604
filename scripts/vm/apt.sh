# shellcheck shell=bash
# Sourced after lib.sh: packages of Debian suites that this machine need not have.
# shellcheck disable=SC2154 # cache is lib.sh's

# apt_in SUITE COMMAND...: apt on a state of its own, blind to this machine's
# sources and installed packages.
apt_in() {
    local state=$cache/apt/$1 command=$2
    shift 2
    "$command" -qq -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=- \
        -o Dir::Etc::preferencesparts=/dev/null -o Dir::State::lists="$state/lists" \
        -o Dir::State::status=/dev/null -o Dir::Cache="$state/cache" \
        -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none \
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
        -o Acquire::Retries=3 "$@"
}

refresh_suite() {
    local state=$cache/apt/$1
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    # Roles share suites: one look an hour is enough.
    [[ $(find "$state/sources.list" -mmin -60 2>/dev/null) ]] && return 0
    rm -f "$state/sources.list"
    suite_source "$1" >"$state/sources.new" || return 1
    cp "$state/sources.new" "$state/sources.list"
    # Without Error-Mode apt-get update calls an unreachable mirror a warning.
    apt_in "$1" apt-get update -o APT::Update::Error-Mode=any >&2 ||
        { rm -f "$state/sources.list" && return 1; }
}
