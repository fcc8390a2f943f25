//! Tokenizers, chat templates and grammars behind the C interface of keel_text.h, which says what
//! each function does. This crate adds no behaviour of its own beyond what the header names.

mod ffi;
mod grammar;
mod jinja;
mod python;
mod spelling;
mod template;
mod tokenizer;
mod vocab;
