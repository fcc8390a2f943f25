//! keel_text_vocab: a tokenizer's tokens as bytes, the way llguidance reads them.

use crate::ffi::{guard, slice, Error, Failure, Status};
use crate::spelling::Spelling;
use crate::tokenizer::TextTokenizer;
use llguidance::api::ParserLimits;
use llguidance::toktrie::{TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};
use llguidance::ParserFactory;
use std::sync::Arc;
use std::time::Duration;
use tokenizers::Tokenizer;

/// keel_text_grammar_limits.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Limits {
    initial_lexer_fuel: u64,
    step_lexer_fuel: u64,
    step_max_items: usize,
    max_items_in_row: usize,
    max_lexer_states: usize,
    max_grammar_size: usize,
    compile_ms: u64,
    stack_bytes: usize,
}

/// The vocabulary as bytes. Not canonical: a grammar forces bytes, not tokens. To find the tokens of
/// what is forced, llguidance would follow it to its end before each mask, and grammars of strangers
/// force megabytes ((a{1000}){1000}).
struct VocabEnv {
    trie: TokTrie,
}

impl TokenizerEnv for VocabEnv {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.trie.greedy_tokenize(bytes)
    }

    fn tokenize_is_canonical(&self) -> bool {
        false
    }
}

pub struct Vocab {
    pub factory: Arc<ParserFactory>,
    pub compile_time: Duration,
    pub stack_bytes: usize,
}

impl Vocab {
    fn new(
        tokenizer: &TextTokenizer,
        n_vocab: usize,
        eos: &[u32],
        limits: &Limits,
    ) -> Result<Vocab, Failure> {
        if eos.is_empty() || eos.iter().any(|id| *id as usize >= n_vocab) {
            return Err(Failure::invalid("a grammar needs the ids that end a generation"));
        }
        let mut words = token_bytes(&tokenizer.inner, n_vocab)?;
        for id in eos {
            // What ends a generation is never text of it, whatever its spelling.
            let word = &mut words[*id as usize];
            if word.first() != Some(&TokTrie::SPECIAL_TOKEN_MARKER) {
                word.insert(0, TokTrie::SPECIAL_TOKEN_MARKER);
            }
        }
        let trie =
            TokTrie::from(&TokRxInfo::new(n_vocab as u32, eos[0]), &words).with_eos_tokens(eos);
        let env: TokEnv = Arc::new(VocabEnv { trie });
        let mut factory = ParserFactory::new_simple(&env).map_err(Failure::invalid)?;
        factory.quiet();
        *factory.limits_mut() = ParserLimits {
            max_items_in_row: limits.max_items_in_row,
            initial_lexer_fuel: limits.initial_lexer_fuel,
            step_lexer_fuel: limits.step_lexer_fuel,
            step_max_items: limits.step_max_items,
            max_lexer_states: limits.max_lexer_states,
            max_grammar_size: limits.max_grammar_size,
            precompute_large_lexemes: true,
            verbose_errors: false,
        };
        Ok(Vocab {
            factory: Arc::new(factory),
            compile_time: Duration::from_millis(limits.compile_ms),
            stack_bytes: limits.stack_bytes,
        })
    }
}

/// The bytes of each token; of special ones, a marker and the name. No bytes: never allowed. Tokens
/// that the model has no logits for are left out.
fn token_bytes(tokenizer: &Tokenizer, n_vocab: usize) -> Result<Vec<Vec<u8>>, Failure> {
    let spelling = match Spelling::of(tokenizer)? {
        Ok(spelling) => spelling,
        Err(other) => {
            return Err(Failure::invalid(format!(
                "grammars need a tokenizer whose tokens stand for bytes; the decoder of this one is {other}"
            )))
        }
    };
    let mut words = vec![Vec::new(); n_vocab];
    for (token, id) in tokenizer.get_vocab(false) {
        if let Some(word) = words.get_mut(id as usize) {
            *word = spelling.bytes(&token);
        }
    }
    for (id, token) in tokenizer.get_added_vocabulary().get_added_tokens_decoder() {
        let Some(word) = words.get_mut(*id as usize) else {
            continue;
        };
        *word = token.content.as_bytes().to_vec();
        if token.special {
            word.insert(0, TokTrie::SPECIAL_TOKEN_MARKER);
        }
    }
    Ok(words)
}

#[no_mangle]
pub unsafe extern "C" fn keel_text_vocab_new(
    tokenizer: *const TextTokenizer,
    n_vocab: usize,
    eos: *const u32,
    n_eos: usize,
    limits: *const Limits,
    out: *mut *mut Vocab,
    error: *mut Error,
) -> Status {
    guard(error, || {
        let vocab = Vocab::new(&*tokenizer, n_vocab, slice(eos, n_eos), &*limits)?;
        *out = Box::into_raw(Box::new(vocab));
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn keel_text_vocab_free(vocab: *mut Vocab) {
    if !vocab.is_null() {
        drop(Box::from_raw(vocab));
    }
}
