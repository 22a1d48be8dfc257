//! What names of weights, and of what leads to them, tell.

/// So many bytes of a name are looked at for what it is the name of.
const MAX_LOOKED: usize = 64;
/// Longest text, in bytes, that is looked for before the names of a model.
pub(in crate::checkpoint) const MAX_PREFIX: usize = 4096;

/// How the weights of a module are had in Python.
pub(in crate::checkpoint) const STATE_DICT: &str = ".state_dict()";

/// What is said of files without weights that an optimiser wrote.
pub(in crate::checkpoint) const OPTIMISER: &str =
    "holds the state of an optimiser only, no weights: these are in another file of the same training";

/// `model.state[0].x`: keys with points between them.
pub(in crate::checkpoint) fn joined<'s>(section: impl Iterator<Item = &'s str>) -> String {
    let mut text = String::new();
    for key in section {
        if !text.is_empty() && !key.starts_with(['[', '.']) {
            text.push('.');
        }
        text.push_str(key);
    }
    text
}

/// `optimizer`, `optim_state_dict`, `optimizer_0`, and not `optimal_model`, `optimizer_ema_model`.
pub(super) fn is_name_of_optimiser(key: &str) -> bool {
    const FIRST: [&str; 5] = ["optim", "optimizer", "optimizers", "optimiser", "optimisers"];
    const BEHIND: [&str; 5] = ["state", "states", "dict", "dicts", "group"];
    let mut words = key.split(['_', '.', '-']);
    let is_one_of = |word: &str, list: &[&str]| list.iter().any(|known| known.eq_ignore_ascii_case(word));
    key.len() <= MAX_LOOKED
        && words.next().is_some_and(|word| is_one_of(word, &FIRST))
        && words.all(|word| word.len() <= 1 || is_one_of(word, &BEHIND))
}

/// What is called as copies of a model are: averaged ones, earlier ones, numbers of each weight.
pub(in crate::checkpoint) fn is_name_of_copy(key: &str) -> bool {
    const COPIES: [&str; 13] = [
        "swa",
        "shadow",
        "target",
        "init",
        "initial",
        "old",
        "prev",
        "fisher",
        "momentum",
        "grad",
        "grads",
        "gradient",
        "gradients",
    ];
    let key = key[..key.floor_char_boundary(MAX_LOOKED)].to_ascii_lowercase();
    let mut words = key.split(|c: char| !c.is_ascii_alphanumeric());
    let copy = |word: &str| word.starts_with("ema") || word.ends_with("ema") || COPIES.contains(&word);
    words.any(copy) || key.contains("averag") || key.contains("teacher")
}

/// What is called as models are, or as the best of them.
pub(super) fn is_name_of_model(key: &str) -> bool {
    const MODELS: [&str; 8] =
        ["model", "state_dict", "model_state_dict", "model_state", "net", "network", "weights", "student"];
    MODELS.contains(&key) || key[..key.floor_char_boundary(MAX_LOOKED)].to_ascii_lowercase().contains("best")
}

/// Whether a weight is named as those of SAM2's trunk are, or of another network of its kind.
pub(super) fn is_of_trunk(name: &str) -> bool {
    let start = &name[..name.floor_char_boundary(MAX_PREFIX)];
    ["blocks.", "patch_embed."].iter().any(|word| start.contains(word))
}
