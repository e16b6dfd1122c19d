#!/bin/bash
# Begins the search NAME, or goes on with it where it has been begun: for schedulers that start a job again.
#
#     cluster/begin_or_resume.sh NAME RUNS_DIR [flags of nas/search.py, but for --name, --resume and --config]
set -u

fail() { echo "error: $1" >&2; exit 2; }

[ $# -ge 2 ] || fail "expected NAME RUNS_DIR [flags of nas/search.py]."
name=$1 runs=$2
shift 2
case " $* " in
  *" --config"[\ =]*) fail "--config is not for a search that may have to go on: give the settings as flags." ;;
esac
case $runs in
  /*) ;;
  *) runs=$PWD/$runs ;;
esac
cd "$(dirname "$0")/.." || exit 1
[ -x .venv/bin/python ] || fail "no .venv in $PWD: make it there with make lint or make test."
begin=--name
if [ -e "$runs/$name/ledger.db" ] || [ -e "$runs/$name/ledger.url" ]; then begin=--resume
# One whose checkpoints are at a storage may have been begun on another machine, and its ledger is in the database.
elif [ -n "${NAS_LEDGER_URL:-}" ] && .venv/bin/python nas/status.py "$name" --runs-dir "$runs" > /dev/null 2>&1; then
  begin=--resume
fi
exec .venv/bin/python nas/search.py "$begin" "$name" "$@" --runs-dir "$runs"
