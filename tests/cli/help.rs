//! Help, completions and the manual page; `train` beside `sam2unet train`; exit statuses of the command line itself.

use super::program::{Ended, done, run, sam2unet};
use std::path::Path;
use std::process::Command;

const SUBCOMMANDS: [&str; 8] = ["train", "predict", "evaluate", "convert", "info", "bench", "completions", "man"];

fn here() -> &'static Path {
    Path::new(".")
}

/// The long flags that a subcommand's help describes: each on a line of its own, which six columns go before.
pub fn flags(subcommand: &str) -> Vec<String> {
    let help = done(here(), &[subcommand, "--help"]);
    let flag = |line: &str| {
        let (before, rest) = line.split_once("--")?;
        let is_description = before.len() == 6 && (before.trim().is_empty() || before.starts_with("  -"));
        is_description
            .then(|| rest.chars().take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-').collect())
    };
    help.lines().filter_map(flag).collect()
}

/// Every subcommand with every flag that its help describes.
fn all() -> Vec<(&'static str, Vec<String>)> {
    let all: Vec<_> = SUBCOMMANDS.into_iter().map(|name| (name, flags(name))).collect();
    let count: usize = all.iter().map(|(_, flags)| flags.len()).sum();
    assert!(count > 50, "only {count} flags were found: {all:?}");
    all
}

#[test]
fn help_of_every_subcommand_shows_an_example() {
    let program = done(here(), &["--help"]);
    let listed = program.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    for name in SUBCOMMANDS {
        let lines = listed.lines().filter(|line| line.starts_with(&format!("  {name} "))).count();
        assert_eq!(lines, 1, "{name}: {listed}");
        for flag in ["--help", "-h"] {
            let help = done(here(), &[name, flag]);
            let examples = help.split("Examples:").nth(1).unwrap_or_else(|| panic!("{name} {flag}: {help}"));
            assert!(examples.contains(&format!("sam2unet {name}")), "{name} {flag}: {examples}");
        }
    }
    assert_eq!(listed.lines().filter(|line| !line.is_empty()).count(), SUBCOMMANDS.len() + 1, "and help: {listed}");
    assert!(program.contains("Examples:"));
}

#[test]
fn a_wrong_command_line_is_refused_with_status_2() {
    for name in SUBCOMMANDS {
        let Ended { status, out, err } = run(here(), &[name, "--imagse"]);
        assert_eq!((status, &out[..]), (Some(2), ""), "{name}: {err}");
        assert!(err.contains("--imagse") && err.contains(&format!("Usage: sam2unet {name}")), "{err}");
    }
    for wrong in
        [&[][..], &["trian"], &["bench", "infer", "huge", "1"], &["bench", "infer", "tiny", "1", "--device", "gpu"]]
    {
        assert_eq!(run(here(), wrong).status, Some(2), "{wrong:?}");
    }
    let names = run(here(), &["evaluate", "--predictions", "p", "--masks", "m", "--task", "polyps"]).err;
    assert!(names.contains("--task") && names.contains("camouflage") && names.contains("'polyp'"), "{names}");
}

/// Their flags, output and exit status are the same.
#[test]
fn train_is_an_alias_of_the_subcommand() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [&[&str]; 8] = [
        &["--help"],
        &["-h"],
        &["--version"],
        &["--imagse", "x"],
        &["--task", "polyps"],
        &["--lr", "-1"],
        &["--images", "a", "--masks", "b"],
        &["--resume", "nothing"],
    ];
    for arguments in cases {
        let alias = Command::new(env!("CARGO_BIN_EXE_train")).args(arguments).current_dir(&folder).output().unwrap();
        let alias = Ended::from(alias);
        assert_eq!(alias, run(folder.path(), &[&["train"], arguments].concat()), "{arguments:?}");
        let asked = arguments[0].starts_with("--h") || arguments[0] == "-h" || arguments[0] == "--version";
        assert_eq!(alias.status, Some(if asked { 0 } else { 2 }), "{arguments:?}");
        assert!(alias.out.is_empty() != asked && alias.err.is_empty() == asked, "{arguments:?}: {alias:?}");
    }
}

#[test]
fn completions_name_every_subcommand_and_flag() {
    // what stands around a subcommand's name where the shell chooses it
    let shells = [
        ("bash", "--", ["sam2unet,", ")\n"]),
        ("zsh", "--", ["(", ")\n"]),
        ("FISH", "-l ", ["needs_command\" -f -a \"", "\" -d "]),
    ];
    for (shell, long, [before, after]) in shells {
        let script = done(here(), &["completions", shell]);
        for (name, flags) in all() {
            assert!(script.contains(&format!("{before}{name}{after}")), "{shell}: {name}");
            for flag in flags {
                assert!(script.contains(&format!("{long}{flag}")), "{shell}: {name} --{flag}");
            }
        }
        // the names of choices too
        assert!(script.contains("camouflage") && script.contains("base-plus"), "{shell}");
    }
    assert_eq!(run(here(), &["completions", "csh"]).status, Some(2));
}

#[test]
fn the_manual_page_names_every_subcommand_and_flag() {
    let page = done(here(), &["man"]).replace("\\-", "-");
    assert!(page.contains(".TH sam2unet 1"), "{}", &page[..200]);
    for (name, flags) in all() {
        let section = format!(".SH \"SAM2UNET {}\"\n", name.to_uppercase());
        let section = page.split(&section).nth(1).unwrap_or_else(|| panic!("{name} is not in the page"));
        let section = section.split("\n.SH ").next().unwrap();
        assert!(section.contains(&format!("sam2unet {name}")), "{name}: {section}");
        // the synopsis names every flag too, in a line that begins otherwise
        let described = |flag: &str| {
            let bold = format!("\\fB--{flag}\\fR");
            section.lines().any(|line| line.starts_with("\\fB-") && line.contains(&bold))
        };
        for flag in flags {
            assert!(described(&flag), "{name} --{flag}: {section}");
        }
    }
}

/// Who reads the first lines only (`head`) sees no error.
#[test]
fn a_closed_pipe_is_no_error() {
    for arguments in [&["man"][..], &["completions", "bash"], &["info", "tiny"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = Ended::from(sam2unet(here(), arguments).stdout(writer).output().unwrap());
        assert_eq!((ended.status, &ended.err[..]), (Some(0), ""), "{arguments:?}");
    }
}
