//! Under a launcher that started several processes, which is known by its variables. What they do together is in
//! `scripts/check-mpi.sh`.

use super::program::{Ended, refused, run, sam2unet};
use std::path::Path;

/// As `mpirun` or `srun` starts a process.
fn launched(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let mut command = sam2unet(folder, arguments);
    command.envs(variables.iter().copied());
    command.output().unwrap().into()
}

/// Otherwise each of them would train by itself, all in one folder.
#[cfg(not(feature = "mpi"))]
#[test]
fn a_program_without_mpi_is_no_rank() {
    let dir = tempfile::tempdir().unwrap();
    let train = ["train", "--size", "64", "--steps", "1", "--device", "cpu", "--out", "run"];
    for [size, rank] in [
        ["OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"],
        ["PMI_SIZE", "PMI_RANK"],
        ["SLURM_STEP_NUM_TASKS", "SLURM_PROCID"],
        ["MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"],
    ] {
        let Ended { status, out, err } = launched(dir.path(), &[(size, "3"), (rank, "0")], &train);
        assert_eq!((status, &out[..], err.lines().count()), (Some(2), "", 1), "{err}");
        for part in [&format!("train: {size} is 3"), "one of 3 processes", "--features mpi", &format!("unset {size}")] {
            assert!(err.contains(part), "{part}: {err}");
        }
        // the first of them says it for all
        let other = launched(dir.path(), &[(size, "3"), (rank, "1")], &train);
        assert_eq!(other, Ended { status: Some(2), out: String::new(), err: String::new() });
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "something was begun");
}

#[test]
fn one_process_of_a_launcher_is_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let one = [("OMPI_COMM_WORLD_SIZE", "1"), ("SLURM_STEP_NUM_TASKS", "4"), ("SLURM_PROCID", "1")];
    let ended = launched(dir.path(), &one, &["train", "--print-config", "--seed", "9"]);
    assert!(ended.status == Some(0) && ended.out.contains("seed = 9"), "{ended:?}");
}

#[test]
fn an_exchange_needs_several_processes() {
    let dir = tempfile::tempdir().unwrap();
    let message = refused(dir.path(), &["bench", "--exchange", "--step-seconds", "2.5"]);
    assert!(message.contains("mpirun") && message.contains("--features mpi"), "{message}");
    for (arguments, part) in [
        (&["bench"][..], "<WHAT>"),
        (&["bench", "--exchange", "infer", "tiny", "1"], "--exchange"),
        (&["bench", "infer", "tiny", "1", "--step-seconds", "2"], "--step-seconds"),
        (&["bench", "--exchange", "--step-seconds", "0"], "above 0"),
        (&["bench", "--exchange", "--mpi-timeout", "0"], "--mpi-timeout"),
        (&["train", "--mpi-timeout", "soon"], "--mpi-timeout"),
    ] {
        let Ended { status, err, .. } = run(dir.path(), arguments);
        assert!(status == Some(2) && err.contains(part), "{arguments:?}: {err}");
    }
}
