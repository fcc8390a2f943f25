//! What a model is built from. A constructor declares (names and global shapes; no tensor exists),
//! `run` says what is computed. Layers are named as the checkpoint names them.

use crate::abi::{self, keel_build, keel_object, keel_str};
use crate::host::call;
use crate::tensor::{op, Tensor};
use core::marker::PhantomData;
use core::ops::Div;

/// A place in the model's tree of names: `root / "model" / "layers" / 3` is "model.layers.3".
#[derive(Clone)]
pub struct Scope<'b> {
    build: *mut keel_build,
    name: String,
    life: PhantomData<&'b ()>,
}

impl Scope<'_> {
    /// # Safety
    /// `build` lives as long as the value.
    pub(crate) unsafe fn root(build: *mut keel_build) -> Self {
        Scope { build, name: String::new(), life: PhantomData }
    }

    fn child(&self, name: &str) -> Self {
        let name =
            if self.name.is_empty() { name.to_owned() } else { format!("{}.{name}", self.name) };
        Scope { name, ..*self }
    }

    fn api(&self) -> *const abi::keel_build_api {
        // SAFETY: a build's first word is its table.
        unsafe { (*self.build).api }
    }

    fn name(&self) -> keel_str {
        keel_str { data: self.name.as_ptr().cast(), size: self.name.len() }
    }

    pub(crate) fn status(&self) -> abi::keel_status {
        call!(self.api(), keel_build_api, status, self.build)
    }
}

impl<'b> Div<&str> for &Scope<'b> {
    type Output = Scope<'b>;
    fn div(self, name: &str) -> Scope<'b> {
        self.child(name)
    }
}
impl<'b> Div<&str> for Scope<'b> {
    type Output = Scope<'b>;
    fn div(self, name: &str) -> Scope<'b> {
        self.child(name)
    }
}
impl<'b> Div<i64> for &Scope<'b> {
    type Output = Scope<'b>;
    fn div(self, index: i64) -> Scope<'b> {
        self.child(&index.to_string())
    }
}

/// y = x W^T (+ b), [.., in] -> [.., out]; "<scope>.weight" is [out, in].
pub struct Linear(keel_object);

impl Linear {
    pub fn new(s: &Scope, inputs: i64, outputs: i64, bias: bool) -> Self {
        let flags = if bias { abi::KEEL_LINEAR_BIAS } else { 0 };
        Linear(call!(s.api(), keel_build_api, linear, s.build, s.name(), inputs, outputs, flags))
    }
    pub fn run<'r>(&self, x: Tensor<'r>) -> Tensor<'r> {
        x.with(op!(x.run(), linear, self.0, x.id()))
    }
}

/// Rows of a table, [N] -> [N, size]. The token embedding is the host's.
pub struct Embedding(keel_object);

impl Embedding {
    pub fn new(s: &Scope, rows: i64, size: i64) -> Self {
        let flags = abi::KEEL_EMBEDDING_DEFAULT;
        Embedding(call!(s.api(), keel_build_api, embedding, s.build, s.name(), rows, size, flags))
    }
    pub fn run<'r>(&self, ids: Tensor<'r>) -> Tensor<'r> {
        ids.with(op!(ids.run(), embed, self.0, ids.id()))
    }
}

/// What norms have in common: where they are declared and how they run.
struct Norm(keel_object);

impl Norm {
    fn new(s: &Scope, kind: u32, size: i64, eps: f64, flags: u32) -> Self {
        let desc = abi::keel_norm_desc {
            struct_size: core::mem::size_of::<abi::keel_norm_desc>() as u32,
            kind,
            size,
            eps,
            flags,
            ..Default::default()
        };
        Norm(call!(s.api(), keel_build_api, norm, s.build, s.name(), &desc))
    }
    fn run<'r>(&self, x: Tensor<'r>) -> Tensor<'r> {
        x.with(op!(x.run(), norm, self.0, x.id()))
    }
}

/// Over the last `size` elements, same shape.
pub struct RmsNorm(Norm);

impl RmsNorm {
    pub fn new(s: &Scope, size: i64, eps: f64) -> Self {
        RmsNorm(Norm::new(s, abi::KEEL_NORM_RMS, size, eps, 0))
    }
    pub fn run<'r>(&self, x: Tensor<'r>) -> Tensor<'r> {
        self.0.run(x)
    }
}

/// Over the last `size` elements, with weight and bias, same shape.
pub struct LayerNorm(Norm);

impl LayerNorm {
    pub fn new(s: &Scope, size: i64, eps: f64) -> Self {
        let flags = abi::KEEL_NORM_BIAS | abi::KEEL_NORM_CAST_LAST;
        LayerNorm(Norm::new(s, abi::KEEL_NORM_LAYER, size, eps, flags))
    }
    pub fn run<'r>(&self, x: Tensor<'r>) -> Tensor<'r> {
        self.0.run(x)
    }
}

/// Rotary embedding of each head, [N, heads, D] -> the same. What is said here is the family's
/// default, the config's rope_parameters decide.
pub struct Rope(keel_object);

impl Rope {
    pub fn new(s: &Scope, head_dim: i64, theta: f64, partial_rotary_factor: f64) -> Self {
        let desc = abi::keel_rope_desc {
            struct_size: core::mem::size_of::<abi::keel_rope_desc>() as u32,
            head_dim,
            theta,
            partial_rotary_factor,
            ..Default::default()
        };
        Rope(call!(s.api(), keel_build_api, rope, s.build, &desc))
    }
    pub fn run<'r>(&self, x: Tensor<'r>, positions: Tensor<'r>) -> Tensor<'r> {
        x.with(op!(x.run(), rope, self.0, x.id(), positions.id()))
    }
}

/// softmax(q k^T) v over the sequence's cached keys: q [N, heads, head_dim], k, v [N, kv_heads,
/// head_dim] -> [N, heads, head_dim].
pub struct Attention(keel_object);

impl Attention {
    pub fn new(s: &Scope, layer: i64, heads: i64, kv_heads: i64, head_dim: i64) -> Self {
        let desc = abi::keel_attention_desc {
            struct_size: core::mem::size_of::<abi::keel_attention_desc>() as u32,
            layer: layer as i32,
            heads,
            kv_heads,
            qk_dim: head_dim,
            v_dim: head_dim,
            ..Default::default()
        };
        Attention(call!(s.api(), keel_build_api, attention, s.build, s.name(), &desc))
    }
    pub fn run<'r>(&self, q: Tensor<'r>, k: Tensor<'r>, v: Tensor<'r>) -> Tensor<'r> {
        let none = core::ptr::null();
        q.with(op!(q.run(), attention, self.0, q.id(), k.id(), v.id(), none, 0))
    }
}

/// Marks the layer that the ops in its lifetime belong to: pipeline cuts, taps and profiles.
pub struct LayerMark<'r> {
    at: Tensor<'r>,
    index: i32,
}

impl<'r> LayerMark<'r> {
    pub fn new(at: Tensor<'r>, index: usize) -> Self {
        let index = index as i32;
        op!(at.run(), mark, abi::KEEL_MARK_LAYER_BEGIN, index);
        LayerMark { at, index }
    }
}

impl Drop for LayerMark<'_> {
    fn drop(&mut self) {
        op!(self.at.run(), mark, abi::KEEL_MARK_LAYER_END, self.index)
    }
}
