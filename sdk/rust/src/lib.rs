//! Write models for Keel in Rust. A model is a struct of layers whose constructor declares them and
//! whose `forward` says the mathematics; [`keel_plugin!`] makes the shared library of it. The
//! smallest one, a norm between the embedding and the head:
//!
//! ```
//! use keel::{Config, Inputs, Model, RmsNorm, Scope, Spec, Tensor};
//!
//! struct Tiny {
//!     norm: RmsNorm,
//! }
//!
//! impl Model for Tiny {
//!     fn spec(config: &Config) -> Spec {
//!         Spec {
//!             hidden_size: config.int("hidden_size"),
//!             vocab_size: config.int("vocab_size"),
//!             ..Spec::default()
//!         }
//!     }
//!     fn new(root: &Scope, config: &Config) -> Self {
//!         let size = config.int("hidden_size");
//!         Tiny { norm: RmsNorm::new(&(root / "model" / "norm"), size, 1e-6) }
//!     }
//!     fn forward<'r>(&self, inputs: &Inputs<'r>) -> Tensor<'r> {
//!         self.norm.run(inputs.embeds)
//!     }
//! }
//!
//! keel::keel_plugin! {
//!     id: "org.example.tiny",
//!     version: "1.0.0",
//!     model: Tiny,
//!     model_type: "tiny",
//!     architectures: ["TinyForCausalLM"],
//! }
//! # fn main() {}
//! ```
//!
//! A panic does not leave the plugin: it becomes an error of the load. What the header says of
//! shapes, types and threads holds here too; [`abi`] is the header itself, for what has no wrapper
//! yet.

#[allow(clippy::all, missing_docs)]
pub mod abi;
mod config;
mod host;
mod layers;
mod plugin;
mod spec;
mod tensor;

pub use config::Config;
pub use layers::{Attention, Embedding, LayerMark, LayerNorm, Linear, RmsNorm, Rope, Scope};
pub use plugin::{Inputs, Model, __private};
pub use spec::Spec;
pub use tensor::Tensor;
