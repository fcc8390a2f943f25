//! keel_text_tokenizer: Hugging Face's tokenizers.

use crate::ffi::{guard, send_text, slice, text, BytesFn, Error, Failure, IdsFn, Status};
use crate::spelling::Spelling;
use serde_json::Value as Json;
use std::ffi::{c_char, c_void};
use tokenizers::tokenizer::{AddedVocabulary, Model, OffsetType, PreTokenizer};
use tokenizers::{AddedToken, PaddingStrategy, PreTokenizedString, PreTokenizerWrapper, Tokenizer};

/// No real file pads to more; only a broken one says so.
const MAX_PADDING: usize = 1 << 24;

pub struct TextTokenizer {
    pub inner: Tokenizer,
    /// The same added tokens, with special ones left in the text.
    plain: AddedVocabulary,
    pub vocab_size: usize,
    special_ids: Vec<u32>,
    added_ids: Vec<u32>,
    /// None: the decoder says what a token stands for.
    spelling: Option<Spelling>,
}

impl TextTokenizer {
    pub fn new(json: &[u8], added: &[u8], space: Option<bool>) -> Result<TextTokenizer, Failure> {
        let mut inner = Tokenizer::from_bytes(json).map_err(Failure::invalid)?;
        check_padding(&inner)?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(Failure::invalid)?;
        if let (Some(space), Some(pre_tokenizer)) = (space, inner.get_pre_tokenizer()) {
            let mut pre_tokenizer = pre_tokenizer.clone();
            set_prefix_space(&mut pre_tokenizer, space);
            inner.with_pre_tokenizer(Some(pre_tokenizer));
        }
        if !added.is_empty() {
            add_tokens(&mut inner, added)?;
        }

        let decoder = inner.get_added_vocabulary().get_added_tokens_decoder();
        let mut added_ids: Vec<u32> = decoder.keys().copied().collect();
        let mut special_ids: Vec<u32> =
            decoder.iter().filter(|(_, token)| token.special).map(|(id, _)| *id).collect();
        added_ids.sort_unstable();
        special_ids.sort_unstable();
        let spelling = Spelling::of(&inner)?.ok();
        let largest = inner.get_vocab(true).values().copied().max();
        let mut plain = inner.get_added_vocabulary().clone();
        plain.set_encode_special_tokens(true);
        Ok(TextTokenizer {
            vocab_size: largest.map_or(0, |id| id as usize + 1),
            inner,
            plain,
            special_ids,
            added_ids,
            spelling,
        })
    }

    /// What the token stands for inside of a text; None if there is no such token.
    pub fn token_bytes(&self, id: u32) -> Result<Option<Vec<u8>>, Failure> {
        let Some(token) = self.inner.id_to_token(id) else {
            return Ok(None);
        };
        if self.added_ids.binary_search(&id).is_ok() {
            return Ok(Some(token.into_bytes()));
        }
        if let Some(spelling) = &self.spelling {
            return Ok(Some(spelling.bytes(&token)));
        }
        // Decoders treat the first token of a text specially: what the second of two adds.
        let decode = |ids: &[u32]| self.inner.decode(ids, false).map_err(Failure::invalid);
        let (one, two) = (decode(&[id])?, decode(&[id, id])?);
        let added = two.strip_prefix(&one).map(str::to_string);
        Ok(Some(added.unwrap_or(one).into_bytes()))
    }

    pub fn encode(&self, text: &str, add: bool, split: bool) -> Result<Vec<u32>, Failure> {
        let encoding =
            if split { self.encode_plain(text, add) } else { self.inner.encode_fast(text, add) };
        Ok(encoding.map_err(Failure::invalid)?.get_ids().to_vec())
    }

    /// Both texts as one, as the post-processor joins them, and of which of them each token is.
    pub fn encode_pair(&self, a: &str, b: &str, add: bool) -> Result<(Vec<u32>, Vec<u32>), Failure> {
        let encoding = self.inner.encode_fast((a, b), add).map_err(Failure::invalid)?;
        Ok((encoding.get_ids().to_vec(), encoding.get_type_ids().to_vec()))
    }

    /// `Tokenizer::encode_fast` with `plain` in place of its added vocabulary.
    fn encode_plain(&self, text: &str, add: bool) -> tokenizers::Result<tokenizers::Encoding> {
        let normalized = self.plain.extract_and_normalize(self.inner.get_normalizer(), text);
        let mut pieces: PreTokenizedString = normalized;
        if let Some(pre_tokenizer) = self.inner.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut pieces)?;
        }
        self.inner.get_model().tokenize_in_pretokenized(&mut pieces, None)?;
        let encoding = pieces.into_encoding(None, 0, OffsetType::None)?;
        self.inner.post_process(encoding, None, add)
    }
}

fn check_padding(tokenizer: &Tokenizer) -> Result<(), Failure> {
    if let Some(padding) = tokenizer.get_padding() {
        let fixed = match padding.strategy {
            PaddingStrategy::Fixed(n) => n,
            PaddingStrategy::BatchLongest => 0,
        };
        let length = fixed.max(padding.pad_to_multiple_of.unwrap_or(0));
        if length > MAX_PADDING {
            return Err(Failure::invalid(format!(
                "padding to {length} tokens, at most {MAX_PADDING} are taken"
            )));
        }
    }
    Ok(())
}

/// As tokenizer classes of transformers do that take add_prefix_space.
fn set_prefix_space(pre_tokenizer: &mut PreTokenizerWrapper, space: bool) {
    match pre_tokenizer {
        PreTokenizerWrapper::ByteLevel(inner) => inner.add_prefix_space = space,
        PreTokenizerWrapper::Sequence(inner) => {
            for one in inner.as_mut() {
                set_prefix_space(one, space);
            }
        }
        _ => {}
    }
}

fn add_tokens(tokenizer: &mut Tokenizer, json: &[u8]) -> Result<(), Failure> {
    let list: Vec<Json> = serde_json::from_slice(json).map_err(Failure::invalid)?;
    // In one go per run of tokens: each call rebuilds the automaton that finds them.
    let mut tokens = Vec::new();
    for item in &list {
        let content = item["content"].as_str().unwrap_or_default();
        let known = tokenizer.get_added_vocabulary().get_added_tokens_decoder();
        if item["id"].as_u64().is_some_and(|id| known.contains_key(&(id as u32))) {
            continue;
        }
        let flag = |name: &str| item[name].as_bool();
        let special = flag("special").unwrap_or(false);
        let present = tokens
            .iter()
            .rev()
            .find(|t: &&AddedToken| t.content == content)
            .or_else(|| tokenizer.token_to_id(content).and_then(|id| known.get(&id)));
        let token = match present {
            Some(token) if flag("keep") == Some(true) => {
                let special = special || token.special;
                token.clone().special(special)
            }
            _ => AddedToken::from(content, special)
                .single_word(flag("single_word").unwrap_or(false))
                .lstrip(flag("lstrip").unwrap_or(false))
                .rstrip(flag("rstrip").unwrap_or(false))
                .normalized(flag("normalized").unwrap_or(!special)),
        };
        tokens.push(token);
    }
    tokenizer.add_tokens(tokens).map_err(Failure::invalid)?;
    Ok(())
}

#[no_mangle]
pub unsafe extern "C" fn keel_text_tokenizer_new(
    json: *const c_char,
    n: usize,
    added: *const c_char,
    n_added: usize,
    add_prefix_space: i32,
    out: *mut *mut TextTokenizer,
    error: *mut Error,
) -> Status {
    guard(error, || {
        let json = slice(json as *const u8, n);
        let added = slice(added as *const u8, n_added);
        let space = (add_prefix_space >= 0).then_some(add_prefix_space != 0);
        *out = Box::into_raw(Box::new(TextTokenizer::new(json, added, space)?));
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn keel_text_tokenizer_free(tokenizer: *mut TextTokenizer) {
    if !tokenizer.is_null() {
        drop(Box::from_raw(tokenizer));
    }
}

#[no_mangle]
pub unsafe extern "C" fn keel_text_encode(
    tokenizer: *const TextTokenizer,
    input: *const c_char,
    n: usize,
    add_special_tokens: i32,
    split_special: i32,
    sink: IdsFn,
    user: *mut c_void,
    error: *mut Error,
) -> Status {
    guard(error, || {
        let input = text(input, n, "the text")?;
        let ids = (*tokenizer).encode(input, add_special_tokens != 0, split_special != 0)?;
        sink(user, ids.as_ptr(), ids.len());
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn keel_text_encode_pair(
    tokenizer: *const TextTokenizer,
    first: *const c_char,
    n_first: usize,
    second: *const c_char,
    n_second: usize,
    add_special_tokens: i32,
    sink: IdsFn,
    user: *mut c_void,
    error: *mut Error,
) -> Status {
    guard(error, || {
        let first = text(first, n_first, "the first text")?;
        let second = text(second, n_second, "the second text")?;
        let (ids, types) = (*tokenizer).encode_pair(first, second, add_special_tokens != 0)?;
        sink(user, ids.as_ptr(), ids.len());
        sink(user, types.as_ptr(), types.len());
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn keel_text_decode(
    tokenizer: *const TextTokenizer,
    ids: *const u32,
    n: usize,
    skip_special_tokens: i32,
    sink: BytesFn,
    user: *mut c_void,
    error: *mut Error,
) -> Status {
    guard(error, || {
        let ids = slice(ids, n);
        let text =
            (*tokenizer).inner.decode(ids, skip_special_tokens != 0).map_err(Failure::invalid)?;
        send_text(sink, user, &text);
        Ok(())
    })
}

#[no_mangle]
pub unsafe extern "C" fn keel_text_token_to_id(
    tokenizer: *const TextTokenizer,
    token: *const c_char,
    n: usize,
) -> i64 {
    let mut id = -1;
    guard(std::ptr::null_mut(), || {
        let token = text(token, n, "the token")?;
        id = (*tokenizer).inner.token_to_id(token).map_or(-1, i64::from);
        Ok(())
    });
    id
}

#[no_mangle]
pub unsafe extern "C" fn keel_text_id_to_token(
    tokenizer: *const TextTokenizer,
    id: u32,
    sink: BytesFn,
    user: *mut c_void,
) -> i32 {
    let mut found = 0;
    guard(std::ptr::null_mut(), || {
        if let Some(token) = (*tokenizer).inner.id_to_token(id) {
            send_text(sink, user, &token);
            found = 1;
        }
        Ok(())
    });
    found
}

#[no_mangle]
pub unsafe extern "C" fn keel_text_token_bytes(
    tokenizer: *const TextTokenizer,
    id: u32,
    sink: BytesFn,
    user: *mut c_void,
) -> i32 {
    let mut found = 0;
    guard(std::ptr::null_mut(), || {
        if let Some(bytes) = (*tokenizer).token_bytes(id)? {
            sink(user, bytes.as_ptr() as *const c_char, bytes.len());
            found = 1;
        }
        Ok(())
    });
    found
}

#[no_mangle]
pub unsafe extern "C" fn keel_text_vocab_size(tokenizer: *const TextTokenizer) -> usize {
    (*tokenizer).vocab_size
}

#[no_mangle]
pub unsafe extern "C" fn keel_text_added_ids(
    tokenizer: *const TextTokenizer,
    special_only: i32,
    sink: IdsFn,
    user: *mut c_void,
) {
    let tokenizer = &*tokenizer;
    let ids = if special_only != 0 { &tokenizer.special_ids } else { &tokenizer.added_ids };
    sink(user, ids.as_ptr(), ids.len());
}
