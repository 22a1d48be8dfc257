//! As `train::together` of the other tests, with processes for ranks. `scripts/check-mpi.sh` starts it. A binary of its
//! own: it is built once for each MPI.

#[allow(dead_code, reason = "the check reads the log itself")]
#[path = "../support/run_log.rs"]
mod run_log;
#[allow(dead_code, reason = "most of it is for threads as ranks")]
#[path = "../support/toy.rs"]
mod toy;

use sam2unet::group::{Alone, Group, MpiGroup, launched};
use sam2unet::train::Outcome;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use toy::{Toy, never, rank, set};

sam2unet::load_cuda_libraries_late!();

/// All processes that a launcher started, or this one, in the folder that `SAM2UNET_MPI_RUN` names.
fn ranks() -> (Arc<dyn Group>, PathBuf) {
    let start = |_| Arc::new(MpiGroup::start(Duration::from_secs(60), |line| panic!("{line}")).unwrap());
    let group = launched().map_or(Arc::new(Alone) as Arc<dyn Group>, |launched| start(launched));
    (group, PathBuf::from(std::env::var_os("SAM2UNET_MPI_RUN").expect("a folder")))
}

#[test]
#[ignore = "needs mpirun"]
fn a_run_of_the_toy() {
    let ((group, path), (settings, sources)) = (ranks(), set());
    assert_eq!(rank(group, &path, &settings, &sources, &mut Toy::new(), never).unwrap(), Outcome::Finished);
}

/// Each rank says why it ended, and ends with status 1.
#[test]
#[ignore = "needs mpirun"]
fn a_weight_of_rank_1_flips() {
    let ((group, path), (settings, sources)) = (ranks(), set());
    let mut learner = Toy::new();
    learner.flips_at = (group.rank() == 1).then_some(2);
    let error = rank(group.clone(), &path, &settings, &sources, &mut learner, never).unwrap_err();
    // in one piece, on a line of its own
    std::io::stdout().write_all(format!("\n{error}\n").as_bytes()).unwrap();
    // MPI ends when all are here: the launcher ends the others when one process has failed
    drop(group);
    std::process::exit(1);
}
