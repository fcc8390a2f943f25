//! keel_text_vocab and keel_text_grammar: llguidance.

use crate::ffi::{guard, slice, text, Error, Failure, Status};
use crate::tokenizer::TextTokenizer;
use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};
use llguidance::{Matcher, ParserFactory};
use std::ffi::{c_char, CStr};
use std::sync::Arc;
use tokenizers::Tokenizer;

/// The vocabulary as bytes, with the tokenizer for what the grammar forces.
struct VocabEnv {
    trie: TokTrie,
    tokenizer: Tokenizer,
}

impl TokenizerEnv for VocabEnv {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.trie.tokenize_with_greedy_fallback(bytes, |text| {
            match self.tokenizer.encode_fast(text, false) {
                Ok(encoding) => encoding.get_ids().to_vec(),
                Err(_) => self.trie.greedy_tokenize(text.as_bytes()),
            }
        })
    }
}

pub struct Vocab {
    factory: ParserFactory,
}

impl Vocab {
    fn new(tokenizer: &TextTokenizer, n_vocab: usize, eos: &[u32]) -> Result<Vocab, Failure> {
        if n_vocab < tokenizer.vocab_size {
            let found = tokenizer.vocab_size;
            return Err(Failure::invalid(format!(
                "the model has {n_vocab} tokens, its tokenizer {found}"
            )));
        }
        if eos.is_empty() || eos.iter().any(|id| *id as usize >= n_vocab) {
            return Err(Failure::invalid("a grammar needs the ids that end a generation"));
        }
        let json = tokenizer.inner.to_string(false).map_err(Failure::invalid)?;
        let json = serde_json::from_str(&json).map_err(Failure::invalid)?;
        let mut words =
            llguidance::token_bytes_from_tokenizer_json(&json).map_err(Failure::invalid)?;
        words.resize(n_vocab, Vec::new());
        let trie =
            TokTrie::from(&TokRxInfo::new(n_vocab as u32, eos[0]), &words).with_eos_tokens(eos);
        let env: TokEnv = Arc::new(VocabEnv { trie, tokenizer: tokenizer.inner.clone() });
        let mut factory = ParserFactory::new_simple(&env).map_err(Failure::invalid)?;
        factory.quiet();
        Ok(Vocab { factory })
    }
}

pub struct Grammar {
    matcher: Matcher,
}

#[no_mangle]
pub unsafe extern "C" fn keel_text_vocab_new(
    tokenizer: *const TextTokenizer,
    n_vocab: usize,
    eos: *const u32,
    n_eos: usize,
    out: *mut *mut Vocab,
    error: *mut Error,
) -> Status {
    guard(error, || {
        *out = Box::into_raw(Box::new(Vocab::new(&*tokenizer, n_vocab, slice(eos, n_eos))?));
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn keel_text_vocab_free(vocab: *mut Vocab) {
    if !vocab.is_null() {
        drop(Box::from_raw(vocab));
    }
}

#[no_mangle]
pub unsafe extern "C" fn keel_text_grammar_new(
    vocab: *const Vocab,
    kind: *const c_char,
    source: *const c_char,
    n: usize,
    out: *mut *mut Grammar,
    error: *mut Error,
) -> Status {
    guard(error, || {
        let kind = CStr::from_ptr(kind).to_str().map_err(Failure::invalid)?;
        let source = text(source, n, "the grammar")?;
        let grammar = TopLevelGrammar::from_tagged_str(kind, source).map_err(Failure::invalid)?;
        let parser = (*vocab).factory.create_parser(grammar).map_err(Failure::invalid)?;
        *out = Box::into_raw(Box::new(Grammar { matcher: Matcher::new(Ok(parser)) }));
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
        let allowed = (*grammar).matcher.compute_mask_or_eos().map_err(Failure::invalid)?;
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
    guard(error, || (*grammar).matcher.consume_token(id).map_err(Failure::invalid))
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
        *accepting = matcher.is_accepting().map_err(Failure::invalid)? as i32;
        *stopped = matcher.is_stopped() as i32;
        Ok(())
    })
}
