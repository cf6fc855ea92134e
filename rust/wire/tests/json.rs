//! The scanner against Python's `json` (`golden/texts.py`), and what it writes against what it reads.
// Some floats are written with all the digits of their exact value: they are ties.
#![allow(missing_docs, clippy::excessive_precision)]

mod support;

use fastworker_wire::json::{Scanner, write_float, write_int, write_text};
use proptest::prelude::*;
use support::{show, table, unhex};

fn is_accepted(text: &[u8]) -> bool {
    let mut scanner = Scanner::new(text);
    scanner.value().is_ok() && scanner.end().is_ok()
}

#[test]
fn the_scanner_accepts_what_python_accepts() {
    for row in table("scanner.tsv") {
        let text = unhex(&row[0]);
        assert_eq!(is_accepted(&text), row[1] == "ok", "{}", show(&text));
        if row[1] == "ok" && text.starts_with(b"\"") {
            let found = Scanner::new(&text).text().unwrap();
            assert_eq!(*found.bytes(), *unhex(&row[2]), "{}", show(&text));
        }
    }
}

#[test]
fn a_value_is_sliced_exactly() {
    let text = b" [1, {\"a\" : \"]\\\"\"}] , 2";
    let mut scanner = Scanner::new(text);
    assert_eq!(scanner.value().unwrap(), b"[1, {\"a\" : \"]\\\"\"}]");
    assert_eq!(scanner.peek(), Some(b','));
}

#[test]
fn text_is_escaped_as_python_escapes_it() {
    let mut out = Vec::new();
    write_text("a\"\\/\u{8}\u{c}\n\r\t\u{0}\u{7f}\u{e9}\u{1F600}", &mut out);
    assert_eq!(show(&out), r#""a\"\\/\b\f\n\r\t\u0000\u007f\u00e9\ud83d\ude00""#);
}

#[test]
fn floats_are_written_as_python_shows_them() {
    let written = |number| {
        let mut out = Vec::new();
        write_float(number, &mut out);
        show(&out)
    };
    let cases = [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (3.25, "3.25"),
        (120.0, "120.0"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e15, "1000000000000000.0"),
        (1e16, "1e+16"),
        (1.5e16, "1.5e+16"),
        (1e-4, "0.0001"),
        (1.25e-5, "1.25e-05"),
        (5e-324, "5e-324"),
        (f64::MAX, "1.7976931348623157e+308"),
        (-1e22, "-1e+22"),
        (f64::NAN, "NaN"),
        (2231904669848.28125, "2231904669848.2812"),
        (2231904669848.34375, "2231904669848.3438"),
        (f64::INFINITY, "Infinity"),
        (f64::NEG_INFINITY, "-Infinity"),
        (123456789012345680.0, "1.2345678901234568e+17"),
    ];
    for (number, expected) in cases {
        assert_eq!(written(number), expected);
    }
}

/// JSON text of every shape, with white space where it may stand.
fn any_json() -> impl Strategy<Value = String> {
    let text = any::<String>().prop_map(|text| {
        let mut out = Vec::new();
        write_text(&text, &mut out);
        show(&out)
    });
    let leaf = prop_oneof![
        text.clone(),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("JSON has no inf", |number| number.is_finite())
            .prop_map(|number| format!("{number:e}")),
        Just("null".to_owned()),
        Just("NaN".to_owned()),
        Just("-Infinity".to_owned()),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        let members = prop::collection::vec((text.clone(), inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(|items| format!("[ {} ]", items.join(" ,\n"))),
            members.prop_map(|members| {
                let members: Vec<_> = members.into_iter().map(|(key, value)| format!("{key}\t:{value}")).collect();
                format!("{{{}}}", members.join(", "))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn written_text_reads_back(text in any::<String>()) {
        let mut out = Vec::new();
        write_text(&text, &mut out);
        prop_assert!(out.is_ascii());
        prop_assert_eq!(Scanner::new(&out).text().unwrap().text(), text);
    }

    #[test]
    fn a_written_float_reads_back(bits: u64) {
        let number = f64::from_bits(bits);
        prop_assume!(number.is_finite());
        let mut out = Vec::new();
        write_float(number, &mut out);
        prop_assert!(is_accepted(&out));
        prop_assert_eq!(show(&out).parse::<f64>().unwrap().to_bits(), bits);
    }

    #[test]
    fn every_json_text_is_walked_to_its_end(text in any_json()) {
        prop_assert!(is_accepted(text.as_bytes()));
        prop_assert_eq!(Scanner::new(text.as_bytes()).value().unwrap(), text.as_bytes());
    }

    #[test]
    fn no_bytes_make_the_scanner_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        is_accepted(&bytes);
    }

    #[test]
    fn no_damage_makes_the_envelope_reader_panic(text in any_json(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut message = format!("{{\"headers\": {{\"task\": {text}, \"timelimit\": [{text}]}}, \"body\": {text}}}");
        let at = at.index(message.len());
        if message.is_char_boundary(at) {
            message.truncate(at);
        }
        let mut message = message.into_bytes();
        message.push(byte);
        let _ = fastworker_wire::envelope::parse(&message);
        let _ = fastworker_wire::envelope::mark_redelivered(&message);
        let _ = fastworker_wire::envelope::task_and_id(&message);
    }
}

#[test]
fn whole_numbers_are_written_with_all_their_digits() {
    for number in [0, 7, -7, 10, i64::MAX, i64::MIN] {
        let mut out = Vec::new();
        write_int(number, &mut out);
        assert_eq!(show(&out), number.to_string());
    }
}
