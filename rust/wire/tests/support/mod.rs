//! Reading the golden tables: a row a line, cells between tabs, bytes in hexadecimal.
// Each test file compiles its own copy and uses a part of it.
#![allow(dead_code)]

use std::path::Path;

/// All rows of `tests/golden/<name>`.
pub(crate) fn table(name: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.split_terminator('\n').map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// Bytes from hexadecimal digits.
pub(crate) fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    let pairs = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap());
    pairs.collect()
}

/// Bytes as text, for messages of failed tests.
pub(crate) fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
