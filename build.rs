//! Notes the commit that is built. With the feature `cuda` it also compiles the CUDA kernels to PTX, which the library carries.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const KERNELS: &str = "src/kernels/cuda";
/// The oldest supported card; the driver compiles PTX for newer ones.
const ARCHITECTURE: &str = "compute_75";
/// The same for what only cards that multiply bf16 are asked to do, and the files of it.
const TENSOR_ARCHITECTURE: &str = "compute_80";
const TENSOR_KERNELS: [&str; 1] = ["attention_tensor"];
/// Where a toolkit may be, in this order; dfdx and cudarc look there too.
const ROOTS: [&str; 3] = ["CUDA_PATH", "CUDA_ROOT", "CUDA_TOOLKIT_ROOT_DIR"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    note_commit();
    let has = |feature: &str| env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    if !has("CUDA") {
        return;
    }
    println!("cargo::rerun-if-changed={KERNELS}");
    for root in ROOTS {
        println!("cargo::rerun-if-env-changed={root}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let result = match has("CI_CHECK") {
        true => sources().and_then(|list| list.iter().try_for_each(|source| pretend(source, &out))),
        false => sources().and_then(|list| compile(&list, &out)),
    };
    if let Err(reason) = result {
        println!("cargo::error={reason}");
    }
}

/// Gives the commit that HEAD names to the compiler as `SAM2UNET_COMMIT`: from the environment, else from git's files or a package's note, else none.
/// A new commit then means a new build; `export SAM2UNET_COMMIT=` spares it while one works.
fn note_commit() {
    println!("cargo::rerun-if-env-changed=SAM2UNET_COMMIT");
    if env::var_os("SAM2UNET_COMMIT").is_some() {
        return; // the compiler sees it as it is
    }
    if let Some(commit) = commit_of_package().or_else(commit_of_git) {
        println!("cargo::rustc-env=SAM2UNET_COMMIT={commit}");
    }
}

/// What `cargo package` notes.
fn commit_of_package() -> Option<String> {
    let note = fs::read_to_string(".cargo_vcs_info.json").ok()?;
    Some(note.split_once("\"sha1\": \"")?.1.split_once('"')?.0.to_string())
}

fn commit_of_git() -> Option<String> {
    let head = fs::read_to_string(".git/HEAD").ok()?;
    let branch = head.trim().strip_prefix("ref: ");
    let loose = branch.map(|branch| format!(".git/{branch}"));
    // every commit and checkout changes one of these
    let watched =
        [Some(".git/HEAD".into()), Some(".git/logs/HEAD".into()), Some(".git/packed-refs".into()), loose.clone()];
    for file in watched.into_iter().flatten().filter(|file| Path::new(file).exists()) {
        println!("cargo::rerun-if-changed={file}");
    }
    let (Some(branch), Some(loose)) = (branch, loose) else { return Some(head.trim().to_string()) };
    let packed = fs::read_to_string(".git/packed-refs").unwrap_or_default();
    let in_packed = || packed.lines().find_map(|line| Some(line.strip_suffix(branch)?.trim().to_string()));
    fs::read_to_string(loose).ok().map(|commit| commit.trim().to_string()).or_else(in_packed)
}

fn sources() -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(KERNELS).map_err(|e| format!("{KERNELS}: {e}"))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut sources: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|e| e == "cu")).collect();
    sources.sort();
    Ok(sources)
}

fn ptx(source: &Path, out: &Path) -> PathBuf {
    out.join(source.with_extension("ptx").file_name().expect("a source has a name"))
}

/// Type checks need a file to include, not its contents.
fn pretend(source: &Path, out: &Path) -> Result<(), String> {
    let ptx = ptx(source, out);
    fs::write(&ptx, "").map_err(|e| format!("{}: {e}", ptx.display()))
}

fn compile(sources: &[PathBuf], out: &Path) -> Result<(), String> {
    let nvcc = nvcc()?;
    std::thread::scope(|scope| {
        let nvcc = &nvcc;
        let compile = |source: &Path| compile_one(nvcc, source, &ptx(source, out));
        let running: Vec<_> = sources.iter().map(|source| scope.spawn(move || compile(source))).collect();
        running.into_iter().try_for_each(|thread| thread.join().expect("the compiler's thread does not panic"))
    })
}

fn compile_one(nvcc: &Path, source: &Path, ptx: &Path) -> Result<(), String> {
    let mut command = Command::new(nvcc);
    let tensor = source.file_stem().is_some_and(|stem| TENSOR_KERNELS.iter().any(|name| stem == *name));
    let architecture = if tensor { TENSOR_ARCHITECTURE } else { ARCHITECTURE };
    command.args(["--ptx", "-O3", "--gpu-architecture", architecture, "-o"]).arg(ptx).arg(source);
    // meant for dfdx's kernels: see .cargo/config.toml
    command.env_remove("NVCC_APPEND_FLAGS");
    let output = command.output().map_err(|e| format!("{}: {e}", nvcc.display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).replace('\n', " | "));
    Err(format!("nvcc cannot compile {}: {}{}", source.display(), said[0], said[1]))
}

/// `nvcc` of the toolkit that the environment names, else in `PATH`, else in the usual place.
fn nvcc() -> Result<PathBuf, String> {
    let program = format!("nvcc{}", env::consts::EXE_SUFFIX);
    let named = ROOTS.into_iter().filter_map(env::var_os).map(|root| PathBuf::from(root).join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = PathBuf::from("/usr/local/cuda/bin");
    let mut candidates = named.chain(env::split_paths(&path)).chain([usual]).map(|folder| folder.join(&program));
    candidates.find(|nvcc| nvcc.is_file()).ok_or_else(|| {
        format!(
            "the feature `cuda` needs NVIDIA's compiler `nvcc` (CUDA toolkit 12.x or 13.0): put it into PATH, or name \
             the toolkit's folder in {}",
            ROOTS.join(" or ")
        )
    })
}
