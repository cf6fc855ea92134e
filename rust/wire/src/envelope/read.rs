//! Reading: one pass over the bytes, in whatever order the keys come.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use super::Envelope;
use super::field::{
    field_bool, field_retries, field_text, field_time, field_timelimit, is_null, is_true, priority, text_or_null,
};
use crate::Error;
use crate::json::{RawText, Scanner};

/// Reads an envelope, headers only: the body is decoded from base64 and looked into no further.
///
/// Unknown keys are ignored and a repeated key counts with its last value, as in Python.
///
/// # Errors
/// [`Error::Json`] or [`Error::TooDeep`] when it is not a JSON object; [`Error::Field`] when a field that decides
/// something holds what Celery never writes; [`Error::Base64`]. All mean: to the dead letters, with this text.
pub fn parse(message: &[u8]) -> Result<Envelope<'_>, Error> {
    let mut reading = Reading::default();
    reading.walk(message)?;
    if reading.has_repeats {
        // Rare enough for a second walk that knows which of them counts.
        let (headers_at, properties_at) = (reading.headers_at, reading.properties_at);
        reading = Reading { headers_at, properties_at, ..Reading::default() };
        reading.walk(message)?;
    }
    reading.finish()
}

/// An envelope while its keys come in.
#[derive(Default)]
struct Reading<'a> {
    envelope: Envelope<'a>,
    body: Option<RawText<'a>>,
    is_base64: bool,
    is_redelivered_by_headers: bool,
    is_redelivered_by_properties: bool,
    /// Where the `headers` value that counts begins. Found in the first walk, obeyed in the second.
    headers_at: Option<usize>,
    /// The same for `properties`.
    properties_at: Option<usize>,
    /// One of the two was there twice, so that fields of the wrong one may have been read.
    has_repeats: bool,
}

/// What kombu assumes when the key is missing or null.
const DEFAULT_TYPE: Cow<'static, str> = Cow::Borrowed("application/data");
const DEFAULT_ENCODING: Cow<'static, str> = Cow::Borrowed("utf-8");

impl Default for Envelope<'_> {
    /// A message that says nothing: `{}`.
    fn default() -> Self {
        Self {
            body: Cow::Borrowed(b""),
            content_type: DEFAULT_TYPE,
            content_encoding: DEFAULT_ENCODING,
            headers_json: b"{}",
            properties_json: b"{}",
            task: None,
            id: None,
            root_id: None,
            parent_id: None,
            group: None,
            eta: None,
            expires: None,
            rate_limit_key: None,
            argsrepr_json: None,
            kwargsrepr_json: None,
            shadow: None,
            compression: None,
            correlation_id: None,
            reply_to: None,
            delivery_tag: None,
            retries: 0,
            timelimit: (None, None),
            ignore_result: None,
            priority: 0,
            intended_us: None,
            number: None,
            is_redelivered: false,
        }
    }
}

impl<'a> Reading<'a> {
    fn walk(&mut self, message: &'a [u8]) -> Result<(), Error> {
        let is_second = self.headers_at.is_some() || self.properties_at.is_some();
        let mut scanner = Scanner::new(message);
        scanner.object(|key, scanner| {
            scanner.peek();
            let start = scanner.offset();
            match &*key.bytes() {
                b"body" => self.body = text_or_null(scanner, "body")?,
                b"content-type" => {
                    let found = field_text(scanner, "content-type")?;
                    self.envelope.content_type = found.unwrap_or(DEFAULT_TYPE);
                }
                b"content-encoding" => {
                    let found = field_text(scanner, "content-encoding")?;
                    self.envelope.content_encoding = found.unwrap_or(DEFAULT_ENCODING);
                }
                b"headers" if !is_second || self.headers_at == Some(start) => {
                    self.has_repeats |= self.headers_at.replace(start).is_some() && !is_second;
                    if !is_null(scanner)? {
                        self.headers(scanner)?;
                        self.envelope.headers_json = &message[start..scanner.offset()];
                    }
                }
                b"properties" if !is_second || self.properties_at == Some(start) => {
                    self.has_repeats |= self.properties_at.replace(start).is_some() && !is_second;
                    if !is_null(scanner)? {
                        self.properties(scanner)?;
                        self.envelope.properties_json = &message[start..scanner.offset()];
                    }
                }
                _ => drop(scanner.value()?),
            }
            Ok(())
        })?;
        scanner.end()
    }

    fn headers(&mut self, scanner: &mut Scanner<'a>) -> Result<(), Error> {
        let envelope = &mut self.envelope;
        scanner.object(|key, scanner| {
            match &*key.bytes() {
                b"task" => envelope.task = field_text(scanner, "headers.task")?,
                b"id" => envelope.id = field_text(scanner, "headers.id")?,
                b"root_id" => envelope.root_id = field_text(scanner, "headers.root_id")?,
                b"parent_id" => envelope.parent_id = field_text(scanner, "headers.parent_id")?,
                b"group" => envelope.group = field_text(scanner, "headers.group")?,
                b"eta" => envelope.eta = field_time(scanner, "headers.eta")?,
                b"expires" => envelope.expires = field_time(scanner, "headers.expires")?,
                b"rate_limit_key" => envelope.rate_limit_key = field_text(scanner, "headers.rate_limit_key")?,
                b"argsrepr" => envelope.argsrepr_json = string_of(scanner.value()?),
                b"kwargsrepr" => envelope.kwargsrepr_json = string_of(scanner.value()?),
                b"shadow" => envelope.shadow = field_text(scanner, "headers.shadow")?,
                b"compression" => {
                    envelope.compression = field_text(scanner, "headers.compression")?;
                }
                b"retries" => envelope.retries = field_retries(scanner, "headers.retries")?,
                b"timelimit" => {
                    envelope.timelimit = field_timelimit(scanner, "headers.timelimit")?;
                }
                b"ignore_result" => {
                    envelope.ignore_result = field_bool(scanner, "headers.ignore_result")?;
                }
                b"fw-intended" => envelope.intended_us = digits(scanner.value()?),
                b"fw-number" => envelope.number = digits(scanner.value()?),
                b"redelivered" => self.is_redelivered_by_headers = is_true(scanner.value()?),
                _ => drop(scanner.value()?),
            }
            Ok(())
        })
    }

    fn properties(&mut self, scanner: &mut Scanner<'a>) -> Result<(), Error> {
        let envelope = &mut self.envelope;
        scanner.object(|key, scanner| {
            match &*key.bytes() {
                b"correlation_id" => {
                    envelope.correlation_id = field_text(scanner, "properties.correlation_id")?;
                }
                b"reply_to" => envelope.reply_to = field_text(scanner, "properties.reply_to")?,
                b"delivery_tag" => {
                    envelope.delivery_tag = field_text(scanner, "properties.delivery_tag")?;
                }
                b"priority" => envelope.priority = priority(scanner.value()?),
                b"body_encoding" => self.is_base64 = scanner.value()? == br#""base64""#,
                b"delivery_info" if scanner.peek() == Some(b'{') => {
                    self.is_redelivered_by_properties = false;
                    scanner.object(|key, scanner| {
                        let value = scanner.value()?;
                        if *key.bytes() == *b"redelivered" {
                            self.is_redelivered_by_properties = is_true(value);
                        }
                        Ok(())
                    })?;
                }
                _ => drop(scanner.value()?),
            }
            Ok(())
        })
    }

    fn finish(self) -> Result<Envelope<'a>, Error> {
        let mut envelope = self.envelope;
        envelope.is_redelivered = self.is_redelivered_by_headers || self.is_redelivered_by_properties;
        if let Some(body) = self.body {
            envelope.body = if self.is_base64 { decode_base64(body)? } else { body.bytes() };
        }
        Ok(envelope)
    }
}

/// A whole number, quoted or not; `None` for anything else.
fn digits<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    let value = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// A JSON string as it is written; `None` for anything else.
fn string_of(value: &[u8]) -> Option<&[u8]> {
    value.starts_with(b"\"").then_some(value)
}

/// Decodes as Python's `b64decode` does: what is not of the alphabet is skipped, so line breaks are allowed.
fn decode_base64<'a>(body: RawText<'a>) -> Result<Cow<'a, [u8]>, Error> {
    /// Python does not look at the bits that the last digit has too many.
    const LENIENT: GeneralPurpose =
        GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));
    let text = body.bytes();
    if let Ok(decoded) = STANDARD.decode(&text) {
        return Ok(Cow::Owned(decoded));
    }
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    let digits: Vec<u8> = text.iter().copied().filter(is_digit).collect();
    let decoded = LENIENT.decode(digits);
    decoded.map(Cow::Owned).map_err(|_| Error::Base64 { offset: body.offset() })
}
