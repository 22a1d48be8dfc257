//! As `together`, with processes for ranks. `scripts/check-mpi.sh` starts it.

use super::together::set;
use crate::support::toy::{Toy, never, rank};
use sam2unet::group::{Alone, Group, MpiGroup, launched};
use sam2unet::train::Outcome;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Trains in the folder that `SAM2UNET_MPI_RUN` names, with all processes that a launcher started, or alone.
#[test]
#[ignore = "needs mpirun"]
fn a_run_of_the_toy() {
    let path = PathBuf::from(std::env::var_os("SAM2UNET_MPI_RUN").expect("a folder"));
    let start = |_| Arc::new(MpiGroup::start(Duration::from_secs(60), |line| panic!("{line}")).unwrap());
    let group: Arc<dyn Group> = launched().map_or(Arc::new(Alone), |launched| start(launched) as Arc<dyn Group>);
    let (settings, sources) = set();
    assert_eq!(rank(group, &path, &settings, &sources, &mut Toy::new(), never).unwrap(), Outcome::Finished);
}
