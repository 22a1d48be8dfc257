//! Folders of runs, as a kill, a copy or an earlier version leaves them.

use std::fs;
use std::path::Path;

/// A copy of a run's folder as it lies on the disk now: what a kill at this moment would leave.
pub fn copy(from: &Path, to: &Path) {
    each(from, to, &|path, to| {
        #[cfg(unix)]
        if path.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(path).unwrap(), to).unwrap();
            return true;
        }
        let _ = (path, to);
        false
    });
}

/// A copy by a program that follows links: `last` and `best` are folders in it.
#[allow(dead_code, reason = "the tests of whole programs follow none")]
pub fn copy_following(from: &Path, to: &Path) {
    each(from, to, &|_, _| false);
}

/// Copies what `copied` did not.
fn each(from: &Path, to: &Path, copied: &dyn Fn(&Path, &Path) -> bool) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        let to = to.join(name);
        if copied(&path, &to) {
            continue;
        }
        match path.is_dir() {
            true => each(&path, &to, copied),
            false => drop(fs::copy(&path, to).unwrap()),
        }
    }
}

/// Makes of a run's folder what the version before numbered checkpoints would have written.
#[allow(dead_code, reason = "the property tests have no earlier version")]
pub fn as_earlier(run: &Path) {
    let target = |name: &str| fs::read_link(run.join(name)).ok().map(|target| run.join(target));
    let (last, best) = (target("last").unwrap(), target("best"));
    let text = fs::read_to_string(last.join("state.json")).unwrap();
    let mut state: serde_json::Value = serde_json::from_str(&text).unwrap();
    for key in ["format", "val_names"] {
        state.as_object_mut().unwrap().remove(key).unwrap();
    }
    let whole = state["best"]["step"].as_u64().map(|step| run.join("checkpoints").join(step.to_string()));
    let alone = |from: &Path, name: &str| {
        fs::create_dir(run.join(name)).unwrap();
        fs::copy(from.join("model.safetensors"), run.join(name).join("model.safetensors")).unwrap();
    };
    for name in ["last", "best"] {
        // `best` may not be there yet
        let _ = fs::remove_file(run.join(name));
    }
    if let Some(best) = &best {
        alone(best, "best");
    }
    if let Some(whole) = whole.filter(|whole| Some(whole) != best.as_ref()) {
        alone(&whole, "best.epoch");
    }
    fs::rename(&last, run.join("last")).unwrap();
    fs::write(run.join("last/state.json"), serde_json::to_string_pretty(&state).unwrap()).unwrap();
    fs::remove_dir_all(run.join("checkpoints")).unwrap();
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    let config: String =
        config.lines().filter(|line| !line.starts_with("keep ")).map(|line| format!("{line}\n")).collect();
    fs::write(run.join("config.toml"), config).unwrap();
    let _ = fs::remove_file(run.join("running.json"));
}
