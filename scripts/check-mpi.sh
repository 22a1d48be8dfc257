#!/usr/bin/env bash
# Several processes by MPI: that every number of them trains to the same bytes, and that whatever ends one of them ends all,
# with one line and a status.
#
#     scripts/check-mpi.sh           (Open MPI and MPICH; Tiny at side 224 with 1 to 4 ranks; kills, resumes, faults)
#     scripts/check-mpi.sh --ci      (Open MPI; a toy learner with 1, 2 and 3 ranks, Tiny at side 64 with 1 and 3)
#     scripts/check-mpi.sh --group   (both; what processes send each other and how they end, without training)
#     scripts/check-mpi.sh --install (Open MPI; only installs what is missing)
#
# What is missing of MPI and libclang is installed by apt-get, where that works. Each MPI has a target folder of its own, as
# mpi-sys does not see a changed MPICC. Nothing waits for ever: each mpirun has a time limit.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=${1:---all}
if [[ $# -gt 1 || ! $mode =~ ^--(all|ci|group|install)$ ]]; then sed -n '2,13p' "$0" | cut -c3- >&2; exit 2; fi
mpis=(openmpi mpich)
if [[ $mode == --ci || $mode == --install ]]; then mpis=(openmpi); fi

# Open MPI refuses root, and three ranks on two cores, and gives each of two ranks one core; MPICH does none of that
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
# a commit would make each one a new build
export SAM2UNET_COMMIT=${SAM2UNET_COMMIT:-check-mpi}
targets=$(realpath -m "${CARGO_TARGET_DIR:-target}")
out=$(mktemp -d)
clean() {
    local status=$? left
    left=$(jobs -rp)
    # shellcheck disable=SC2086
    if [[ -n $left ]]; then kill $left 2>/dev/null || true; fi
    rm -rf "$out"
    exit "$status"
}
trap clean EXIT
step() { printf '\n-- %s\n' "$*"; }
fail() {
    printf 'error: %s\n' "$*" >&2
    if [[ -s $out/said ]]; then sed 's/^/    /' "$out/said" >&2; fi
    exit 1
}

# ---- installing and building

missing() {
    local mpi
    for mpi in "${mpis[@]}"; do
        command -v "mpicc.$mpi" >/dev/null && command -v "mpirun.$mpi" >/dev/null && continue
        if [[ $mpi == openmpi ]]; then echo libopenmpi-dev openmpi-bin; else echo libmpich-dev mpich; fi
    done
    compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null || ldconfig -p | grep -q 'libclang.*\.so' || echo libclang-dev
}
packages=$(missing | tr '\n' ' ')
if [[ -n $packages ]]; then
    step "installing $packages"
    as_root=()
    if [[ $(id -u) != 0 ]]; then as_root=(sudo -n); fi
    # shellcheck disable=SC2086
    { "${as_root[@]}" apt-get update && "${as_root[@]}" apt-get install -y --no-install-recommends $packages; } \
        >"$out/said" 2>&1 || fail "MPI is not here, and apt-get did not install it (no network?): install $packages"
fi
[[ -z $(missing) ]] || fail "still missing: $(missing | tr '\n' ' ')"

haste=(--config profile.release.package.sam2unet.opt-level=1 --config profile.release.package.sam2unet.codegen-units=16
    --config profile.release.package.sam2unet.debug=false)
# of an mpi: sets target, program, units and tests
build() {
    export MPICC=mpicc.$1
    target=$targets/$1
    # what .ci/run has compiled of the dependencies
    if [[ ! -d $target && -d $targets/release/.fingerprint ]]; then
        mkdir -p "$target"
        cp -a "$targets/release" "$target/release"
    fi
    CARGO_TARGET_DIR=$target cargo test --release --locked --features mpi "${haste[@]}" --lib --test tests --no-run \
        --message-format json-render-diagnostics >"$out/built.json"
    program=$target/release/sam2unet
    { read -r units; read -r tests; } < <(python3 - "$out/built.json" <<'PY'
import json, sys
made = {}
for message in map(json.loads, open(sys.argv[1])):
    if message["reason"] == "compiler-artifact" and message["profile"]["test"] and message["executable"]:
        made[message["target"]["kind"][0]] = message["executable"]
print(made["lib"], made["test"], sep="\n")
PY
    )
    local library=libmpi.so
    if [[ $1 == mpich ]]; then library=libmpich.so; fi
    ldd "$program" | grep -q "$library" || fail "$program is not linked with $library"
}

if [[ $mode == --install ]]; then exit; fi

# ---- running

# N, command: with so many ranks of the MPI under test. What is printed goes to $out/said, the status to $status
go() {
    local ranks=$1
    shift
    status=0
    timeout -k 10 "${limit:-120}" "mpirun.$mpi" -n "$ranks" "$@" >"$out/said" 2>&1 || status=$?
    [[ $status != 124 && $status != 137 ]] || fail "$mpi, $ranks ranks: it hangs: $*"
}
done_by() { go "$@"; [[ $status == 0 ]] || fail "$mpi: status $status: $*"; }
# count, pattern: so many lines of what was printed
lines() {
    local found
    found=$(grep -cE "$2" "$out/said" || true)
    [[ $found == "$1" ]] || fail "$mpi: $found lines instead of $1 with '$2'"
}
a_test() { # ranks, name
    go "$1" "$units" --ignored --exact --nocapture "$2"
}
host=$(hostname)

# ---- what processes send each other, and how they end

check_group() {
    local ranks
    for ranks in 1 2 3; do
        step "$mpi: bytes between $ranks ranks"
        a_test "$ranks" group::mpi::tests::over_mpi_parts_arrive_in_the_order_of_the_ranks
        [[ $status == 0 ]] || fail "$mpi: status $status"
        lines "$ranks" '1 passed'
    done
    step "$mpi: bench --exchange"
    for ranks in 2 3; do
        done_by "$ranks" "$program" bench --exchange --repeat 2 --step-seconds 2.5
        # rank 0 alone speaks
        lines 4 '^\| gradient of '
        lines 1 "^ranks 0 to $((ranks - 1)) on "
    done
    cat "$out/said"
    go 1 "$program" bench --exchange
    [[ $status == 2 ]] || fail "$mpi: one process exchanges with status $status"
    lines 1 '^bench: --exchange measures what several processes'

    step "$mpi: a panic of one rank ends all"
    a_test 3 cli::ranks::tests::over_mpi_a_panic_of_rank_1_ends_all
    # MPICH may tell that of a rank that it ended
    [[ $status == 101 || $status == 9 && $mpi == mpich ]] || fail "$mpi: status $status after a panic"
    lines 1 "^rank 1 \($host.*\): panicked at src/cli/ranks.rs:[0-9]+:[0-9]+: on purpose$"

    step "$mpi: a failure of one rank is everyone's, and rank 0 says it"
    a_test 3 cli::ranks::tests::over_mpi_a_failure_of_rank_2_is_everyones
    [[ $status == 2 ]] || fail "$mpi: status $status after a failure"
    lines 1 "^test: rank 2 \($host.*\): no such file$"
    lines 1 'no such file'

    step "$mpi: a rank that does not answer ends all"
    limit=30 a_test 3 cli::ranks::tests::over_mpi_nobody_waits_for_ever
    [[ $status == 1 ]] || fail "$mpi: status $status after the limit"
    # the first ends the others
    grep -qE "^rank [02] \($host.*\): no answer from the others for 2 s$" "$out/said" || fail "$mpi: nobody said what was waited for"
    lines 0 '^rank 1 '

    step "$mpi: a launcher that is not this MPI's is refused by all, and rank 0 says it"
    local other
    for other in "${mpis[@]}"; do
        [[ $other != "$mpi" ]] || continue
        mpi=$other go 3 "$program" train --size 64 --steps 1 --out "$out/foreign"
        refused_foreign 3
    done
    # its variables alone
    status=0
    env PMI_SIZE=5 PMI_RANK=0 OMPI_COMM_WORLD_SIZE=5 "$program" train --size 64 --steps 1 --out "$out/foreign" >"$out/said" 2>&1 || status=$?
    refused_foreign 5
}
refused_foreign() { # size
    [[ $status == 2 ]] || fail "$mpi: status $status under another launcher"
    lines 1 "^train: (PMI_SIZE|OMPI_COMM_WORLD_SIZE) is $1, but this program's MPI \((Open MPI|MPICH).*sees 1 process: start it with"
    [[ ! -e $out/foreign ]] || fail "$mpi: a run was begun under another launcher"
}

# ---- training

# the weights, the optimiser's state and the log without its times, as one digest
digest() {
    python3 - "$1" <<'PY'
import hashlib, json, os, sys
run = sys.argv[1]
all = hashlib.sha256()
for name in ("model", "optimiser"):
    all.update(open(os.path.join(run, "last", name + ".safetensors"), "rb").read())
for line in open(os.path.join(run, "log.jsonl")):
    record = json.loads(line)
    record.pop("seconds", None)
    all.update(json.dumps(record).encode())
print(all.hexdigest()[:16])
PY
}
same() { # what, digest, folder
    local found
    found=$(digest "$3")
    [[ $found == "$2" ]] || fail "$mpi: $1: digest $found instead of $2"
    echo "$1: $found"
}
# side, steps: sets `train`, the command without its folder. Eight batches, two steps to an epoch, a save after each
settings() {
    printf '[generated]\nimages = 16\nval_images = 5\n' >"$out/small.toml"
    train=("$program" train --config "$out/small.toml" --variant tiny --size "$1" --batch-size 2 --accumulate 4
        --steps "$2" --seed 3 --device cpu --threads 1)
}
one_process() { # folder
    "${train[@]}" --out "$1" >"$out/said" 2>&1 || fail "one process does not train"
}
# N ranks...: each number of them trains to the digest
check_ranks() {
    local ranks
    for ranks in "$@"; do
        rm -rf "$out/run"
        done_by "$ranks" "${train[@]}" --out "$out/run"
        lines 1 '^done: '
        same "$ranks ranks" "$expected" "$out/run"
    done
}

check_toy() {
    step "$mpi: a toy learner with 1, 2 and 3 ranks"
    local ranks expected=
    for ranks in 1 2 3; do
        rm -rf "$out/toy"
        SAM2UNET_MPI_RUN=$out/toy go "$ranks" "$tests" --ignored --exact --nocapture train::over_mpi::a_run_of_the_toy
        [[ $status == 0 ]] || fail "$mpi: status $status"
        lines "$ranks" '1 passed'
        expected=${expected:-$(digest "$out/toy")}
        same "$ranks ranks" "$expected" "$out/toy"
    done
}

# Waits until the run's log has the step, while process $1 lives.
until_step() { # process, step
    local waited=0
    until grep -q "\"step\":$2\b" "$out/run/log.jsonl" 2>/dev/null; do
        kill -0 "$1" 2>/dev/null || fail "$mpi: ended before step $2"
        sleep 0.2
        waited=$((waited + 1))
        [[ $waited -lt 3000 ]] || fail "$mpi: no step $2 in ten minutes"
    done
}
# Begins a run with three ranks in the background and waits for step 9, after a save and before one; sets `launcher`.
begin() {
    rm -rf "$out/run"
    timeout -k 10 900 "mpirun.$mpi" -n 3 "${train[@]}" --out "$out/run" "$@" >"$out/said" 2>&1 &
    launcher=$!
    until_step "$launcher" 9
}
# The processes of the ranks, lowest rank first where they started in order.
ranks_of() { pgrep -f "^$program train .*--out $out/run" | sort -n; }
ended() { # what: it must have failed, in time
    status=0
    wait "$launcher" || status=$?
    [[ $status != 0 && $status != 124 ]] || fail "$mpi: $1: status $status"
    lines 0 '^done: '
    echo "$1: status $status; $(grep -E '^(train|rank)\b' "$out/said" | tail -1)"
}
resumes() { # what, ranks: to the weights of a run that nothing disturbed
    done_by "$2" "$program" train --resume "$out/run"
    same "$1, resumed with $2 ranks" "$expected" "$out/run"
}

check_faults() {
    step "$mpi: a rank is killed"
    begin
    kill -KILL "$(ranks_of | sed -n 2p)"
    ended killed
    resumes killed 2

    step "$mpi: a rank hangs"
    begin --mpi-timeout 5
    local stopped
    stopped=$(ranks_of | sed -n 2p)
    kill -STOP "$stopped"
    ended "a rank hangs"
    kill -KILL "$stopped" 2>/dev/null || true
    grep -qE "^rank [0-9]+ \($host.*\): no answer from the others for 5 s$" "$out/said" || fail "$mpi: nobody said so"
    resumes "after a rank hung" 4

    step "$mpi: SIGUSR1 to the launcher saves and stops"
    begin
    # of `timeout`, which hands it on
    kill -USR1 "$launcher"
    ended SIGUSR1
    lines 1 '^stopped after step '
    resumes SIGUSR1 1

    step "$mpi: the disk is full on rank 0"
    rm -rf "$out/run"
    # no file of over 2 MB: the first checkpoint cannot be written
    go 3 bash -c 'trap "" XFSZ; ulimit -f 2000; exec "$@"' _ "${train[@]}" --out "$out/run"
    [[ $status == 1 ]] || fail "$mpi: status $status with a full disk"
    lines 1 '^train: .*model\.safetensors'

    step "$mpi: ranks with other settings, and of another program"
    refused_mixed "command line" "${train[@]}" --seed 4
    # the commit is in the program, in as many bytes
    sed "s/$SAM2UNET_COMMIT/$(tr 'a-z' 'b-za' <<<"$SAM2UNET_COMMIT")/g" "$program" >"$out/other"
    chmod +x "$out/other"
    refused_mixed "version|commit|program" "$out/other" "${train[@]:1}"
}
refused_mixed() { # what is named, command of rank 2
    local named=$1
    shift
    rm -rf "$out/run"
    go 2 "${train[@]}" --out "$out/run" : -n 1 "$@" --out "$out/run"
    [[ $status != 0 ]] || fail "$mpi: ranks that differ train together"
    lines 1 "^train: .*rank 2 \($host"
    grep -qE "$named" "$out/said" || fail "$mpi: what differs is not named"
    [[ ! -e $out/run ]] || fail "$mpi: a folder was made for ranks that differ"
}

for mpi in "${mpis[@]}"; do
    step "$mpi: building"
    build "$mpi"
    check_group
    case $mode in
        --ci)
            check_toy
            settings 64 4
            step "$mpi: Tiny at side 64"
            one_process "$out/one"
            expected=$(digest "$out/one")
            check_ranks 1 3
            ;;
        --all)
            check_toy
            settings 224 40
            step "$mpi: Tiny at side 224, 40 steps"
            # the same for both
            if [[ ! -d $out/one ]]; then one_process "$out/one"; fi
            expected=$(digest "$out/one")
            check_ranks 1 2 3 4
            check_faults
            ;;
    esac
done
printf '\nall held\n'
