#!/usr/bin/env bash
# Runs every test of Daybook and says how many there are. See ./test.sh --help.
set -euo pipefail
cd "$(dirname "$0")"

usage() {
    cat <<'TEXT'
Runs every test of Daybook: units, contract suites, stories over the whole shop, checks of the house, doc tests.

    ./test.sh                 all tests
    ./test.sh an_order        only tests whose name contains `an_order`

On Debian and Ubuntu it first installs what is missing (a C compiler, make, git, PostgreSQL, chromium, libfaketime, nginx, Node.js with npm and
Python with venv), through
apt-get, with sudo unless you are root. Rust must be there: https://rustup.rs. With cargo-nextest the tests run faster; without it, `cargo test` runs them.

Tests run in the release profile, so that what is tested is what ships. A test that needs something this machine does not
have prints why it was skipped. The last line counts: N passed, N failed, N skipped.
TEXT
}

say() { printf '\n== %s\n' "$*"; }

install() {
    say "installing $*"
    command -v apt-get >/dev/null || { echo "there is no apt-get here; please install: $*" >&2; return 1; }
    local as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

install_missing() {
    local missing=()
    command -v cc >/dev/null || missing+=(gcc libc6-dev)
    command -v make >/dev/null || missing+=(make)
    command -v git >/dev/null || missing+=(git)
    [ -n "$(ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null)" ] || command -v initdb >/dev/null || missing+=(postgresql)
    [ ${#missing[@]} -eq 0 ] || install "${missing[@]}"
    # Only a story or two need each of these, so their absence is not a failure.
    command -v chromium chromium-browser google-chrome >/dev/null || install chromium || true
    [ -n "$(ls /usr/lib/*/faketime/libfaketime.so.1 2>/dev/null)" ] || install libfaketime || true
    [ -x /usr/sbin/nginx ] || install nginx-light || true
    { command -v node && command -v npm; } >/dev/null || install nodejs npm || true
    python3 -c 'import ensurepip' 2>/dev/null || install python3-venv || true
}

# Adds up what the two runners report: `Summary [1s] 9 tests run: 8 passed, 1 failed, 0 skipped` of nextest, and
# `test result: ok. 8 passed; 1 failed; 0 ignored` of cargo test.
count() { # LOG WORD...
    local log=$1 pattern
    shift
    pattern=$(IFS='|'; echo "$*")
    sed 's/\x1b\[[0-9;]*m//g' "$log" | { grep -E '^ *Summary \[|^test result:' || true; } \
        | { grep -oE "[0-9]+ ($pattern)" || true; } | awk '{ n += $1 } END { print n + 0 }'
}

case "${1:-}" in -h | --help) usage; exit 0 ;; esac
install_missing
command -v cargo >/dev/null || { echo "Rust is missing: see https://rustup.rs" >&2; exit 1; }

log=$(mktemp)
trap 'rm -f "$log"' EXIT
report=target/nextest/default/report.xml
status=0

# Simulated time needs a feature of tokio that does not ship, and features go to everything that is built together. Run by
# itself, the simulation leaves the rest built as it ships.
run_tests() { # WHICH-PACKAGES ... -- FILTER ...
    local packages=()
    while [ "$1" != -- ]; do packages+=("$1"); shift; done
    shift
    if cargo nextest --version >/dev/null 2>&1; then
        say "tests, with cargo nextest: ${packages[*]}"
        rm -f "$report"
        cargo nextest run --release --locked "${packages[@]}" --no-fail-fast --no-tests=pass "$@" 2>&1 | tee -a "$log" || status=1
        grep -a '^skipped: ' "$report" >>"$log" || true
    else
        say "tests, with cargo test: ${packages[*]}"
        cargo test --release --locked "${packages[@]}" --all-targets --no-fail-fast -- --show-output "$@" 2>&1 | tee -a "$log" || status=1
    fi
}
run_tests --workspace --exclude simulation -- "$@"
say "doc tests"
cargo test --release --locked --workspace --exclude simulation --doc --no-fail-fast -- "$@" 2>&1 | tee -a "$log" || status=1
run_tests --package simulation -- "$@"

# Of nextest, `skipped: REASON` stands in its report only.
reasons=$(grep -a '^skipped: ' "$log" | sort || true)
if [ -n "$reasons" ]; then
    say "skipped here"
    echo "$reasons"
fi
self_skipped=$(printf '%s' "$reasons" | grep -c . || true)
failed=$(count "$log" failed "timed out" "exec failed")
passed=$(($(count "$log" passed) - self_skipped))
skipped=$(($(count "$log" skipped ignored) + self_skipped))
[ "$failed" -eq 0 ] || status=1
[ $((passed + self_skipped)) -gt 0 ] || status=1
printf '\n%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
exit "$status"
