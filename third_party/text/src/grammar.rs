//! keel_text_grammar: llguidance.

use crate::ffi::{guard, text, Error, Failure, Status};
use crate::vocab::Vocab;
use llguidance::api::{GrammarWithLexer, TopLevelGrammar};
use llguidance::{Matcher, ParserFactory};
use serde_json::Value as Json;
use std::ffi::{c_char, CStr};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{sync_channel, RecvTimeoutError};
use std::sync::Arc;
use std::time::Duration;

/// keel_text_grammar_options.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Options {
    no_whitespace: i32,
    closed_objects: i32,
    whitespace_pattern: *const c_char,
    n_whitespace_pattern: usize,
}

/// Compilations that outlived their time and still run; more than these are not begun.
const MAX_LATE: usize = 2;
static LATE: AtomicUsize = AtomicUsize::new(0);

pub struct Grammar {
    matcher: Matcher,
}

/// llguidance has one kind of error, told by its words.
fn failure(error: impl std::fmt::Display) -> Failure {
    let error = error.to_string();
    // Its parser's state and a backtrace say nothing to who wrote the grammar.
    let end = ["\n<non-verbose/>", "\n<backtrace>", "\n<state>"]
        .iter()
        .filter_map(|mark| error.find(mark))
        .min()
        .unwrap_or(error.len());
    let message = match error[..end].trim_end() {
        "NoExtensionBias" => "no text can follow",
        message => message,
    };
    const LIMITS: [&str; 7] =
        ["too big", "too large", "too many", "too complex", "fuel", "level exceeded", "; max is "];
    let lower = message.to_lowercase();
    let status = if message.starts_with("panic: ") {
        Status::Panic
    } else if LIMITS.iter().any(|words| lower.contains(words)) {
        Status::Limit
    } else {
        Status::Invalid
    };
    Failure::new(status, message)
}

/// As vLLM's disable_additional_properties: an object that says which properties it has, has no
/// others.
fn close_objects(schema: &mut Json) {
    match schema {
        Json::Array(list) => list.iter_mut().for_each(close_objects),
        Json::Object(members) => {
            for (key, value) in members.iter_mut() {
                match (key.as_str(), value) {
                    // Values, not schemas.
                    ("const" | "enum" | "default" | "examples", _) => {}
                    // Names are no keywords.
                    (
                        "properties" | "patternProperties" | "$defs" | "definitions",
                        Json::Object(named),
                    ) => named.values_mut().for_each(close_objects),
                    (_, value) => close_objects(value),
                }
            }
            let closable =
                members.contains_key("properties") || members.contains_key("patternProperties");
            if closable && !members.contains_key("additionalProperties") {
                members.insert("additionalProperties".to_string(), Json::Bool(false));
            }
        }
        _ => {}
    }
}

fn json_schema(source: &str, options: Option<&Options>) -> Result<TopLevelGrammar, Failure> {
    let mut schema: Json = serde_json::from_str(source).map_err(Failure::invalid)?;
    if let Some(options) = options {
        if options.closed_objects != 0 {
            close_objects(&mut schema);
        }
        let pattern = if options.whitespace_pattern.is_null() {
            None
        } else {
            let n = options.n_whitespace_pattern;
            Some(unsafe { text(options.whitespace_pattern, n, "the whitespace pattern")? })
        };
        if options.no_whitespace != 0 || pattern.is_some() {
            if schema == Json::Bool(true) {
                schema = Json::Object(Default::default());
            }
            // Where llguidance reads a schema's options.
            if let Some(members) = schema.as_object_mut() {
                let own = members.entry("x-guidance").or_insert(Json::Object(Default::default()));
                if let Some(own) = own.as_object_mut() {
                    if options.no_whitespace != 0 {
                        own.insert("whitespace_flexible".to_string(), Json::Bool(false));
                    }
                    if let Some(pattern) = pattern {
                        own.insert("whitespace_pattern".to_string(), pattern.into());
                    }
                }
            }
        }
    }
    Ok(TopLevelGrammar::from_json_schema(schema))
}

fn regex(source: &str) -> Result<TopLevelGrammar, Failure> {
    // The whole text must match: anchors at its ends say nothing more, and llguidance has none.
    let escaped = |text: &str| text.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1;
    let mut source = source.strip_prefix('^').unwrap_or(source);
    if let Some(rest) = source.strip_suffix('$') {
        if !escaped(rest) {
            source = rest;
        }
    }
    if escaped(source) {
        return Err(Failure::invalid("the regex ends in a lone backslash"));
    }
    if source.is_empty() {
        return Ok(TopLevelGrammar::from_grammar(GrammarWithLexer::from_lark(
            "start: \"\"".to_string(),
        )));
    }
    Ok(TopLevelGrammar::from_regex(source))
}

/// Runs `factory.create_parser` on a thread of its own: a known stack, and a caller who waits no
/// longer than agreed. llguidance cannot be interrupted here, only bounded by its fuel; a thread
/// that is late goes on until that ends it, and its result is dropped.
fn compile(vocab: &Vocab, grammar: TopLevelGrammar) -> Result<Matcher, Failure> {
    let late = LATE.load(Ordering::Relaxed);
    if late >= MAX_LATE {
        return Err(Failure::new(
            Status::Limit,
            format!("{late} grammars that took too long are still being compiled; try again"),
        ));
    }
    let factory: Arc<ParserFactory> = vocab.factory.clone();
    let (sender, receiver) = sync_channel(1);
    let state = Arc::new(AtomicUsize::new(RUNNING));
    let theirs = state.clone();
    std::thread::Builder::new()
        .name("grammar".to_string())
        .stack_size(vocab.stack_bytes)
        .spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(|| {
                factory.create_parser(grammar).map(|parser| Matcher::new(Ok(parser)))
            }));
            let result = match result {
                Ok(result) => result.map_err(failure),
                Err(_) => Err(Failure::new(Status::Panic, "the grammar compiler panicked")),
            };
            if theirs.swap(DONE, Ordering::AcqRel) == ABANDONED {
                drop(result);
                LATE.fetch_sub(1, Ordering::Relaxed);
            } else {
                let _ = sender.send(result);
            }
        })
        .map_err(|e| Failure::new(Status::Limit, format!("cannot start a thread: {e}")))?;
    let waited = if vocab.compile_time == Duration::ZERO {
        receiver.recv().map_err(|_| RecvTimeoutError::Disconnected)
    } else {
        receiver.recv_timeout(vocab.compile_time)
    };
    match waited {
        Ok(result) => return result,
        Err(RecvTimeoutError::Disconnected) => {
            return Err(Failure::new(Status::Panic, "the grammar compiler's thread died"))
        }
        Err(RecvTimeoutError::Timeout) => {}
    }
    LATE.fetch_add(1, Ordering::Relaxed);
    if state.swap(ABANDONED, Ordering::AcqRel) == DONE {
        // It ended just now.
        LATE.fetch_sub(1, Ordering::Relaxed);
        if let Ok(result) = receiver.recv() {
            return result;
        }
    }
    Err(Failure::new(
        Status::Limit,
        format!("compiling takes longer than {} ms; simplify it", vocab.compile_time.as_millis()),
    ))
}

const RUNNING: usize = 0;
const DONE: usize = 1;
const ABANDONED: usize = 2;

#[no_mangle]
pub unsafe extern "C" fn keel_text_grammar_new(
    vocab: *const Vocab,
    kind: *const c_char,
    source: *const c_char,
    n: usize,
    options: *const Options,
    out: *mut *mut Grammar,
    error: *mut Error,
) -> Status {
    guard(error, || {
        let kind = CStr::from_ptr(kind).to_str().map_err(Failure::invalid)?;
        let source = text(source, n, "the grammar")?;
        let grammar = match kind {
            "json_schema" => json_schema(source, options.as_ref())?,
            "regex" => regex(source)?,
            "lark" => TopLevelGrammar::from_lark(source.to_string()),
            other => return Err(Failure::invalid(format!("{other} is no kind of grammar"))),
        };
        let matcher = compile(&*vocab, grammar)?;
        *out = Box::into_raw(Box::new(Grammar { matcher }));
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn keel_text_grammar_clone(
    grammar: *const Grammar,
    out: *mut *mut Grammar,
    error: *mut Error,
) -> Status {
    guard(error, || {
        *out = Box::into_raw(Box::new(Grammar { matcher: (*grammar).matcher.deep_clone() }));
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn keel_text_grammar_free(grammar: *mut Grammar) {
    if !grammar.is_null() {
        drop(Box::from_raw(grammar));
    }
}

#[no_mangle]
pub unsafe extern "C" fn keel_text_grammar_mask(
    grammar: *mut Grammar,
    mask: *mut u32,
    n_words: usize,
    error: *mut Error,
) -> Status {
    guard(error, || {
        let allowed = (*grammar).matcher.compute_mask_or_eos().map_err(failure)?;
        let allowed = allowed.as_slice();
        let out = std::slice::from_raw_parts_mut(mask, n_words);
        for (i, word) in out.iter_mut().enumerate() {
            *word = allowed.get(i).copied().unwrap_or(0);
        }
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn keel_text_grammar_consume(
    grammar: *mut Grammar,
    id: u32,
    error: *mut Error,
) -> Status {
    guard(error, || (*grammar).matcher.consume_token(id).map_err(failure))
}

#[no_mangle]
pub unsafe extern "C" fn keel_text_grammar_state(
    grammar: *mut Grammar,
    accepting: *mut i32,
    stopped: *mut i32,
    error: *mut Error,
) -> Status {
    guard(error, || {
        let matcher = &mut (*grammar).matcher;
        *accepting = matcher.is_accepting().map_err(failure)? as i32;
        *stopped = matcher.is_stopped() as i32;
        Ok(())
    })
}
