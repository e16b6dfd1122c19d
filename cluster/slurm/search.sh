#!/bin/bash
# A search on the nodes of a Slurm job:
#
#     sbatch --nodes=4 --gpus-per-node=8 --cpus-per-task=64 cluster/slurm/search.sh NAME RUNS_DIR [flags of nas/search.py]
#
# Submit it in the project's directory. cluster/slurm/README.md says what it does.
#SBATCH --job-name=architecture-search
#SBATCH --ntasks-per-node=1
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --no-kill
#SBATCH --open-mode=append
set -u

fail() { echo "error: $1" >&2; exit "${2:-2}"; }

[ -n "${SLURM_JOB_ID:-}" ] || fail "not in a Slurm job: submit this script with sbatch."
[ $# -ge 2 ] || fail "expected NAME RUNS_DIR [flags of nas/search.py]."
name=$1 runs=$2
shift 2
cd "$SLURM_SUBMIT_DIR" || fail "the directory that the job was submitted in is not on this node."
[ -x .venv/bin/ray ] || fail "no .venv in $PWD: submit the job in the project's directory, once make has made it there."
mkdir -p "$runs" || fail "the runs directory $runs cannot be made."

# Short, as Ray's sockets lie in it, and of this job and node alone.
scratch=/tmp/ray-$SLURM_JOB_ID-$SLURMD_NODENAME
token=$(realpath "$runs")/.ray-token-$SLURM_JOB_ID
head='' workers='' search='' preempted='' heard=''

# Ray on one node, for as long as its step lasts.
ray_node() {
  local scratch=/tmp/ray-$SLURM_JOB_ID-$SLURMD_NODENAME
  rm -rf "$scratch" && mkdir -m 700 "$scratch" || exit 1
  trap 'kill "$ray" 2>/dev/null' TERM USR2
  .venv/bin/ray start "$@" --temp-dir="$scratch" --num-cpus="$SLURM_CPUS_ON_NODE" --disable-usage-stats --block \
    > /dev/null &
  ray=$!
  # A signal ends a `wait` early.
  wait "$ray"
  wait "$ray"
  rm -rf "$scratch" || { sleep 2; rm -rf "$scratch"; }
}

# `ray_node` with these arguments, on the nodes that the flags before `--` choose.
start_ray() {
  local flags=()
  while [ "$1" != -- ]; do flags+=("$1"); shift; done
  shift
  exec srun --input=none --export=ALL --cpu-bind=none --no-kill --kill-on-bad-exit=0 --wait=0 "${flags[@]}" \
    bash -c "$(declare -f ray_node); ray_node \"\$@\"" ray_node "$@"
}

stop_ray() {
  trap - EXIT
  for step in $workers $head; do
    # With SIGTERM srun would have its tasks killed, and what they wrote in /tmp would stay.
    kill -USR2 "$step" 2>/dev/null
    wait "$step"
  done
  rm -f "$token"
}

trap stop_ray EXIT
# Before the time limit, and before a preemption where Slurm is to say so.
trap 'preempted=1 heard=1; [ -z "$search" ] || kill -USR1 "$search" 2>/dev/null' USR1
# Of scancel: for good.
trap 'heard=1; [ -z "$search" ] || kill -TERM "$search" 2>/dev/null' TERM

# What an earlier run of a requeued job may have left.
rm -rf "$token" "$scratch"
(umask 077 && .venv/bin/python -c 'import secrets; print(secrets.token_hex(32))' > "$token") ||
  fail "the runs directory $runs cannot be written." 1
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$token
unset RAY_AUTH_TOKEN RAY_ADDRESS

# Every port is a free one: other jobs may run on these nodes.
start_ray --relative=0 --nodes=1 --ntasks=1 -- --head --port=0 --include-dashboard=false &
head=$!
for ((second = 0; second < 300; second++)); do
  [ -s "$scratch/ray_current_cluster" ] && break
  kill -0 "$head" 2>/dev/null || fail "Ray did not start on $SLURMD_NODENAME." 1
  sleep 1
done
address=$(cat "$scratch/ray_current_cluster") || fail "Ray did not start on $SLURMD_NODENAME within 300 s." 1
others=$((SLURM_JOB_NUM_NODES - 1))
if [ "$others" -gt 0 ]; then
  start_ray --relative=1 --nodes="$others" --ntasks="$others" -- --address="$address" &
  workers=$!
fi

# A job that was requeued, or is submitted again, goes on with what its search has done.
if [ -z "$preempted" ]; then
  cluster/begin_or_resume.sh "$name" "$runs" "$@" --address "$address" &
  search=$!
  # A signal ends a `wait` early.
  while
    heard=''
    wait "$search"
    code=$?
    [ -n "$heard" ]
  do :; done
else
  code=143
fi

stop_ray
# 138 is a search that had not taken its signals yet.
if [ -n "$preempted" ] && { [ "$code" = 143 ] || [ "$code" = 138 ]; }; then
  scontrol requeue "$SLURM_JOB_ID" || fail "the job cannot be requeued: submit it again, and the search goes on." "$code"
fi
exit "$code"
