//! A model class, and the shared library that is made of it.

use crate::abi::{self, keel_build, keel_config, keel_run, keel_spec, keel_status, keel_tensor};
use crate::host::{self, guard};
use crate::tensor::op;
use crate::{Config, Scope, Spec, Tensor};
use core::ffi::c_void;

/// What forward gets.
pub struct Inputs<'r> {
    /// [N, H]: embedded ids.
    pub embeds: Tensor<'r>,
    /// [N].
    pub positions: Tensor<'r>,
}

/// A model class, named as in transformers. `forward` may be called on several threads.
pub trait Model: Sized + Send + Sync + 'static {
    /// Reads the config, states sizes and plans.
    fn spec(config: &Config) -> Spec;
    /// Declares the layers.
    fn new(root: &Scope, config: &Config) -> Self;
    /// embeds [N, H] -> hidden [N, H].
    fn forward<'r>(&self, inputs: &Inputs<'r>) -> Tensor<'r>;

    /// Whether `logits` is the model's own; else the host applies the spec's lm_head.
    const HAS_LOGITS: bool = false;
    /// hidden [R, H] -> [R, vocab].
    fn logits<'r>(&self, _hidden: Tensor<'r>) -> Tensor<'r> {
        unreachable!("HAS_LOGITS is true without a logits function")
    }
}

unsafe extern "C" fn config<M: Model>(
    _plugin: *mut c_void,
    config: *mut keel_config,
    spec: *mut keel_spec,
) -> keel_status {
    // SAFETY: both live until this returns.
    guard(|| {
        let config = unsafe { Config::from_raw(config) };
        match M::spec(&config).write(spec) {
            0 => config.status(),
            failed => failed,
        }
    })
}

unsafe extern "C" fn create<M: Model>(
    _plugin: *mut c_void,
    config: *mut keel_config,
    build: *mut keel_build,
    model: *mut *mut c_void,
) -> keel_status {
    // SAFETY: all live until this returns; the host gives *model back to destroy, whatever the
    // status.
    guard(|| unsafe {
        let root = Scope::root(build);
        let made = M::new(&root, &Config::from_raw(config));
        *model = Box::into_raw(Box::new(made)).cast();
        root.status()
    })
}

unsafe extern "C" fn forward<M: Model>(
    model: *const c_void,
    run: *mut keel_run,
    inputs: *const abi::keel_forward_inputs,
    hidden: *mut keel_tensor,
) -> keel_status {
    // SAFETY: model is of create; the rest lives until this returns.
    guard(|| unsafe {
        let inputs = Inputs {
            embeds: Tensor::from_raw(run, (*inputs).embeds),
            positions: Tensor::from_raw(run, (*inputs).positions),
        };
        *hidden = (*model.cast::<M>()).forward(&inputs).id();
        op!(run, status)
    })
}

unsafe extern "C" fn logits<M: Model>(
    model: *const c_void,
    run: *mut keel_run,
    hidden: keel_tensor,
    out: *mut keel_tensor,
) -> keel_status {
    // SAFETY: as in forward.
    guard(|| unsafe {
        *out = (*model.cast::<M>()).logits(Tensor::from_raw(run, hidden)).id();
        op!(run, status)
    })
}

unsafe extern "C" fn destroy<M: Model>(model: *mut c_void) {
    // SAFETY: of create, and the last use. NULL where create failed before it had one.
    if !model.is_null() {
        drop(unsafe { Box::from_raw(model.cast::<M>()) });
    }
}

/// What [`keel_plugin!`](crate::keel_plugin) expands to uses.
#[doc(hidden)]
pub mod __private {
    use super::*;
    use core::ffi::{c_char, CStr};

    /// Tables of constants hold raw pointers to constants.
    #[repr(transparent)]
    pub struct Shared<T>(pub T);
    // SAFETY: written by the compiler, only read afterwards.
    unsafe impl<T> Sync for Shared<T> {}

    /// The note of sdk/abi/plugin_note.h.
    #[repr(C, align(4))]
    pub struct Note<const N: usize> {
        owner_size: u32,
        content_size: u32,
        kind: u32,
        owner: [u8; 8],
        abi_major: u32,
        abi_minor: u32,
        lines: [u8; N],
    }

    impl<const N: usize> Note<N> {
        pub const fn new(text: &str) -> Self {
            let mut lines = [0; N];
            let mut i = 0;
            while i < N {
                lines[i] = text.as_bytes()[i];
                i += 1;
            }
            Note {
                owner_size: 5,
                content_size: 8 + N as u32,
                kind: 1,
                owner: *b"keel\0\0\0\0",
                abi_major: abi::KEEL_ABI_MAJOR,
                abi_minor: abi::KEEL_ABI_MINOR,
                lines,
            }
        }
    }

    pub const fn model_class<M: Model>(
        name: &'static CStr,
        model_type: &'static CStr,
        architectures: *const *const c_char,
    ) -> abi::keel_model_class {
        abi::keel_model_class {
            struct_size: core::mem::size_of::<abi::keel_model_class>() as u32,
            flags: 0,
            name: name.as_ptr(),
            model_type: model_type.as_ptr(),
            architectures,
            config: Some(config::<M>),
            create: Some(create::<M>),
            forward: Some(forward::<M>),
            logits: if M::HAS_LOGITS { Some(logits::<M>) } else { None },
            encode: None,
            pool: None,
            destroy: Some(destroy::<M>),
        }
    }

    pub unsafe extern "C" fn init(
        host: *const abi::keel_host,
        plugin: *mut *mut c_void,
    ) -> keel_status {
        // SAFETY: of the host.
        guard(|| unsafe {
            *plugin = core::ptr::null_mut();
            host::init(host)
        })
    }

    pub unsafe extern "C" fn shutdown(_plugin: *mut c_void) {
        host::shutdown();
    }
}

/// The plugin's one exported symbol and its note, for one model.
#[macro_export]
macro_rules! keel_plugin {
    (id: $id:literal, version: $version:literal, model: $model:ty, model_type: $model_type:literal,
     architectures: [$first:literal $(, $rest:literal)* $(,)?] $(,)?) => {
        const _: () = {
            use core::ffi::{c_char, c_void, CStr};
            use $crate::{abi, __private as keel};

            const fn c(text: &'static str) -> &'static CStr {
                match CStr::from_bytes_with_nul(text.as_bytes()) {
                    Ok(text) => text,
                    Err(_) => panic!("a name in keel_plugin! has a NUL"),
                }
            }

            const TEXT: &str = concat!(
                "id=", $id, "\nversion=", $version, "\narchitectures=", $first $(, ",", $rest)*,
                "\nmodel_types=", $model_type, "\n\0"
            );
            #[used]
            #[link_section = ".note.keel.plugin"]
            static NOTE: keel::Note<{ TEXT.len() }> = keel::Note::new(TEXT);

            static ARCHITECTURES: keel::Shared<&[*const c_char]> = keel::Shared(&[
                c(concat!($first, "\0")).as_ptr(),
                $(c(concat!($rest, "\0")).as_ptr(),)*
                core::ptr::null(),
            ]);
            static CLASS: keel::Shared<abi::keel_model_class> =
                keel::Shared(keel::model_class::<$model>(
                    c(concat!($first, "\0")),
                    c(concat!($model_type, "\0")),
                    ARCHITECTURES.0.as_ptr(),
                ));
            static ITEMS: keel::Shared<[*const c_void; 1]> =
                keel::Shared([&CLASS.0 as *const abi::keel_model_class as *const c_void]);
            static MODELS: keel::Shared<abi::keel_list> = keel::Shared(abi::keel_list {
                struct_size: core::mem::size_of::<abi::keel_list>() as u32,
                count: 1,
                items: ITEMS.0.as_ptr(),
            });

            unsafe extern "C" fn get_interface(
                _plugin: *mut c_void,
                id: *const c_char,
            ) -> *const c_void {
                // SAFETY: the host's ids end in NUL.
                if unsafe { CStr::from_ptr(id) } == c"keel.models/1" {
                    (&MODELS.0 as *const abi::keel_list).cast()
                } else {
                    core::ptr::null()
                }
            }

            static PLUGIN: keel::Shared<abi::keel_plugin> = keel::Shared(abi::keel_plugin {
                struct_size: core::mem::size_of::<abi::keel_plugin>() as u32,
                abi_major: abi::KEEL_ABI_MAJOR,
                abi_minor: abi::KEEL_ABI_MINOR,
                min_host_minor: 0,
                id: c(concat!($id, "\0")).as_ptr(),
                version: c(concat!($version, "\0")).as_ptr(),
                vendor: c"".as_ptr(),
                license: c"".as_ptr(),
                flags: 0,
                init: Some(keel::init),
                shutdown: Some(keel::shutdown),
                get_interface: Some(get_interface),
            });

            #[no_mangle]
            pub extern "C" fn keel_plugin_entry_v1() -> *const abi::keel_plugin {
                &PLUGIN.0
            }
        };
    };
}
