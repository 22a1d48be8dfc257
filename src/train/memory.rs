//! The memory that training takes, beside what there is.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::settings::settings::Settings;
use crate::data::classes::class::{ClassKind, Classes};
use crate::data::loader::BATCHES_HELD;
use crate::data::multi_scale::MultiScale;
use crate::device::Device;
use crate::kernels::memory_use::MemoryUse;
use crate::kernels::precision::Precision;
use crate::nn::cost::training_bytes;
use crate::nn::shape::SIDES;
use crate::nn::variant::{Variant, VariantName, WithVariant};

/// Memory that a process may take, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineMemory {
    /// What it may take now without pushing others out.
    pub available: u64,
    /// What there is in all, swap included.
    pub total: u64,
}

/// Whose memory is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryOf {
    /// The machine's, or that of the group of processes (a container, a job) which this one belongs to.
    Machine,
    /// The GPU's own.
    Gpu,
}

/// Training is estimated to take more memory than is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// The estimate, in bytes.
    pub needed: u64,
    /// What there is.
    pub memory: MachineMemory,
    /// Whose memory it is.
    pub of: MemoryOf,
    /// What lowers it, with these settings; of a run that goes on only what it may change.
    pub remedies: Vec<&'static str>,
}

impl Shortage {
    /// Whether it is more than there is at all, so that the system would end the run.
    pub fn is_hopeless(&self) -> bool {
        self.needed > self.memory.total
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [needed, left, all] = [self.needed, self.memory.available, self.memory.total].map(|n| n as f64 / 1e9);
        let of = match self.of {
            MemoryOf::Machine => "this machine (or the container or job that this runs in)",
            MemoryOf::Gpu => "the GPU",
        };
        write!(f, "training takes about {needed:.1} GB of memory; {of} has {all:.1} GB, {left:.1} GB of it free. ")?;
        match &self.remedies[..] {
            [] => f.write_str("None of the settings lowers it"),
            remedies => write!(f, "Less is taken with {}", remedies.join(", or ")),
        }
    }
}

/// What a run with these settings on `images` training images of these classes lacks on `device`; `None` if it seems to fit, or nobody
/// tells. `resumed` says whether it goes on from a checkpoint; `processes` of the run share this machine, and each batch is cut into
/// `parts`.
pub(super) fn shortage(
    settings: &Settings,
    images: usize,
    classes: Option<&Classes>,
    device: &Device,
    resumed: bool,
    processes: usize,
    parts: usize,
) -> Option<Shortage> {
    let part = Settings { batch_size: settings.batch_size.div_ceil(parts), ..settings.clone() };
    let (model, batches) =
        (model_bytes(&part, images, classes.map_or(1, Classes::len)), batch_bytes(&part, images, classes));
    let of_all = |bytes: u64| bytes.saturating_mul(processes as u64);
    let machine = machine_memory(Path::new("/"));
    let short = |needed: u64, memory: Option<MachineMemory>, of| {
        let memory = memory.filter(|memory| needed > memory.available)?;
        Some(Shortage { needed, memory, of, remedies: remedies(settings, resumed) })
    };
    match device {
        Device::Cpu(..) => short(of_all(model.saturating_add(batches)), machine, MemoryOf::Machine),
        #[cfg(feature = "cuda")]
        Device::Cuda(_) => {
            let gpu = device.memory_bytes().map(|(available, total)| MachineMemory { available, total });
            short(model, gpu, MemoryOf::Gpu).or_else(|| short(of_all(batches), machine, MemoryOf::Machine))
        }
    }
}

/// The largest side that the settings train at.
pub(super) fn largest_side(settings: &Settings) -> usize {
    match settings.multi_scale {
        MultiScale::Off => settings.size,
        MultiScale::Random | MultiScale::Both => settings.larger_side(),
    }
}

/// Images of the largest batch.
pub(super) fn largest_batch(settings: &Settings, images: usize) -> usize {
    settings.batch_size.min(images)
}

/// The model, its optimiser, and what a batch takes between the forward and the backward pass.
fn model_bytes(settings: &Settings, images: usize, classes: usize) -> u64 {
    struct Bytes(usize, usize, usize, MemoryUse, Precision);
    impl WithVariant for Bytes {
        type Output = u64;
        fn call<V: Variant>(self) -> u64 {
            training_bytes::<V>(self.0, self.1, self.2, self.3, self.4)
        }
    }
    let (side, batch) = (largest_side(settings), largest_batch(settings, images));
    settings.variant.visit(Bytes(classes, side, batch, settings.memory, settings.precision))
}

/// The batches that wait to be learnt from: an image's three planes, and its masks or its index map.
fn batch_bytes(settings: &Settings, images: usize, classes: Option<&Classes>) -> u64 {
    let side = largest_side(settings) as u64;
    let of_pixel = match classes {
        None => 4 * (3 + 1),
        Some(classes) if classes.kind == ClassKind::Exclusive => 4 * 3 + 1,
        // a mask each, and whether it is known
        Some(classes) => 4 * 3 + 5 * classes.len() as u64,
    };
    let bytes = (largest_batch(settings, images) as u64).saturating_mul(of_pixel * side * side);
    bytes.saturating_mul(BATCHES_HELD as u64)
}

/// The settings that lower it, the one that changes least first. A run that goes on keeps what its weights depend on.
fn remedies(settings: &Settings, resumed: bool) -> Vec<&'static str> {
    let (new, smallest) = (!resumed, VariantName::ALL.first());
    let all = [
        (settings.memory != MemoryUse::Small, "`memory` = small"),
        (resumed, "another `device`, which has memory of its own"),
        (
            new && settings.batch_size > 1,
            "a smaller `batch_size` (and a larger `accumulate`, for steps of as many images)",
        ),
        (new && settings.precision == Precision::F32, "`precision` = bf16"),
        (new && SIDES.first().is_some_and(|least| settings.size > *least), "a smaller `size`"),
        (new && smallest != Some(&settings.variant), "a smaller `variant`"),
    ];
    all.into_iter().filter_map(|(helps, remedy)| helps.then_some(remedy)).collect()
}

/// What the system says in the files below `root`, which is `/` but in tests; `None` where it does not (elsewhere than
/// on Linux).
pub(crate) fn machine_memory(root: &Path) -> Option<MachineMemory> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.saturating_mul(1024))
    };
    let swap = field("SwapTotal").unwrap_or(0);
    let machine = MachineMemory { available: field("MemAvailable")?, total: field("MemTotal")?.saturating_add(swap) };
    let groups = groups(root).into_iter().filter_map(|folder| group_memory(&folder, swap));
    Some(groups.fold(machine, |least, group| MachineMemory {
        available: least.available.min(group.available),
        total: least.total.min(group.total),
    }))
}

/// The folders of the groups that limit this process's memory: its own, and all above it. In a container, whose files
/// show its own group only, that is the topmost folder.
fn groups(root: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut folders = Vec::new();
    for line in text.lines() {
        // `0::/path` of version 2, `4:memory:/path` of version 1
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let mount = match controllers.split(',').any(|name| name == "memory") {
            true => root.join("sys/fs/cgroup/memory"),
            false if controllers.is_empty() => root.join("sys/fs/cgroup"),
            false => continue,
        };
        let own = Path::new(path.trim_start_matches('/'));
        folders.extend(own.ancestors().map(|above| mount.join(above)));
    }
    folders
}

/// What a group is allowed and has left; `None` where it has no limit.
fn group_memory(folder: &Path, swap: u64) -> Option<MachineMemory> {
    let number = |name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    // version 2 says `max` where there is no limit, version 1 a number beyond any memory
    let limit = number("memory.max").or_else(|| number("memory.limit_in_bytes"))?;
    let used = number("memory.current").or_else(|| number("memory.usage_in_bytes"))?;
    let statistics = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let of = |name: &str| statistics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    // pages of files that the system drops when memory is wanted
    let cached = of("total_inactive_file ").or_else(|| of("inactive_file ")).unwrap_or(0);
    let used = used.saturating_sub(cached);
    Some(MachineMemory { available: limit.saturating_sub(used), total: limit.saturating_add(swap) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::DeviceChoice;

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    const MEMINFO: (&str, &str) =
        ("proc/meminfo", "MemTotal:  16000 kB\nMemFree: 1 kB\nMemAvailable:   8000 kB\nSwapTotal:  1000 kB\n");

    fn found(files: &[(&str, &str)]) -> Option<(u64, u64)> {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), files);
        machine_memory(root.path()).map(|memory| (memory.available, memory.total))
    }

    #[test]
    fn the_machine_and_the_groups_above_a_process_say_what_it_may_take() {
        let kib = |n: u64| n * 1024;
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[MEMINFO]), Some((kib(8000), kib(17000))));
        // version 2: the job's own limit, and a lower one above it; 100 of what it uses are pages of files
        let own = ("proc/self/cgroup", "0::/jobs/7/step\n");
        let limits = [
            ("sys/fs/cgroup/jobs/7/step/memory.max", "max\n"),
            ("sys/fs/cgroup/jobs/7/step/memory.current", "300\n"),
            ("sys/fs/cgroup/jobs/7/memory.max", "5000\n"),
            ("sys/fs/cgroup/jobs/7/memory.current", "600\n"),
            ("sys/fs/cgroup/jobs/7/memory.stat", "anon 500\ninactive_file 100\n"),
        ];
        assert_eq!(found(&[&[MEMINFO, own][..], &limits].concat()), Some((4500, 5000 + kib(1000))));
        // a container sees its group as the topmost one
        let top = [("sys/fs/cgroup/memory.max", "700\n"), ("sys/fs/cgroup/memory.current", "900\n")];
        assert_eq!(found(&[&[MEMINFO, ("proc/self/cgroup", "0::/\n")][..], &top].concat()), Some((0, 700 + kib(1000))));
        // version 1
        let old = [
            ("proc/self/cgroup", "5:cpu:/a\n4:memory:/docker/x\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "6000\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "1000\n"),
            ("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 400\n"),
        ];
        assert_eq!(found(&[&[MEMINFO][..], &old].concat()), Some((5400, 6000 + kib(1000))));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_says_what_it_has() {
        let memory = machine_memory(Path::new("/")).unwrap();
        assert!(memory.available <= memory.total && memory.total > 1 << 27, "{memory:?}");
    }

    #[test]
    fn an_excess_is_found_and_named_with_what_lowers_it() {
        let device = DeviceChoice::Cpu.open().unwrap();
        let small = Settings { size: 64, batch_size: 1, ..Settings::default() };
        // three images make no batch of 65536
        let many = Settings { batch_size: 65536, size: 1024, ..small.clone() };
        if machine_memory(Path::new("/")).is_some_and(|memory| memory.available > 8 << 30) {
            assert_eq!(shortage(&small, 3, None, &device, false, 1, 1), None);
        }
        let most = |settings: &Settings, images| model_bytes(settings, images, 1) + batch_bytes(settings, images, None);
        assert_eq!(most(&many, 3), most(&Settings { batch_size: 3, ..many.clone() }, 1000));
        if machine_memory(Path::new("/")).is_none() {
            return;
        }
        let found = shortage(&many, 65536, None, &device, false, 1, 1).unwrap();
        assert!(found.is_hopeless(), "{found:?}");
        let text = found.to_string();
        assert!(
            ["`memory` = small", "`batch_size`", "`precision` = bf16", "`size`"].iter().all(|part| text.contains(part))
        );
        let spare = Settings { memory: MemoryUse::Small, precision: Precision::Bf16, ..many };
        let text = shortage(&spare, 65536, None, &device, false, 1, 1).unwrap().to_string();
        assert!(!text.contains("`memory`") && !text.contains("`precision`"), "{text}");
    }

    #[test]
    fn only_what_helps_and_may_be_changed_is_offered() {
        let least = Settings {
            size: 64,
            batch_size: 1,
            variant: VariantName::Tiny,
            memory: MemoryUse::Small,
            precision: Precision::Bf16,
            ..Settings::default()
        };
        let most = Settings { size: 352, batch_size: 4, variant: VariantName::Large, ..Settings::default() };
        assert!(remedies(&least, false).is_empty());
        assert_eq!(remedies(&most, false).len(), 5);
        let device = "another `device`, which has memory of its own";
        assert_eq!(remedies(&most, true), ["`memory` = small", device]);
        assert_eq!(remedies(&least, true), [device]);
        let memory = MachineMemory { available: 1, total: 2 };
        let text = |remedies| Shortage { needed: 3, memory, of: MemoryOf::Machine, remedies }.to_string();
        assert!(text(Vec::new()).ends_with("None of the settings lowers it"));
    }

    #[test]
    fn both_scales_count_at_the_larger_side() {
        let off = Settings { size: 352, ..Settings::default() };
        let both = Settings { multi_scale: MultiScale::Both, ..off.clone() };
        let at = Settings { size: 448, ..off.clone() };
        assert_eq!(model_bytes(&both, 9, 1), model_bytes(&at, 9, 1));
        assert!(model_bytes(&off, 9, 1) < model_bytes(&at, 9, 1));
    }
}
