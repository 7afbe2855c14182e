#!/bin/sh
# Makes a Debian sid root with CPython 3.14 and 3.15, their test suites and venv, for chroot(8).
#
# It takes the mirror from the machine's own apt configuration, changes nothing outside DIR and
# DIR.partial (but installs debootstrap if that is missing), and leaves a complete DIR or none.
# For people, and for whatever tests on those versions. Exit status 77 means: not possible here.
set -eu

VERSIONS='3.14 3.15'
# What debootstrap unpacks, and the archives it unpacks it from.
NEEDED_MB=1200

usage() {
    cat <<'END'
usage: make-root.sh DIR

Make a Debian sid root with CPython 3.14 and 3.15 in DIR: about a minute, 0.5 GB. If DIR is one
already, do nothing. Needs root, apt and a reachable Debian mirror in apt's configuration.

exit status: 0 DIR is ready; 77 cannot be made here (the last line says why); 1 failed; 2 wrong usage

example: tests/sid/make-root.sh build/sid && chroot build/sid python3.15 --version
END
}

say() { echo "sid: $*"; }

skip() {
    say "skipped: $*"
    exit 77
}

fail() {
    say "failed: $*" >&2
    exit 1
}

# Whether $1 is a finished root: both interpreters run and have their tests.
is_ready() {
    for version in $VERSIONS; do
        [ -x "$1/usr/bin/python$version" ] || return 1
        chroot "$1" "python$version" -c 'import ensurepip, venv, test.test_importlib' || return 1
    done 2>/dev/null
}

# The files that apt reads its sources from.
source_files() {
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list \
        /etc/apt/sources.list.d/*.sources; do
        [ -f "$file" ] && echo "$file"
    done
    return 0
}

# The URIs of the entries in file $1 that could be Debian's archive: packages, of a suite with one of
# Debian's names, with the component main. Both formats of sources.list(5). A foreign archive may
# well use the same names: is_debian tells.
candidates_in() {
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
    awk -v suites="$codename oldstable stable testing unstable sid" '
        function any(given, wanted,    words, n) {
            for (n = split(given, words); n > 0; n--)
                if (index(" " wanted " ", " " words[n] " ")) return 1
            return 0
        }
        function take(types, uris, given, components,    words, n, i) {
            if (!any(types, "deb") || !any(given, suites) || !any(components, "main")) return
            n = split(uris, words)
            for (i = 1; i <= n; i++) print words[i]
        }
        function end_of_stanza() {
            if (tolower(field["enabled"]) !~ /^(no|false|without|off|disable)$/)
                take(field["types"], field["uris"], field["suites"], field["components"])
            split("", field)
            name = ""
        }
        /^[ \t]*#/ { next }
        FILENAME ~ /[.]sources$/ {
            if ($0 ~ /^[ \t]*$/) { end_of_stanza(); next }
            if ($0 !~ /^[ \t]/) {
                name = tolower(substr($0, 1, index($0, ":") - 1))
                $0 = substr($0, index($0, ":") + 1)
            }
            gsub(/^[ \t]+|[ \t]+$/, "")
            field[name] = field[name] (field[name] == "" ? "" : " ") $0
            next
        }
        $1 == "deb" {
            sub(/#.*/, "")
            sub(/^[ \t]*deb[ \t]+/, "")
            sub(/^\[[^]]*\][ \t]*/, "")
            rest = $0
            sub(/^[^ \t]+[ \t]+[^ \t]+/, "", rest)
            take("deb", $1, $2, rest)
        }
        END { if (FILENAME ~ /[.]sources$/) end_of_stanza() }
    ' "$1"
}

# All candidates, each once, in the order of the files; lists of mirrors are opened.
candidates() {
    source_files | while read -r file; do candidates_in "$file"; done |
        while read -r uri; do
            case $uri in
            mirror+file:*) awk '/^[^#]/ { print $1 }' "${uri#mirror+file:}" ;;
            *) echo "$uri" ;;
            esac
        done | sed 's,/*$,,' | awk '!seen[$0]++'
}

# Whether the archive at $1 calls itself Debian's and has sid. debootstrap checks the signature.
is_debian() {
    release=$(mktemp)
    found=0
    /usr/lib/apt/apt-helper -qq -o APT::Sandbox::User=root -o Acquire::Retries=2 \
        download-file "$1/dists/sid/InRelease" "$release" >/dev/null 2>&1 &&
        grep -qx 'Origin: Debian' "$release" && grep -qx 'Codename: sid' "$release" ||
        found=1
    rm -f "$release"
    return "$found"
}

# Prints the first candidate that is Debian's archive.
mirror() {
    candidates | while read -r uri; do
        if is_debian "$uri"; then
            echo "$uri"
            break
        fi
    done
}

# debootstrap, installed if it is not there.
need_debootstrap() {
    command -v debootstrap >/dev/null && return
    say 'installing debootstrap'
    install='apt-get install -qq -y --no-install-recommends debootstrap'
    DEBIAN_FRONTEND=noninteractive $install >/dev/null 2>&1 ||
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive $install; } >/dev/null 2>&1 ||
        skip 'debootstrap is missing and apt-get cannot install it'
}

# The proxy that apt uses, for debootstrap's downloads too.
use_proxy_of_apt() {
    proxy=
    eval "$(apt-config shell proxy Acquire::http::Proxy)"
    [ -z "$proxy" ] || [ "$proxy" = DIRECT ] || export http_proxy="${http_proxy:-$proxy}"
}

# One line whenever debootstrap, whose output is read, begins something new.
show_phases() {
    phase=
    while read -r line; do
        case $line in
        'I: Retrieving InRelease'* | 'I: Retrieving Packages'*) now='reading the archive' ;;
        'I: Retrieving '*) now='downloading' ;;
        'I: Extracting '* | 'I: Unpacking '*) now='unpacking' ;;
        'I: Configuring '*) now='configuring' ;;
        *) now=$phase ;;
        esac
        [ "$now" = "$phase" ] || say "$now"
        phase=$now
    done
}

# Makes the root $2 from the mirror $1. In a mount namespace of its own, so that what debootstrap
# mounts inside is gone even if it is killed.
build() {
    packages=ca-certificates
    for version in $VERSIONS; do
        packages="$packages,python$version,python$version-venv,libpython$version-testsuite"
    done
    log=$2.log
    {
        unshare --mount debootstrap --variant=minbase --include="$packages" sid "$2" "$1" 2>&1 ||
            echo 'E: debootstrap failed'
    } | tee "$log" | show_phases
    if grep -q '^E: ' "$log"; then
        grep '^[EW]: ' "$log" >&2
        fail "debootstrap gave up, see $log"
    fi
    rm -f "$log" "$2"/var/cache/apt/archives/*.deb
}

main() {
    case ${1-} in
    -h | --help)
        usage
        exit 0
        ;;
    '' | -*)
        usage >&2
        exit 2
        ;;
    esac
    [ $# -eq 1 ] || { usage >&2 && exit 2; }
    root=${1%/}
    [ "$(id -u)" -eq 0 ] || skip 'needs root'
    if is_ready "$root"; then
        say "$root is ready"
        exit 0
    fi
    if [ -e "$root" ] && ! rmdir "$root" 2>/dev/null; then
        fail "$root is there, but is no such root: remove it first"
    fi
    command -v apt-get >/dev/null || skip 'no apt here: not a Debian machine'
    unshare --mount true 2>/dev/null || skip 'no leave to mount (CAP_SYS_ADMIN)'
    mkdir -p "$(dirname "$root")"
    free_mb=$(df -Pm "$(dirname "$root")" | awk 'NR == 2 { print $4 }')
    [ "$free_mb" -ge $NEEDED_MB ] || skip "$NEEDED_MB MB are needed, $free_mb MB are free"
    need_debootstrap
    use_proxy_of_apt
    from=$(mirror)
    [ -n "$from" ] || skip "no reachable Debian mirror with sid in apt's configuration"
    say "from $from"
    rm -rf --one-file-system "$root.partial"
    build "$from" "$root.partial"
    is_ready "$root.partial" || fail "$root.partial was made, but its interpreters do not run"
    mv "$root.partial" "$root"
    say "$root is ready, $(du -sm "$root" | cut -f1) MB"
}

main "$@"
