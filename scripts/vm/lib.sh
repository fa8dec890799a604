# shellcheck shell=bash
# Sourced by the scripts of the kernel lab: paths and roles.

lab=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib.sh
. "$lab/../lib.sh"
speaker=vm
# Outside the clone, so that a fresh clone does not fetch kernels again.
cache=${HOSTDIAG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hostdiag}
export lab cache speaker

# Whether the machine's package lists were ever fetched: one line for each list.
packages_known() {
    # shellcheck disable=SC2016 # apt's variables, not ours
    apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages'
}

# role_lines KEYWORD ROLE: what the roles file says, without the first two words.
role_lines() {
    awk -v keyword="$1" -v role="$2" '$1 == keyword && $2 == role {
        $1 = ""; $2 = ""; sub(/^ +/, ""); print }' "$lab/roles"
}

all_roles() { awk '$1 == "kernel" && !seen[$2]++ { print $2 }' "$lab/roles"; }

known_role() {
    grep -qx -- "$1" <(all_roles) || die "no role '$1'; there are: $(all_roles | xargs)"
}

# Sources of one suite at the mirror that this machine itself uses: security
# suites live at an address of their own.
suite_source() {
    local suite=$1 known uri keyring=()
    known=$(packages_known)
    [[ $known ]] || { apt-get -qq update >&2 && known=$(packages_known); }
    if [[ $suite == *-security ]]; then
        uri=$(awk '$1 ~ /-security$/ { print $2; exit }' <<<"$known")
    else
        uri=$(awk '$1 !~ /-(security|updates|backports)$/ { print $2; exit }' <<<"$known")
    fi
    [[ $uri ]] || return 1
    # The keyring of all Debian releases, where there is one, knows suites that
    # the machine's own sources need not name; else apt's default keys hold.
    keyring=(/usr/share/keyrings/debian-archive-keyring.*)
    [[ -e ${keyring[0]} ]] && keyring=(" [signed-by=${keyring[0]}]") || keyring=("")
    printf 'deb%s %s %s main\n' "${keyring[0]}" "$uri" "$suite"
}
