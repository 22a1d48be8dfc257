//! What may be chosen anew when a run is resumed.

use super::check::check;
use super::choices::Choices;
use super::error::SettingsError;
use super::settings::Settings;

impl Settings {
    /// The settings of a resumed run: only its length and what changes its results by rounding at most may be
    /// chosen anew (`steps`, `epochs`, `threads`, `device`, `memory`, `checkpoint_minutes`).
    ///
    /// # Errors
    /// When another choice differs from the run's setting.
    pub fn resumed_with(mut self, choices: Choices) -> Result<Self, SettingsError> {
        let Choices { steps, epochs, threads, device, memory, checkpoint_minutes, .. } = choices;
        let fixed = Choices {
            steps: None,
            epochs: None,
            threads: None,
            device: None,
            memory: None,
            checkpoint_minutes: None,
            ..choices
        };
        if fixed != Choices::default() {
            return Err(SettingsError::Conflict(
                "--resume takes everything from the run's config.toml: next to it only --steps, --epochs, --threads, \
                 --device, --memory and --checkpoint-minutes can be given. For other settings start a new run, with --init \
                 DIR/last/model.safetensors to go on from its weights"
                    .to_string(),
            ));
        }
        self.steps = steps.or(self.steps);
        self.epochs = epochs.or(self.epochs);
        self.threads = threads.or(self.threads);
        self.device = device.unwrap_or(self.device);
        self.memory = memory.unwrap_or(self.memory);
        self.checkpoint_minutes = checkpoint_minutes.unwrap_or(self.checkpoint_minutes);
        check(&self)?;
        Ok(self)
    }
}
