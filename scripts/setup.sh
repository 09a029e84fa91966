# Sourced by ./run and ./test: finds what they need on this machine, and installs what is missing.
# apt on Debian and Ubuntu, brew on macOS; elsewhere it says what to install.

say() { printf '\n== %s\n' "$*"; }

fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

has() { command -v "$1" > /dev/null 2>&1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# install WHAT APT_PACKAGES BREW_PACKAGES: the packages are lists of words; WHAT goes into the sentence.
install() {
    if has apt-get; then
        say "Installing $1 (apt-get install $2)"
        [ "$(id -u)" = 0 ] || has sudo || fail "$1 is missing; as root: apt-get install $2"
        [ -n "${apt_is_fresh:-}" ] || as_root apt-get update -q
        apt_is_fresh=yes
        # shellcheck disable=SC2086 # a list of words
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $2
    elif has brew && [ -n "$3" ]; then
        say "Installing $1 (brew install $3)"
        # shellcheck disable=SC2086 # a list of words
        brew install $3
    else
        fail "$1 is missing, and there is neither apt-get nor brew to install it with; please install it (Debian calls it $2)"
    fi
}

need_rust() {
    # A fresh rustup puts cargo where only new shells look.
    has cargo || PATH="$HOME/.cargo/bin:$PATH"
    has cargo || fail "Rust is missing; install 1.95 or newer from https://rustup.rs, then start this again"
}

# zstd, mimalloc and ring are partly C.
need_c_compiler() {
    has cc && return
    [ "$(uname)" != Darwin ] || fail "a C compiler is missing; run: xcode-select --install"
    install "a C compiler" "gcc libc6-dev" ""
}

# The folder of the server's programs, if they are on this machine.
postgres_bin() {
    local folder
    for folder in "${TRACEDESK_PG_BIN:-}" /usr/lib/postgresql/*/bin /usr/pgsql-*/bin \
        /opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin \
        /Applications/Postgres.app/Contents/Versions/*/bin; do
        if [ -x "$folder/initdb" ]; then
            echo "$folder"
            return
        fi
    done
    has initdb && dirname "$(command -v initdb)"
}

# The server's programs only: tracedesk makes its own cluster, so the package must not start one for the system.
need_postgres() {
    postgres_bin > /dev/null && return
    if has apt-get && has_root; then
        as_root mkdir -p /etc/postgresql-common
        [ -e /etc/postgresql-common/createcluster.conf ] ||
            echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.conf > /dev/null
    fi
    install "Postgres" postgresql postgresql@17
}

has_root() { [ "$(id -u)" = 0 ] || has sudo; }
