//! The flags of `train`'s settings, made of the table of settings.

use super::flags::Names;
use crate::metrics::task::Task;
use crate::train::settings::key::{Flag, Group, Key};
use crate::train::settings::preset;
use crate::train::settings::settings::{KEYS, Settings};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};
use std::ffi::{OsStr, OsString};
use std::sync::LazyLock;
use toml::{Table, Value};

/// The settings that stand on the command line, by their keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct GivenSettings(pub Table);

impl Args for GivenSettings {
    fn augment_args(command: Command) -> Command {
        command.args(KEYS.iter().filter_map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for GivenSettings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let value = |key: &Key| match key.flag {
            Flag::Value(_) => matches.get_one::<Value>(key.name).cloned(),
            Flag::On => matches.get_flag(key.name).then_some(Value::Boolean(true)),
            Flag::Off(_) => matches.get_flag(key.name).then_some(Value::Boolean(false)),
            Flag::FileOnly => None,
        };
        Ok(Self(KEYS.iter().filter_map(|key| Some((key.name.to_string(), value(key)?))).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.extend(Self::from_arg_matches(matches)?.0);
        Ok(())
    }
}

/// The flag of a setting. Its text on the command line becomes the TOML value of the setting's key.
fn flag(key: &'static Key) -> Option<Arg> {
    let arg = Arg::new(key.name).long(key.flag_name()?).help_heading(heading(key.group)).allow_negative_numbers(true);
    let names = (key.names)();
    Some(match key.flag {
        Flag::Value(name) if names.is_empty() => {
            let parser = OsStringValueParser::new().try_map(|text: OsString| (key.parse)(&text));
            arg.value_name(name).help(help(key)).value_parser(parser)
        }
        Flag::Value(name) => {
            let parser = Names(names).try_map(|name| (key.parse)(OsStr::new(name)));
            arg.value_name(name).help(help(key)).value_parser(parser)
        }
        Flag::On => arg.action(ArgAction::SetTrue).help(key.help.trim()),
        Flag::Off(help) => arg.action(ArgAction::SetTrue).help(help),
        Flag::FileOnly => return None,
    })
}

fn heading(group: Group) -> &'static str {
    match group {
        Group::Data => "Data",
        Group::Model => "Model",
        Group::Optimisation => "Optimisation",
        Group::Run => "Run",
    }
}

/// What the setting is, and its value where nothing is given.
fn help(key: &Key) -> String {
    static PRESETS: LazyLock<[Table; 2]> = LazyLock::new(|| {
        let defaults = Table::try_from(Settings::default()).unwrap_or_default();
        [preset::paper(), preset::demonstration()].map(|preset| defaults.clone().into_iter().chain(preset).collect())
    });
    let [paper, demonstration] = PRESETS.each_ref().map(|preset| preset.get(key.name).map(shown));
    let task = Task::ALL.iter().any(|task| preset::of_task(*task).contains_key(key.name));
    let task = if task { ", or the task's" } else { "" };
    let default = match (paper, demonstration) {
        (Some(paper), Some(other)) if paper != other => format!(" [default: {paper}{task}; without --images {other}]"),
        (Some(paper), _) => format!(" [default: {paper}{task}]"),
        _ if key.name == "task" => format!(" ({})", tasks()),
        _ => String::new(),
    };
    key.help.trim().to_string() + &default
}

/// What each task sets.
fn tasks() -> String {
    let of = |task: &Task| {
        let values = preset::of_task(*task)
            .into_iter()
            .map(|(key, value)| format!("--{} {}", key.replace('_', "-"), shown(&value)));
        format!("{task}: {}", values.collect::<Vec<_>>().join(" "))
    };
    Task::ALL.iter().map(of).collect::<Vec<_>>().join(", ")
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Float(number) if *number != 0.0 && number.abs() < 0.01 => format!("{number:e}"),
        Value::Float(number) => number.to_string(),
        other => other.to_string(),
    }
}
