//! What launchers (`mpirun`, `srun`) tell the processes that they start, by variables of the environment. Needs no MPI.

/// The variables of the number of processes and of a process's rank, of Open MPI, MVAPICH, MPICH and its kin, and SLURM.
/// Where several are set, the first is of the launcher that was called last: `mpirun` inside a step of SLURM.
const VARIABLES: [[&str; 2]; 4] = [
    ["OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"],
    ["MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"],
    ["PMI_SIZE", "PMI_RANK"],
    ["SLURM_STEP_NUM_TASKS", "SLURM_PROCID"],
];

/// What one launcher tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launched {
    /// The variable that tells how many processes there are.
    pub variable: &'static str,
    /// How many it says.
    pub size: usize,
    /// Which of them this is, if it says so.
    pub rank: Option<usize>,
}

/// What the launcher told that started this process as one of several; `None` where it is one process, however it was
/// started.
pub fn launched() -> Option<Launched> {
    told().first().copied().filter(|launched| launched.size > 1)
}

/// What all launchers told that this process is under.
#[cfg_attr(not(feature = "mpi"), allow(dead_code, reason = "MPI's own count is compared with it"))]
pub(super) fn told() -> Vec<Launched> {
    told_by(|name| std::env::var(name).ok())
}

fn told_by(variable: impl Fn(&str) -> Option<String>) -> Vec<Launched> {
    let number = |name| variable(name)?.trim().parse().ok();
    let told = VARIABLES.iter();
    told.filter_map(|[size, rank]| Some(Launched { variable: size, size: number(size)?, rank: number(rank) })).collect()
}

/// What was told, if none of it is the number of processes that MPI sees: the launcher is another MPI's.
#[cfg_attr(not(feature = "mpi"), allow(dead_code, reason = "only MPI sees a number"))]
pub(super) fn foreign(told: &[Launched], seen: usize) -> Option<Launched> {
    told.first().copied().filter(|_| told.iter().all(|launched| launched.size != seen))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_of(variables: &[(&str, &str)]) -> Vec<Launched> {
        told_by(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_string()))
    }

    #[test]
    fn the_launcher_that_was_called_last_comes_first() {
        let slurm = [("SLURM_STEP_NUM_TASKS", "2"), ("SLURM_PROCID", "1")];
        let [step] = told_of(&slurm)[..] else { panic!() };
        assert_eq!(step, Launched { variable: "SLURM_STEP_NUM_TASKS", size: 2, rank: Some(1) });
        let both = told_of(&[&slurm[..], &[("PMI_SIZE", "8"), ("PMI_RANK", "7")]].concat());
        assert_eq!(both, [Launched { variable: "PMI_SIZE", size: 8, rank: Some(7) }, step]);
        assert_eq!(told_of(&[("PMI_SIZE", "many"), ("OMPI_COMM_WORLD_RANK", "0")]), []);
        assert_eq!(told_of(&[("PMI_SIZE", "3")])[0].rank, None);
    }

    #[test]
    fn a_launcher_is_foreign_if_nobody_told_the_number_that_mpi_sees() {
        let told = told_of(&[("OMPI_COMM_WORLD_SIZE", "4"), ("SLURM_STEP_NUM_TASKS", "2")]);
        assert_eq!((foreign(&told, 4), foreign(&told, 2)), (None, None));
        assert_eq!(foreign(&told, 1), Some(told[0]));
        assert_eq!(foreign(&[], 1), None);
    }
}
