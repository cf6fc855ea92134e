//! Headers: a JSON object in our envelope, a field table in AMQP.
//!
//! Integers become 32 or 64 bits wide, as py-amqp writes them; null is void. What AMQP has no form for (an integer of
//! more than 64 bits) becomes a double.

use fastworker_wire::Error;
use fastworker_wire::json::{Scanner, write_float, write_int, write_text};
use lapin::types::{AMQPValue, FieldArray, FieldTable, ShortString};

/// Reads a JSON object. A repeated key counts with its last value.
///
/// # Errors
/// [`Error::Json`] or [`Error::TooDeep`] when it is no JSON object; [`Error::Field`] for a name of more than 255 bytes.
pub(super) fn from_json(json: &[u8]) -> Result<FieldTable, Error> {
    let mut scanner = Scanner::new(json);
    let table = object(&mut scanner)?;
    scanner.end()?;
    Ok(table)
}

fn object(scanner: &mut Scanner<'_>) -> Result<FieldTable, Error> {
    let mut table = FieldTable::default();
    scanner.object(|key, scanner| {
        let name = ShortString::try_new(key.text()).map_err(|_too_long| Error::Field {
            field: "headers",
            offset: key.offset(),
            expected: "names of at most 255 bytes",
        })?;
        table.insert(name, value(scanner)?);
        Ok(())
    })?;
    Ok(table)
}

fn value(scanner: &mut Scanner<'_>) -> Result<AMQPValue, Error> {
    Ok(match scanner.peek() {
        Some(b'"') => AMQPValue::LongString(scanner.text()?.bytes().into_owned().into()),
        Some(b'{') => AMQPValue::FieldTable(object(scanner)?),
        Some(b'[') => {
            let mut items = FieldArray::default();
            scanner.array(|scanner| {
                items.push(value(scanner)?);
                Ok(())
            })?;
            AMQPValue::FieldArray(items)
        }
        _ => scalar(scanner.value()?),
    })
}

/// null, true, false or a number.
fn scalar(raw: &[u8]) -> AMQPValue {
    match raw {
        b"null" => AMQPValue::Void,
        b"true" => AMQPValue::Boolean(true),
        b"false" => AMQPValue::Boolean(false),
        b"Infinity" => AMQPValue::Double(f64::INFINITY),
        b"-Infinity" => AMQPValue::Double(f64::NEG_INFINITY),
        _ => {
            let text = String::from_utf8_lossy(raw);
            match (text.parse::<i32>(), text.parse::<i64>()) {
                (Ok(short), _) => AMQPValue::LongInt(short),
                (_, Ok(long)) => AMQPValue::LongLongInt(long),
                _ => AMQPValue::Double(text.parse().unwrap_or(f64::NAN)),
            }
        }
    }
}

/// Appends the table as a JSON object, without those of its names that `is_left_out` says.
pub(super) fn write_json(table: &FieldTable, is_left_out: impl Fn(&str) -> bool, out: &mut Vec<u8>) {
    out.push(b'{');
    let kept = table.inner().iter().filter(|(name, _)| !is_left_out(name.as_str()));
    for (place, (name, value)) in kept.enumerate() {
        if place > 0 {
            out.extend_from_slice(b", ");
        }
        write_text(name.as_str(), out);
        out.extend_from_slice(b": ");
        write_value(value, out);
    }
    out.push(b'}');
}

fn write_value(value: &AMQPValue, out: &mut Vec<u8>) {
    match value {
        AMQPValue::Void => out.extend_from_slice(b"null"),
        AMQPValue::Boolean(true) => out.extend_from_slice(b"true"),
        AMQPValue::Boolean(false) => out.extend_from_slice(b"false"),
        AMQPValue::FieldTable(table) => write_json(table, |_| false, out),
        AMQPValue::FieldArray(items) => {
            out.push(b'[');
            for (place, item) in items.as_slice().iter().enumerate() {
                if place > 0 {
                    out.extend_from_slice(b", ");
                }
                write_value(item, out);
            }
            out.push(b']');
        }
        AMQPValue::ShortString(text) => write_text(text.as_str(), out),
        AMQPValue::LongString(text) => write_text(&String::from_utf8_lossy(text.as_bytes()), out),
        AMQPValue::ByteArray(bytes) => write_text(&String::from_utf8_lossy(bytes.as_slice()), out),
        AMQPValue::Float(number) => write_float(f64::from(*number), out),
        AMQPValue::Double(number) => write_float(*number, out),
        AMQPValue::DecimalValue(number) => {
            write_float(f64::from(number.value) / 10f64.powi(i32::from(number.scale)), out);
        }
        _ => write_int(integer(value).unwrap_or_default(), out),
    }
}

/// The number, whatever its width; a time counts in seconds.
pub(super) fn integer(value: &AMQPValue) -> Option<i64> {
    match value {
        AMQPValue::ShortShortInt(number) => Some(i64::from(*number)),
        AMQPValue::ShortShortUInt(number) => Some(i64::from(*number)),
        AMQPValue::ShortInt(number) => Some(i64::from(*number)),
        AMQPValue::ShortUInt(number) => Some(i64::from(*number)),
        AMQPValue::LongInt(number) => Some(i64::from(*number)),
        AMQPValue::LongUInt(number) => Some(i64::from(*number)),
        AMQPValue::LongLongInt(number) => Some(*number),
        AMQPValue::Timestamp(seconds) => i64::try_from(*seconds).ok(),
        _ => None,
    }
}

/// A text value.
pub(super) fn text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::ShortString(text) => Some(text.to_string()),
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(json: &str) -> String {
        let mut out = Vec::new();
        write_json(&from_json(json.as_bytes()).expect("an object"), |name| name == "x-death", &mut out);
        String::from_utf8(out).expect("JSON is text")
    }

    #[test]
    fn headers_of_celery_come_back_as_they_went() {
        let headers = r#"{"eta": null, "id": "7\u00e9", "retries": 0, "stamps": {"a": [1, "x"]}, "timelimit": [null, 2.5], "u": true, "v": 5000000000, "w": -3}"#;
        assert_eq!(round_trip(headers), headers);
        assert_eq!(
            round_trip(r#"{"a": NaN, "b": 1e400, "c": {}, "d": []}"#),
            r#"{"a": NaN, "b": Infinity, "c": {}, "d": []}"#
        );
    }

    #[test]
    fn what_is_left_out_leaves_no_gap() {
        assert_eq!(round_trip(r#"{"a": 1, "x-death": [1], "y": 2}"#), r#"{"a": 1, "y": 2}"#);
    }

    #[test]
    fn a_name_that_is_too_long_is_refused() {
        let json = format!("{{\"{}\": 1}}", "n".repeat(256));
        assert!(from_json(json.as_bytes()).is_err());
        assert!(from_json(b"[1]").is_err());
    }
}
