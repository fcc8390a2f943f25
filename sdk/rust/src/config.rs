//! config.json as a family reads it.

use crate::host::{c_string, call, config};
use crate::{abi, abi::keel_config};
use core::marker::PhantomData;

/// config.json or an object in it. Keys are paths `"a/b/3"` with alternatives `"new_key|old_key"`;
/// see `keel_config_api`. What is missing or of another kind is an error that the host reports by
/// key; the getter then returns a harmless value, so constructors go on.
#[derive(Clone, Copy)]
pub struct Config<'c> {
    handle: *mut keel_config,
    life: PhantomData<&'c ()>,
}

impl Config<'_> {
    /// # Safety
    /// `handle` lives as long as the value.
    pub(crate) unsafe fn from_raw(handle: *mut keel_config) -> Self {
        Config { handle, life: PhantomData }
    }

    /// Required.
    pub fn int(&self, key: &str) -> i64 {
        call!(config(), keel_config_api, get_int, self.handle, c_string(key).as_ptr(), 1, 1)
    }

    /// With the family's default.
    pub fn int_or(&self, key: &str, default: i64) -> i64 {
        call!(config(), keel_config_api, get_int, self.handle, c_string(key).as_ptr(), 0, default)
    }

    /// With the family's default.
    pub fn real_or(&self, key: &str, default: f64) -> f64 {
        call!(config(), keel_config_api, get_real, self.handle, c_string(key).as_ptr(), 0, default)
    }

    /// With the family's default.
    pub fn bool_or(&self, key: &str, default: bool) -> bool {
        let value = call!(
            config(),
            keel_config_api,
            get_bool,
            self.handle,
            c_string(key).as_ptr(),
            0,
            default.into()
        );
        value != 0
    }

    /// With the family's default.
    pub fn string_or(&self, key: &str, default: &str) -> String {
        let default = c_string(default);
        let text = call!(
            config(),
            keel_config_api,
            get_string,
            self.handle,
            c_string(key).as_ptr(),
            0,
            default.as_ptr()
        );
        if text.size == 0 {
            return String::new();
        }
        // SAFETY: the host's text lives as long as the config, the default as long as this call.
        let bytes = unsafe { core::slice::from_raw_parts(text.data.cast(), text.size) };
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// KEEL_ACT_* of an activation's name in transformers.
    pub fn activation(&self, key: &str, default: &str) -> u32 {
        match self.string_or(key, default).as_str() {
            "silu" | "swish" => abi::KEEL_ACT_SILU,
            "gelu" => abi::KEEL_ACT_GELU,
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => abi::KEEL_ACT_GELU_TANH,
            "relu" => abi::KEEL_ACT_RELU,
            "relu2" => abi::KEEL_ACT_RELU2,
            "quick_gelu" => abi::KEEL_ACT_QUICK_GELU,
            name => {
                self.fail(
                    key,
                    &format!(
                        "is '{name}', expected silu, gelu, gelu_new, gelu_pytorch_tanh, relu, relu2 \
                         or quick_gelu"
                    ),
                );
                abi::KEEL_ACT_SILU
            }
        }
    }

    /// Refuses the config: "config.json: <key> <message>". Say what was found and what is expected.
    pub fn fail(&self, key: &str, message: &str) {
        call!(
            config(),
            keel_config_api,
            fail,
            self.handle,
            c_string(key).as_ptr(),
            message.as_ptr().cast(),
            message.len()
        )
    }

    pub(crate) fn status(&self) -> abi::keel_status {
        call!(config(), keel_config_api, status, self.handle)
    }
}
