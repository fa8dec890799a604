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
