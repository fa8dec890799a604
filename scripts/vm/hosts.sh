# shellcheck shell=bash
# Sourced after lib.sh: hosts of scripts/vm/host in the background, reached by SSH as
# users reach theirs, by a name in the SSH configuration.
# shellcheck disable=SC2154 # lab and root are lib.sh's

# begin_hosts FOLDER: an SSH configuration and keys of their own, and an ssh in front of
# PATH that reads them in the place of the user's.
begin_hosts() {
    hosts=$1
    need ssh:openssh-client ssh-keygen:openssh-client python3:python3
    rm -rf "$hosts"
    mkdir -p "$hosts/bin"
    ssh-keygen -q -t ed25519 -N "" -C replay -f "$hosts/key"
    printf '#!/bin/sh\nexec %q -F %q "$@"\n' "$(command -v ssh)" "$hosts/ssh_config" >"$hosts/bin/ssh"
    chmod +x "$hosts/bin/ssh"
    export PATH=$hosts/bin:$PATH
    declare -gA boot_of=()
    trap end_hosts EXIT
    trap 'exit 130' INT TERM
}

end_hosts() {
    ((${#boot_of[@]} == 0)) || kill "${boot_of[@]}" 2>/dev/null || true
    wait
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# boot_host NAME ROLE SUITE
boot_host() {
    local name=$1 folder=$hosts/$1 port
    port=$(free_port)
    mkdir "$folder"
    cp "$hosts/key.pub" "$folder/"
    ssh-keygen -q -t ed25519 -N "" -C "$name" -f "$folder/host-key"
    printf '[127.0.0.1]:%s %s\n' "$port" "$(<"$folder/host-key.pub")" >>"$hosts/known_hosts"
    cat >>"$hosts/ssh_config" <<END
Host $name
    HostName 127.0.0.1
    Port $port
    User root
    IdentityFile $hosts/key
    IdentitiesOnly yes
    UserKnownHostsFile $hosts/known_hosts
END
    "$lab/host" "$2" "$3" "$port" "$folder" >"$folder/boot" 2>&1 &
    boot_of[$name]=$!
}

# await_host NAME UNIT...: until its SSH server answers and the units run.
await_host() {
    local name=$1 tries
    shift
    for ((tries = 0; tries < 180; tries++)); do
        kill -0 "${boot_of[$name]}" || break
        ! ssh -o BatchMode=yes -o ConnectTimeout=5 "$name" systemctl --quiet is-active "$@" 2>/dev/null || return 0
        sleep 1
    done
    cat "$hosts/$name"/{boot,console} >&2 || true
    die "$name does not come up; what it said is above"
}
