//! What a model is to the host: sizes, plans.

use crate::host::{c_string, call, spec};
use crate::{abi, abi::keel_spec};
use std::ffi::CString;

/// Defaults as in `keel_spec_api`.
pub struct Spec {
    pub num_layers: i64,
    pub hidden_size: i64,
    pub vocab_size: i64,
    /// 0: unlimited.
    pub max_positions: i64,
    pub tie_word_embeddings: bool,
    pub embed_scale: f64,
    pub logit_scale: f64,
    pub base_model_prefix: &'static str,
    pub embed_tokens: &'static str,
    pub lm_head: &'static str,
    /// base_model_tp_plan: (pattern relative to the base model, style).
    pub tp_plan: Vec<(&'static str, &'static str)>,
    /// base_model_pp_plan, in order of execution: (child, inputs, outputs).
    pub pp_plan: Vec<(&'static str, Vec<&'static str>, Vec<&'static str>)>,
    /// Checkpoint names: (RE2 pattern over the whole name, what it becomes).
    pub renames: Vec<(&'static str, &'static str)>,
}

impl Default for Spec {
    fn default() -> Self {
        Spec {
            num_layers: 0,
            hidden_size: 0,
            vocab_size: 0,
            max_positions: 0,
            tie_word_embeddings: false,
            embed_scale: 1.0,
            logit_scale: 1.0,
            base_model_prefix: "model",
            embed_tokens: "model.embed_tokens",
            lm_head: "lm_head",
            tp_plan: Vec::new(),
            pp_plan: Vec::new(),
            renames: Vec::new(),
        }
    }
}

impl Spec {
    pub(crate) fn write(&self, out: *mut keel_spec) -> abi::keel_status {
        for (field, value) in [
            (c"num_layers", self.num_layers),
            (c"hidden_size", self.hidden_size),
            (c"vocab_size", self.vocab_size),
            (c"max_positions", self.max_positions),
            (c"tie_word_embeddings", self.tie_word_embeddings.into()),
        ] {
            call!(spec(), keel_spec_api, set_int, out, field.as_ptr(), value);
        }
        for (field, value) in
            [(c"embed_scale", self.embed_scale), (c"logit_scale", self.logit_scale)]
        {
            call!(spec(), keel_spec_api, set_real, out, field.as_ptr(), value);
        }
        for (field, value) in [
            (c"base_model_prefix", self.base_model_prefix),
            (c"embed_tokens", self.embed_tokens),
            (c"lm_head", self.lm_head),
        ] {
            let value = c_string(value);
            call!(spec(), keel_spec_api, set_string, out, field.as_ptr(), value.as_ptr());
        }
        for (pattern, style) in &self.tp_plan {
            let (pattern, style) = (c_string(pattern), c_string(style));
            call!(spec(), keel_spec_api, tp_plan, out, pattern.as_ptr(), style.as_ptr());
        }
        for (child, inputs, outputs) in &self.pp_plan {
            let texts = |names: &[&str]| names.iter().map(|name| c_string(name)).collect::<Vec<_>>();
            let (child, inputs, outputs) = (c_string(child), texts(inputs), texts(outputs));
            let pointers = |texts: &[CString]| texts.iter().map(|t| t.as_ptr()).collect::<Vec<_>>();
            let (from, to) = (pointers(&inputs), pointers(&outputs));
            call!(
                spec(),
                keel_spec_api,
                pp_plan,
                out,
                child.as_ptr(),
                from.as_ptr(),
                from.len() as u32,
                to.as_ptr(),
                to.len() as u32
            );
        }
        for (from, to) in &self.renames {
            let (from, to) = (c_string(from), c_string(to));
            let (from, to) = ([from.as_ptr()], [to.as_ptr()]);
            let rename = abi::keel_rename {
                struct_size: core::mem::size_of::<abi::keel_rename>() as u32,
                from: from.as_ptr(),
                to: to.as_ptr(),
                num_from: 1,
                num_to: 1,
                ..Default::default()
            };
            call!(spec(), keel_spec_api, rename, out, &rename);
        }
        call!(spec(), keel_spec_api, status, out)
    }
}
