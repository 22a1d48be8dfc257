//! Values of flags: one name of several, and the number of threads.

use super::failure::Failure;
use crate::choice::Choice;
use crate::data::read::facts::{ExifOrientation, ReadOptions};
use crate::shard::{Shard, ShardError};
use crate::train::together::ranks::Ranks;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, Args, Command, Error, value_parser};
use rayon::ThreadPool;
use std::env;
use std::ffi::OsStr;

/// Reads the name of a choice in any case. `--help`, completions and refusals list the names.
pub(crate) fn choice<T: Choice + Send + Sync>() -> impl TypedValueParser<Value = T> {
    Names(T::names()).try_map(T::of_name)
}

/// Reads one of several names in any case, and gives it as it is listed.
#[derive(Clone)]
pub(crate) struct Names(pub Vec<&'static str>);

impl TypedValueParser for Names {
    type Value = &'static str;

    fn parse_ref(&self, command: &Command, flag: Option<&Arg>, value: &OsStr) -> Result<Self::Value, Error> {
        if let Some(name) = self.0.iter().find(|name| value.eq_ignore_ascii_case(name)) {
            return Ok(name);
        }
        // clap's own parser, which knows no other case either, words the refusal
        let refusal = PossibleValuesParser::new(self.0.iter()).parse_ref(command, flag, value).err();
        Err(refusal.unwrap_or_else(|| Error::new(ErrorKind::InvalidValue).with_cmd(command)))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(PossibleValue::new)))
    }
}

/// How many threads compute.
#[derive(Args)]
pub(crate) struct Threads {
    /// Threads to compute with [default: one for each core]
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl Threads {
    /// That many threads, to run the work on: on one of them no other is woken for each call.
    pub fn start(&self) -> Result<ThreadPool, Failure> {
        self.start_as(&Ranks::alone())
    }

    /// The same for one of several processes, which share their machine's cores.
    pub fn start_as(&self, ranks: &Ranks) -> Result<ThreadPool, Failure> {
        let threads = self.threads.map(usize::from).or(ranks.threads()).unwrap_or(0);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.map_err(|e| Failure::later(format_args!("cannot start the threads: {e}")))
    }
}

/// How image files are read.
#[derive(Args, Clone, Copy)]
pub(crate) struct Reading {
    /// Turn pictures as viewers show them, by the EXIF orientation of their files, or take them as they are stored, as
    /// Pillow does [default: ignore; for `predict`, as the checkpoint was trained]
    #[arg(long, value_name = "NAME", value_parser = choice::<ExifOrientation>())]
    exif_orientation: Option<ExifOrientation>,
    /// Divide grey files of 16 bits by 257; `=false` clips values above 255 to white, as Pillow does [default: false;
    /// for `predict`, as the checkpoint was trained]
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = Names(vec!["true", "false"]).map(|name| name == "true"), hide_possible_values = true
    )]
    scale_16_bit: Option<bool>,
}

impl Reading {
    /// What is given, and elsewhere what these options say.
    pub fn over(self, options: ReadOptions) -> ReadOptions {
        ReadOptions {
            exif_orientation: self.exif_orientation.unwrap_or(options.exif_orientation),
            scale_16_bit: self.scale_16_bit.unwrap_or(options.scale_16_bit),
        }
    }
}

/// Reads which part of the work is done: `2/3`, or `slurm`, which asks SLURM's variables.
pub(crate) fn shard(text: &str) -> Result<Shard, ShardError> {
    match text.eq_ignore_ascii_case("slurm") {
        true => Shard::of_slurm_array(|name| env::var_os(name).map(|value| value.to_string_lossy().into_owned())),
        false => text.parse(),
    }
}

/// A part of the work in words; `items` are what `count` counts.
pub(crate) fn shard_told(shard: Shard, count: usize, items: &str) -> String {
    format!("part {} of {}: {} of {count} {items}", shard.index(), shard.of(), shard.stretch(count).len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::DeviceChoice;
    use crate::kernels::memory_use::MemoryUse;
    use crate::nn::variant::VariantName;

    fn command() -> Command {
        Command::new("test")
            .arg(Arg::new("device").long("device").value_parser(choice::<DeviceChoice>()))
            .arg(Arg::new("memory").long("memory").value_parser(choice::<MemoryUse>()))
            .arg(Arg::new("variant").long("variant").value_parser(choice::<VariantName>()))
    }

    #[test]
    fn names_are_read_in_any_case() {
        let found =
            command().get_matches_from(["test", "--device", "CPU", "--memory", "Fast", "--variant", "BASE-plus"]);
        assert_eq!(found.get_one("device"), Some(&DeviceChoice::Cpu));
        assert_eq!(found.get_one("memory"), Some(&MemoryUse::Fast));
        assert_eq!(found.get_one("variant"), Some(&VariantName::BasePlus));
    }

    #[test]
    fn other_names_are_refused_with_the_flag_and_the_names_there_are() {
        let error = command().try_get_matches_from(["test", "--device", "gpu"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidValue);
        let text = error.to_string();
        assert!(["--device", "'gpu'", "auto, cpu, cuda"].iter().all(|part| text.contains(part)), "{text}");
    }

    #[test]
    fn help_lists_the_names() {
        let help = command().render_help().to_string();
        assert!(help.contains("[possible values: auto, cpu, cuda]"), "{help}");
        assert!(help.contains("[possible values: tiny, small, base-plus, large]"), "{help}");
    }
}
