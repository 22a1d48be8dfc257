//! `Predictor`: a model for inference only, the fastest way from images to masks.

use super::backend::bound::Backend;
use super::sam2unet::Sam2UNet;
use super::shape::{Classes, Image, Masks, ShapeError, Side, check_image};
use super::variant::Variant;
use super::weights::build::Weights;
use super::weights::spec::{Value, WeightSpec};
use crate::kernels::precision::Precision;
use dfdx::prelude::*;
use std::sync::Arc;

/// A model that predicts and no longer changes: it computes the prediction only, folds batch norms into convolutions once, and
/// passes no tensor between two operations. A clone shares its weights.
///
/// ```no_run
/// # use dfdx::prelude::*;
/// # use sam2unet::nn::{Const, Image, Initialiser, Large, Sam2UNet};
/// # let device = Cpu::default();
/// let predictor = Sam2UNet::<Large>::from_source(&device, &mut Initialiser::new(0))?.into_predictor();
/// let images: Image<Const<2>, Const<352>, Cpu> = device.zeros();
/// let probabilities = predictor.predict(images)?.sigmoid();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Predictor<V: Variant, D: Backend = Cpu, K: Classes = Const<1>> {
    /// Not public: a copy of it could be trained.
    pub(in crate::nn) model: Arc<Sam2UNet<V, D, K>>,
}

/// Why there is no prediction.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// Images of sizes known at run time that the network does not take.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The device failed.
    #[error("the device failed: {0}")]
    Device(String),
}

impl<V: Variant, D: Backend, K: Classes> Sam2UNet<V, D, K> {
    /// Turns the model into a predictor, which cannot be trained any more.
    pub fn into_predictor(mut self) -> Predictor<V, D, K> {
        self.prepare_inference();
        Predictor { model: Arc::new(self) }
    }
}

impl<V: Variant, D: Backend, K: Classes> Predictor<V, D, K> {
    /// The prediction's logits `(B, K, S, S)` for normalised images `(B, 3, S, S)`.
    ///
    /// The first call with a side packs the convolutions' folded weights; later ones reuse them.
    ///
    /// # Errors
    /// When a run-time batch is empty, or a run-time side is not square, no multiple of 32, or below 64; when the device fails.
    pub fn predict<B: Dim, S: Side>(&self, images: Image<B, S, D>) -> Result<Masks<B, S, K, D>, PredictError> {
        let [batch, _, height, width] = images.shape().concrete();
        check_image(batch, height, width)?;
        self.model.try_predict(images).map_err(|e| PredictError::Device(D::explain(&e)))
    }

    /// Precision in which its large products are computed.
    pub fn precision(&self) -> Precision {
        self.model.precision()
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.model.classes()
    }

    /// Calls `f` with every stored value: see [`Sam2UNet::each_value`].
    ///
    /// # Panics
    /// As there.
    pub fn each_value(&self, f: &mut dyn FnMut(WeightSpec, Value)) {
        self.model.each_value(f);
    }

    /// Where it predicts.
    pub fn device(&self) -> &D {
        self.model.device()
    }
}
