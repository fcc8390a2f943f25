//! String literals as Python reads them: minijinja lacks some escapes.

use std::str::Chars;

/// The value of adjacent literals, quotes included; None if an escape cannot be read.
pub fn value_of(source: &str) -> Option<String> {
    let mut out = String::new();
    let mut chars = source.chars();
    while let Some(quote) = chars.find(|c| !c.is_whitespace()) {
        loop {
            match chars.next()? {
                '\\' => out.push_str(&escape(&mut chars)?),
                c if c == quote => break,
                c => out.push(c),
            }
        }
    }
    Some(out)
}

fn escape(chars: &mut Chars) -> Option<String> {
    let c = match chars.next()? {
        '\n' => return Some(String::new()),
        c @ ('\\' | '\'' | '"') => c,
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        'x' => char::from_u32(number(chars, 2)?)?,
        'u' => unit(chars)?,
        'U' => char::from_u32(number(chars, 8)?)?,
        'N' => return None,
        c @ '0'..='7' => {
            let mut code = c.to_digit(8)?;
            for _ in 0..2 {
                match chars.as_str().chars().next().and_then(|c| c.to_digit(8)) {
                    Some(digit) => code = code * 8 + digit,
                    None => break,
                }
                chars.next();
            }
            char::from_u32(code)?
        }
        c => return Some(format!("\\{c}")),
    };
    Some(c.to_string())
}

fn number(chars: &mut Chars, digits: usize) -> Option<u32> {
    (0..digits).try_fold(0, |value, _| Some(value * 16 + chars.next()?.to_digit(16)?))
}

/// \uXXXX, or two of them that make one character.
fn unit(chars: &mut Chars) -> Option<char> {
    let first = number(chars, 4)?;
    if let Some(c) = char::from_u32(first) {
        return Some(c);
    }
    if chars.next()? != '\\' || chars.next()? != 'u' {
        return None;
    }
    let second = number(chars, 4)?;
    char::decode_utf16([first as u16, second as u16]).next()?.ok()
}
