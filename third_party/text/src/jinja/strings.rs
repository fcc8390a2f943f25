//! What Python's str asks of its characters.

use regex::Regex;
use std::sync::OnceLock;

/// Characters with a digit value that are no decimal digits.
const DIGITS: [(u32, u32); 20] = [
    (0xb2, 0xb3),
    (0xb9, 0xb9),
    (0x1369, 0x1371),
    (0x19da, 0x19da),
    (0x2070, 0x2070),
    (0x2074, 0x2079),
    (0x2080, 0x2089),
    (0x2460, 0x2468),
    (0x2474, 0x247c),
    (0x2488, 0x2490),
    (0x24ea, 0x24ea),
    (0x24f5, 0x24fd),
    (0x24ff, 0x24ff),
    (0x2776, 0x277e),
    (0x2780, 0x2788),
    (0x278a, 0x2792),
    (0x10a40, 0x10a43),
    (0x10e60, 0x10e68),
    (0x11052, 0x1105a),
    (0x1f100, 0x1f10a),
];

/// Ideographs that have a numeric value.
const NUMERALS: &str = "㐅㒃㠪㭍一七万三九二五亖亿什仟仨伍佰億兆兩八六十千卄卅卌叁参參叄四壱壹幺廾廿弌弍弎弐拾捌柒漆玖百肆萬\
                        貮貳贰阡陆陌陸零";

fn matches(pattern: &'static str, cell: &'static OnceLock<Regex>, c: char) -> bool {
    let regex = cell.get_or_init(|| Regex::new(pattern).expect("a valid pattern"));
    regex.is_match(c.encode_utf8(&mut [0; 4]))
}

pub fn is_letter(c: char) -> bool {
    static LETTER: OnceLock<Regex> = OnceLock::new();
    c.is_ascii_alphabetic() || (!c.is_ascii() && matches(r"\p{L}", &LETTER, c))
}

pub fn is_decimal(c: char) -> bool {
    static DECIMAL: OnceLock<Regex> = OnceLock::new();
    c.is_ascii_digit() || (!c.is_ascii() && matches(r"\p{Nd}", &DECIMAL, c))
}

pub fn is_digit(c: char) -> bool {
    is_decimal(c) || DIGITS.iter().any(|(low, high)| (*low..=*high).contains(&(c as u32)))
}

pub fn is_numeric(c: char) -> bool {
    c.is_numeric() || NUMERALS.contains(c)
}

/// Whether repr writes the character as it is.
pub fn is_printable(c: char) -> bool {
    static OTHER: OnceLock<Regex> = OnceLock::new();
    match c {
        ' '..='~' => true,
        c if c.is_ascii() => false,
        c => !matches(r"[\p{C}\p{Z}]", &OTHER, c),
    }
}

pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

pub fn is_word(c: char) -> bool {
    c == '_' || is_letter(c) || is_numeric(c)
}

fn is_titlecase(c: char) -> bool {
    matches!(c, 'ǅ' | 'ǈ' | 'ǋ' | 'ǲ')
}

fn is_cased(c: char) -> bool {
    c.is_uppercase() || c.is_lowercase() || is_titlecase(c)
}

pub fn is_upper(text: &str) -> bool {
    text.chars().any(char::is_uppercase)
        && !text.chars().any(|c| c.is_lowercase() || is_titlecase(c))
}

pub fn is_lower(text: &str) -> bool {
    text.chars().any(char::is_lowercase)
        && !text.chars().any(|c| c.is_uppercase() || is_titlecase(c))
}

pub fn is_title(text: &str) -> bool {
    let (mut after_cased, mut any) = (false, false);
    for c in text.chars() {
        let starts = c.is_uppercase() || is_titlecase(c);
        if (starts && after_cased) || (c.is_lowercase() && !after_cased) {
            return false;
        }
        after_cased = is_cased(c);
        any |= after_cased;
    }
    any
}

/// One character at the beginning of a title.
fn title_character(c: char) -> String {
    match c {
        'Ǆ' | 'ǅ' | 'ǆ' => "ǅ".to_string(),
        'Ǉ' | 'ǈ' | 'ǉ' => "ǈ".to_string(),
        'Ǌ' | 'ǋ' | 'ǌ' => "ǋ".to_string(),
        'Ǳ' | 'ǲ' | 'ǳ' => "ǲ".to_string(),
        '\u{10d0}'..='\u{10ff}' => c.to_string(),
        c => {
            let mut upper = c.to_uppercase();
            let first = upper.next().unwrap_or(c);
            std::iter::once(first).chain(upper.flat_map(char::to_lowercase)).collect()
        }
    }
}

/// str.title()
pub fn title(text: &str) -> String {
    let mut out = String::new();
    let mut after_cased = false;
    for c in text.chars() {
        if after_cased {
            out.extend(c.to_lowercase());
        } else {
            out.push_str(&title_character(c));
        }
        after_cased = is_cased(c);
    }
    out
}

/// str.capitalize()
pub fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => title_character(first) + &chars.as_str().to_lowercase(),
        None => String::new(),
    }
}

/// str.casefold(), by way of capital letters.
pub fn casefold(text: &str) -> String {
    let fold = |c: char| match c {
        'ı' => "ı".to_string(),
        c => c.to_uppercase().flat_map(char::to_lowercase).collect(),
    };
    text.chars().map(fold).collect()
}

pub fn swapcase(text: &str) -> String {
    let swap = |c: char| -> String {
        if c.is_uppercase() {
            c.to_lowercase().collect()
        } else {
            c.to_uppercase().collect()
        }
    };
    text.chars().map(swap).collect()
}

/// str.splitlines(keepends)
pub fn split_lines(text: &str, keep_ends: bool) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut start = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let is_end = matches!(
            c,
            '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
        );
        if !is_end {
            continue;
        }
        let mut next = at + c.len_utf8();
        if c == '\r' && chars.peek().is_some_and(|(_, c)| *c == '\n') {
            chars.next();
            next += 1;
        }
        lines.push(&text[start..if keep_ends { next } else { at }]);
        start = next;
    }
    if start < text.len() {
        lines.push(&text[start..]);
    }
    lines
}

/// str.split(None, limit); limit < 0: all.
pub fn split_words(text: &str, limit: i64) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        if limit >= 0 && words.len() as i64 == limit {
            words.push(rest.trim_end_matches(is_space).to_string());
            break;
        }
        let end = rest.find(is_space).unwrap_or(rest.len());
        words.push(rest[..end].to_string());
        rest = rest[end..].trim_start_matches(is_space);
    }
    words
}

/// str.rsplit(None, limit)
pub fn rsplit_words(text: &str, limit: i64) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim_end_matches(is_space);
    while !rest.is_empty() {
        if limit >= 0 && words.len() as i64 == limit {
            words.push(rest.trim_start_matches(is_space).to_string());
            break;
        }
        let start = rest
            .rfind(is_space)
            .map_or(0, |at| at + rest[at..].chars().next().map_or(0, char::len_utf8));
        words.push(rest[start..].to_string());
        rest = rest[..start].trim_end_matches(is_space);
    }
    words.reverse();
    words
}
