#!/usr/bin/env bash
# Several processes by MPI: that every number of them trains to the same bytes, and that whatever ends one of them ends all,
# with one line and a status.
#
#     scripts/check-mpi.sh           (Open MPI and MPICH; Tiny at side 224 with 1 to 4 ranks; kills, resumes, faults)
#     scripts/check-mpi.sh --ci      (Open MPI; a toy learner with 1, 2 and 3 ranks, Tiny at side 64 with 1 and 3, one resume)
#     scripts/check-mpi.sh --group   (both; what processes send each other and how they end, without training)
#     scripts/check-mpi.sh --install (Open MPI; only installs what is missing)
#
# A second argument, openmpi or mpich, names the one to run.
#
# What is missing of MPI and libclang is installed by apt-get, where that works. Each MPI has a target folder of its own, as
# mpi-sys does not see a changed MPICC; `--ci` takes the program and tests that check-cuda.sh has built with MPI, where
# MPI_BUILT names what cargo told of them. Nothing waits for ever: each mpirun has a time limit.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=${1:---all}
if [[ $# -gt 2 || ! $mode =~ ^--(all|ci|group|install)$ || ! ${2:-mpich} =~ ^(openmpi|mpich)$ ]]; then
    sed -n '2,14p' "$0" | cut -c3- >&2
    exit 2
fi
mpis=(openmpi mpich)
if [[ $mode == --ci || $mode == --install ]]; then mpis=(openmpi); fi
if [[ -n ${2:-} ]]; then mpis=("$2"); fi

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
    # (libclang-cpp is another library)
    compgen -G '/usr/lib/llvm-*/lib/libclang.so*' >/dev/null || compgen -G '/usr/lib/llvm-*/lib/libclang-[0-9]*.so*' >/dev/null ||
        grep -qE 'libclang(-[0-9.]+)?\.so' <<<"$(ldconfig -p)" || echo libclang-dev
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
# of an mpi: sets program, units and tests
build() {
    local target=$targets built=${MPI_BUILT:-} library=libmpi.so
    if [[ -z $built ]]; then
        target=$targets/$1 built=$out/built.json
        # what was compiled of the dependencies
        if [[ ! -d $target && -d $targets/release/.fingerprint ]]; then
            mkdir -p "$target"
            cp -a "$targets/release" "$target/release"
        fi
        MPICC=mpicc.$1 CARGO_TARGET_DIR=$target cargo test --release --locked --features mpi "${haste[@]}" --lib --test over_mpi \
            --no-run --message-format json-render-diagnostics >"$built"
    fi
    program=$target/release/sam2unet
    { read -r units; read -r tests; } < <(python3 - "$built" <<'PY'
import json, sys
made = {}
for message in map(json.loads, open(sys.argv[1])):
    if message["reason"] == "compiler-artifact" and message["profile"]["test"] and message["executable"]:
        made[message["target"]["name"]] = message["executable"]
print(made["sam2unet"], made["over_mpi"], sep="\n")
PY
    )
    if [[ $1 == mpich ]]; then library=libmpich.so; fi
    # not by a pipe, which grep would close early
    grep -q "$library" <<<"$(ldd "$program")" || fail "$program is not linked with $library"
}

if [[ $mode == --install ]]; then exit; fi

# ---- running

# N, command: with so many ranks of the MPI under test. What is printed goes to $out/said, the status to $status
go() {
    local ranks=$1
    shift
    status=0
    timeout -k 10 "${limit:-900}" "mpirun.$mpi" -n "$ranks" "$@" >"$out/said" 2>&1 || status=$?
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
    for other in openmpi mpich; do
        [[ $other != "$mpi" ]] || continue
        command -v "mpirun.$other" >/dev/null || { echo "mpirun.$other is not here: only its variables are tried"; continue; }
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
# side, images of a batch, steps: sets `train`, the command without its folder. Epochs have a step of four batches and one of two, and
# are saved after
settings() {
    printf '[generated]\nimages = %s\nval_images = 5\n' $(($2 * 6)) >"$out/small.toml"
    base=(--variant tiny --device cpu --threads 1 --seed 3)
    train=("$program" train --config "$out/small.toml" "${base[@]}" --size "$1" --batch-size "$2" --accumulate 4 --steps "$3")
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
        SAM2UNET_MPI_RUN=$out/toy go "$ranks" "$tests" --ignored --exact --nocapture a_run_of_the_toy
        [[ $status == 0 ]] || fail "$mpi: status $status"
        lines "$ranks" '1 passed'
        expected=${expected:-$(digest "$out/toy")}
        same "$ranks ranks" "$expected" "$out/toy"
    done
    step "$mpi: a flipped bit of one rank's weights is found at the end of the epoch"
    rm -rf "$out/toy"
    SAM2UNET_MPI_RUN=$out/toy go 3 "$tests" --ignored --exact --nocapture a_weight_of_rank_1_flips
    # each rank has the same error, and ends with its status
    [[ $status == 1 ]] || fail "$mpi: status $status"
    lines 3 "^rank 1 \($host\) differs from rank 0 in the weights: "
}

# One command three times: it begins the run, goes on with another number of ranks where a signal stopped it, and has nothing to do.
check_resume() {
    step "$mpi: one command three times, stopped by SIGUSR1"
    begin
    signal USR1
    ended "SIGUSR1 to the launcher" 138
    lines 1 '^stopped after step '
    local ranks
    for ranks in 2 3; do
        done_by "$ranks" "${train[@]}" --resume "$out/run"
        if [[ $ranks == 2 ]]; then lines 1 '^done: '; else lines 0 '^done: '; fi
        same "resumed with $ranks ranks" "$expected" "$out/run"
    done
}

# One batch over two ranks: the same bits twice, and the first loss of one process.
check_split() {
    step "$mpi: --split-batch"
    local time first
    local command=("$program" train --config "$out/small.toml" "${base[@]}" --size 64 --batch-size 4 --accumulate 1 --steps 3)
    "${command[@]}" --out "$out/whole" >"$out/said" 2>&1 || fail "one process does not train"
    for time in 1 2; do
        rm -rf "$out/run"
        done_by 2 "${command[@]}" --split-batch --out "$out/run"
        first=${first:-$(digest "$out/run")}
        same "two ranks, time $time" "$first" "$out/run"
    done
    python3 - "$out/whole/log.jsonl" "$out/run/log.jsonl" <<'PY' || fail "$mpi: the loss of a split batch is another one"
import json, sys
whole, split = (json.loads(next(open(log)))["loss"] for log in sys.argv[1:])
print(f"first loss: {split}, in one process {whole}")
sys.exit(not abs(whole - split) <= 1e-6 * max(1, abs(whole)))
PY
    rm -rf "$out/whole"
}

# Predictions and scores of three ranks are those of one process, to the byte.
check_shards() {
    step "$mpi: predict and evaluate"
    local predict=("$program" predict --checkpoint "$out/one" --images "$out/data/images" --device cpu --threads 1)
    local evaluate=("$program" evaluate --masks "$out/data/masks")
    rm -rf "$out/alone" "$out/together"
    "${predict[@]}" --out "$out/alone" >"$out/said" 2>&1 || fail "one process does not predict"
    done_by 3 "${predict[@]}" --out "$out/together"
    diff -r "$out/alone" "$out/together" || fail "$mpi: predictions differ"
    "${evaluate[@]}" --predictions "$out/alone" --json "$out/alone.json" >"$out/said" 2>&1 || fail "one process does not evaluate"
    done_by 3 "${evaluate[@]}" --predictions "$out/alone" --json "$out/together.json"
    cmp "$out/alone.json" "$out/together.json" || fail "$mpi: scores differ"
    echo "$(ls "$out/together" | wc -l) predictions and their scores: the same"
}
# folder: twelve pictures and their masks, as PNG files
pictures() {
    python3 - "$1" <<'PY'
import pathlib, struct, sys, zlib
def png(path, colours, rows):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    head = struct.pack(">IIBBBBB", 64, 64, 8, colours, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
root = pathlib.Path(sys.argv[1])
for folder in ("images", "masks"):
    (root / folder).mkdir(parents=True)
for n in range(12):
    inside = lambda x, y: (x - 20 - 2 * n) ** 2 + (y - 30) ** 2 < (8 + n) ** 2
    image = [[v for x in range(64) for v in ((200, 9 * n, 40) if inside(x, y) else (x * 3, y * 3, 90))] for y in range(64)]
    png(root / "images" / f"{n:02}.png", 2, image)
    png(root / "masks" / f"{n:02}.png", 0, [[255 * inside(x, y) for x in range(64)] for y in range(64)])
PY
}

# ---- faults

# Waits until the run's log has the step, while process $1 lives.
until_step() { # process, step
    local waited=0
    until grep -q "\"step\":$2\b" "$out/run/log.jsonl" 2>/dev/null; do
        kill -0 "$1" 2>/dev/null || fail "$mpi: ended before step $2"
        sleep 0.05
        waited=$((waited + 1))
        [[ $waited -lt 12000 ]] || fail "$mpi: no step $2 in ten minutes"
    done
}
# Begins a run with three ranks in the background and waits for step 9, after a save and before one; sets `launcher`.
begin() {
    rm -rf "$out/run"
    timeout -k 10 900 "mpirun.$mpi" -n 3 "${train[@]}" --resume "$out/run" "$@" >"$out/said" 2>&1 &
    launcher=$!
    until_step "$launcher" 9
}
# To the launcher, the child of `timeout`, which does not hand on all of them.
signal() { kill "-$1" "$(pgrep -P "$launcher")"; }
# rank: its process
process_of() {
    local process
    for process in $(pgrep -f "^$program train .*--resume $out/run"); do
        if grep -zqE "^(OMPI_COMM_WORLD_RANK|PMI_RANK)=$1\$" "/proc/$process/environ"; then echo "$process"; fi
    done
}
# The background run ends: what, status, and a pattern that the one line fits which a rank says; without one, none says any.
ended() {
    status=0
    wait "$launcher" || status=$?
    is "$@"
}
is() {
    local what=$1 expected_status=$2 pattern=${3:-} said='^(train: |rank [0-9]+ \()'
    [[ $status == "$expected_status" ]] || fail "$mpi: $what: status $status instead of $expected_status"
    lines 0 '^done: '
    if [[ -z $pattern ]]; then lines 0 "$said"; else lines 1 "$said" && lines 1 "$pattern"; fi
    echo "$what: status $status; $(grep -E "$said" "$out/said" || true)"
}
resumes() { # what, ranks: to the weights of a run that nothing disturbed
    done_by "$2" "$program" train --resume "$out/run"
    same "$1, resumed with $2 ranks" "$expected" "$out/run"
}

check_kill() { # ranks that go on
    step "$mpi: a rank is killed"
    begin
    kill -KILL "$(process_of 1)"
    # only the launcher can tell; MPICH's does not know the rank
    if [[ $mpi == openmpi ]]; then
        ended killed 137
        lines 1 "process rank 1 with PID [0-9]+ on node $host exited on signal 9"
    else
        ended killed 9
        lines 1 "RUNNING AT $host"
        lines 1 'Killed \(signal 9\)'
    fi
    resumes killed "$1"
}

check_faults() {
    step "$mpi: a rank hangs"
    begin --mpi-timeout 5
    local stopped
    stopped=$(process_of 1)
    kill -STOP "$stopped"
    ended "a rank hangs" 1 "^rank [02] \($host\): no answer from the others for 5 s$"
    kill -KILL "$stopped" 2>/dev/null || true
    resumes "after a rank hung" 4

    step "$mpi: signals"
    begin
    kill -TERM "$(process_of 2)"
    ended "SIGTERM to one rank" 143
    lines 1 '^stopped after step '
    resumes "SIGTERM to one rank" 3
    begin
    signal TERM
    # Open MPI has two seconds, in which the run may save or not
    status=0
    wait "$launcher" || status=$?
    [[ $mpi == openmpi && $status != 0 && $status != 124 || $status == 143 ]] || fail "$mpi: SIGTERM to the launcher: status $status"
    if [[ $mpi == mpich ]]; then lines 1 '^stopped after step '; fi
    echo "SIGTERM to the launcher: status $status"
    resumes "SIGTERM to the launcher" 2

    step "$mpi: the disk is full on rank 0"
    begin
    signal USR1
    ended "SIGUSR1 to the launcher" 138
    local before
    before=$(sha256sum "$out"/run/last/*.safetensors)
    # no file of over 2 MB: the next checkpoint cannot be written. MPICH's own, of its shared memory, are larger
    local without_files=()
    if [[ $mpi == mpich ]]; then without_files=(env UCX_TLS=tcp,self); fi
    go 3 "${without_files[@]}" bash -c 'trap "" XFSZ; ulimit -f 2000; exec "$@"' _ "$program" train --resume "$out/run"
    is "full disk" 1 "^train: rank 0 \($host\): .*model\.safetensors.*(File too large|No space left)"
    [[ $before == "$(sha256sum "$out"/run/last/*.safetensors)" ]] || fail "$mpi: the last checkpoint is another one"
    resumes "full disk" 2

    step "$mpi: an image is damaged while all train"
    local generated=("${train[@]}")
    rm -rf "$out/damaged"
    cp -r "$out/data" "$out/damaged"
    train=("$program" train --data "$out/damaged" "${base[@]}" --size 64 --batch-size 1 --accumulate 4 --steps 1000)
    begin
    train=("${generated[@]}")
    head -c 100 "$out/data/images/07.png" >"$out/damaged/images/07.png"
    ended "a damaged image" 1 "^train: rank [0-2] \($host\): .*images/07\.png"
    [[ -s $out/run/last/model.safetensors ]] || fail "$mpi: no checkpoint"

    step "$mpi: ranks with other settings, and of another program"
    refused_mixed "the command line" "${train[@]}" --lr 0.002
    # the commit is in the program, in as many bytes
    sed "s/$SAM2UNET_COMMIT/$(tr 'a-z' 'b-za' <<<"$SAM2UNET_COMMIT")/g" "$program" >"$out/other"
    chmod +x "$out/other"
    refused_mixed "the program" "$out/other" "${train[@]:1}"
}
refused_mixed() { # what is named, command of rank 2
    local named=$1
    shift
    rm -rf "$out/run"
    go 2 "${train[@]}" --out "$out/run" : -n 1 "$@" --out "$out/run"
    is "other ranks" 2 "^train: rank 2 \($host\) differs from rank 0 in $named: "
    [[ ! -e $out/run ]] || fail "$mpi: a folder was made for ranks that differ"
}

for mpi in "${mpis[@]}"; do
    step "$mpi: building"
    build "$mpi"
    check_group
    case $mode in
        --ci)
            check_toy
            steps=24
            settings 64 2 $steps
            step "$mpi: Tiny at side 64"
            one_process "$out/one"
            expected=$(digest "$out/one")
            check_ranks 1 3
            check_resume
            ;;
        --all)
            check_toy
            # the same run for both
            steps=40
            if [[ ! -d $out/one ]]; then
                pictures "$out/data"
                settings 64 2 $steps
                one_process "$out/one"
            fi
            settings 64 2 $steps
            expected=$(digest "$out/one")
            check_resume
            check_split
            check_shards
            check_faults
            step "$mpi: Tiny at side 224, 40 steps"
            settings 224 1 $steps
            if [[ ! -d $out/large ]]; then one_process "$out/large"; fi
            expected=$(digest "$out/large")
            check_ranks 1 2 3 4
            check_kill 2
            ;;
    esac
done
printf '\nall held\n'
