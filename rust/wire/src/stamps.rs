//! The stamps of a task's message: names that its sender gave it and others, to revoke them together.

use crate::Error;
use crate::json::{Scanner, write_text};

/// Every stamp in the headers (JSON), as name and value; a stamp with a list of values appears once for each. Values
/// are [`canonical`] JSON. As in Celery, only those count that `stamped_headers` names.
///
/// # Errors
/// The headers are not a JSON object.
pub fn stamps(headers: &[u8]) -> Result<Vec<(String, String)>, Error> {
    let mut named: Vec<String> = Vec::new();
    let mut found: Vec<(String, String)> = Vec::new();
    Scanner::new(headers).object(|key, scanner| match (&*key.bytes(), scanner.peek()) {
        (b"stamped_headers", Some(b'[')) => {
            named.clear();
            each(scanner.value()?, |value| named.extend(text_of(value)))
        }
        (b"stamps", Some(b'{')) => {
            found.clear();
            scanner.object(|name, scanner| {
                let (name, value) = (name.text().into_owned(), scanner.value()?);
                if value.starts_with(b"[") {
                    return each(value, |one| found.push((name.clone(), canonical(one))));
                }
                found.push((name, canonical(value)));
                Ok(())
            })
        }
        _ => scanner.value().map(drop),
    })?;
    found.retain(|(name, _)| named.contains(name));
    Ok(found)
}

/// One JSON value in the one spelling that comparisons use: a string is written anew, everything else stays.
pub fn canonical(value: &[u8]) -> String {
    let value = value.trim_ascii();
    match text_of(value) {
        Some(text) => {
            let mut out = Vec::with_capacity(text.len() + 2);
            write_text(&text, &mut out);
            String::from_utf8_lossy(&out).into_owned()
        }
        None => String::from_utf8_lossy(value).into_owned(),
    }
}

fn text_of(value: &[u8]) -> Option<String> {
    let is_text = value.first() == Some(&b'"');
    is_text.then(|| Scanner::new(value).text().ok().map(|text| text.text().into_owned())).flatten()
}

/// Shows each element of a JSON array, which the scanner has already walked over.
fn each(array: &[u8], mut take: impl FnMut(&[u8])) -> Result<(), Error> {
    let mut scanner = Scanner::at(array, 1);
    while !matches!(scanner.peek(), None | Some(b']')) {
        if scanner.peek() == Some(b',') {
            scanner = Scanner::at(array, scanner.offset() + 1);
            continue;
        }
        take(scanner.value()?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(headers: &str) -> Vec<(String, String)> {
        stamps(headers.as_bytes()).expect("an object")
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn stamps_are_flattened_and_spelled_alike() {
        let headers = r#"{"id": "1", "stamped_headers": ["a", "größe"],
            "stamps": {"a": ["x", 7, "\u00e9"], "gr\u00f6\u00dfe": "é", "unnamed": "y"}}"#;
        let expected = [pair("a", "\"x\""), pair("a", "7"), pair("a", "\"\\u00e9\""), pair("größe", "\"\\u00e9\"")];
        assert_eq!(found(headers), expected);
    }

    #[test]
    fn messages_without_stamps_have_none() {
        for headers in ["{}", r#"{"stamps": null, "stamped_headers": null}"#, r#"{"stamps": {"a": 1}}"#] {
            assert_eq!(found(headers), []);
        }
        assert!(stamps(b"[]").is_err());
    }
}
