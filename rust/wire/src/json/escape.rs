//! Writing strings, byte for byte as Python's `json.dumps` does with its defaults.

use super::run::plain_run;

/// Appends `text` as a JSON string with its quotes. Everything outside printable ASCII is escaped (`ensure_ascii`), in
/// lower-case hexadecimal, characters beyond U+FFFF as a surrogate pair.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text;
    loop {
        let (plain, special) = rest.split_at(plain_run(rest.as_bytes()));
        out.extend_from_slice(plain.as_bytes());
        let mut characters = special.chars();
        let Some(character) = characters.next() else {
            break;
        };
        write_code_point(character.into(), out);
        rest = characters.as_str();
    }
    out.push(b'"');
}

/// Appends one character of a string. A lone surrogate, which Python's strings may hold, is written as its escape.
pub fn write_code_point(code: u32, out: &mut Vec<u8>) {
    match code {
        0x22 => out.extend_from_slice(b"\\\""),
        0x5C => out.extend_from_slice(b"\\\\"),
        0x20..=0x7E => out.push(code as u8),
        0x0A => out.extend_from_slice(b"\\n"),
        0x0D => out.extend_from_slice(b"\\r"),
        0x09 => out.extend_from_slice(b"\\t"),
        0x08 => out.extend_from_slice(b"\\b"),
        0x0C => out.extend_from_slice(b"\\f"),
        0x1_0000.. => {
            let offset = code - 0x1_0000;
            write_unit(0xD800 + (offset >> 10 & 0x3FF), out);
            write_unit(0xDC00 + (offset & 0x3FF), out);
        }
        _ => write_unit(code, out),
    }
}

fn write_unit(unit: u32, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |shift: u32| DIGITS[(unit >> shift & 0xF) as usize];
    out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
}
