//! Tokens as bytes.

use crate::ffi::Failure;
use serde_json::Value as Json;
use tokenizers::Tokenizer;

/// How a decoder spells bytes in tokens.
#[derive(Clone, Default)]
pub struct Spelling {
    byte_level: bool,
    byte_fallback: bool,
    space: Option<String>,
    unknown: Option<String>,
}

impl Spelling {
    /// How the tokenizer spells; or what its decoder is, if its tokens do not stand for bytes.
    pub fn of(tokenizer: &Tokenizer) -> Result<Result<Spelling, String>, Failure> {
        let decoder = serde_json::to_value(tokenizer.get_decoder()).map_err(Failure::invalid)?;
        let mut spelling = Spelling::default();
        spelling.read(&decoder);
        let known = spelling.byte_level || spelling.byte_fallback || spelling.space.is_some();
        Ok(match spelling.unknown.take() {
            Some(other) => Err(other),
            None if !known => Err("of another kind".to_string()),
            None => Ok(spelling),
        })
    }

    fn read(&mut self, decoder: &Json) {
        match decoder["type"].as_str().unwrap_or("none") {
            "Sequence" => {
                for inner in decoder["decoders"].as_array().into_iter().flatten() {
                    self.read(inner);
                }
            }
            "ByteLevel" => self.byte_level = true,
            "ByteFallback" => self.byte_fallback = true,
            "Metaspace" => self.space = decoder["replacement"].as_str().map(str::to_string),
            "Replace" if decoder["content"] == " " => {
                self.space = decoder["pattern"]["String"].as_str().map(str::to_string)
            }
            // Fuse joins tokens; Strip takes a space off the text's beginning.
            "Fuse" | "Strip" => {}
            other => self.unknown = Some(other.to_string()),
        }
    }

    /// What a token of the vocabulary stands for inside of a text.
    pub fn bytes(&self, token: &str) -> Vec<u8> {
        if self.byte_level {
            let bytes: Option<Vec<u8>> = token.chars().map(byte_level_byte).collect();
            // No byte level spelling: the decoder gives such a token as it stands.
            return bytes.unwrap_or_else(|| token.as_bytes().to_vec());
        }
        if self.byte_fallback && token.len() == 6 {
            let hex = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
            if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                return vec![byte];
            }
        }
        match &self.space {
            Some(space) => token.replace(space.as_str(), " ").into_bytes(),
            None => token.as_bytes().to_vec(),
        }
    }
}

/// GPT-2's table: printable characters stand for themselves, the others for U+0100 and on.
fn byte_level_byte(c: char) -> Option<u8> {
    let stands = |b: u32| matches!(b, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let c = c as u32;
    if c < 0x100 {
        return stands(c).then_some(c as u8);
    }
    (0..0x100u32).filter(|b| !stands(*b)).nth(c as usize - 0x100).map(|b| b as u8)
}
