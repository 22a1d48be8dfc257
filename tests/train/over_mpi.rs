//! Under a launcher of MPI: `scripts/check-mpi.sh` starts these tests and compares what they leave.

use crate::support::toy::{Toy, never, rank, settings, sources};
use sam2unet::group::MpiGroup;
use sam2unet::train::{Outcome, Settings};
use std::path::PathBuf;
use std::time::Duration;

#[test]
#[ignore = "needs mpirun"]
fn a_run_of_the_toy() {
    let path = PathBuf::from(std::env::var_os("SAM2UNET_MPI_RUN").expect("a folder for the run"));
    let group = MpiGroup::start(Duration::from_secs(60), |line| eprintln!("{line}")).unwrap();
    let settings = Settings { accumulate: 4, epochs: Some(3), ..settings() };
    let ended = rank(&group, &path, &settings, &sources(37), &mut Toy::new(), never);
    assert_eq!(ended.unwrap(), Outcome::Finished);
}
