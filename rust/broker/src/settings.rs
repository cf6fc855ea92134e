//! Named option values as text, taken out one by one, so that what nobody asked for can be told to the user.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use crate::Error;

/// Transport options and the URL's query, merged. `None` of Python arrives as `None`, `null` or an empty text and means
/// that the default holds.
pub(crate) struct Settings {
    values: BTreeMap<String, String>,
}

impl Settings {
    /// The URL's query wins over the transport options, as in Celery.
    pub(crate) fn new<'a>(
        transport_options: &[(String, String)],
        query: impl Iterator<Item = (std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>)>,
    ) -> Self {
        let mut values: BTreeMap<String, String> = transport_options.iter().cloned().collect();
        values.extend(query.map(|(name, value)| (name.into_owned(), value.into_owned())));
        values.retain(|_, value| !matches!(value.as_str(), "" | "None" | "null"));
        Self { values }
    }

    /// The text of an option, as the user wrote it.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        self.values.remove(name)
    }

    /// Whether an option with this beginning is still there.
    pub(crate) fn has_prefix(&self, prefix: &str) -> bool {
        self.values.keys().any(|name| name.starts_with(prefix))
    }

    /// Seconds, whole or not; more than 0.
    pub(crate) fn seconds(&mut self, name: &'static str) -> Result<Option<Duration>, Error> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let seconds = f64::from_str(text.trim()).ok().filter(|seconds| *seconds > 0.0);
        match seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
            Some(duration) => Ok(Some(duration)),
            None => Err(wrong(name, &text, "a number of seconds above 0", "3600")),
        }
    }

    /// Yes or no, as Python or JSON writes it.
    pub(crate) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, Error> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Ok(Some(true)),
            "false" | "0" | "no" => Ok(Some(false)),
            _ => Err(wrong(name, &text, "True or False", "True")),
        }
    }

    /// A Python or JSON list of small whole numbers, ascending: `[0, 3, 6, 9]`.
    pub(crate) fn steps(&mut self, name: &'static str) -> Result<Option<Vec<u8>>, Error> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let inner = text.trim().trim_matches(|c| matches!(c, '[' | ']' | '(' | ')')).trim_end_matches([',', ' ']);
        let steps: Option<Vec<u8>> = inner.split(',').map(|part| part.trim().parse().ok()).collect();
        match steps {
            Some(mut steps) if !steps.is_empty() && steps.iter().all(|step| *step <= 9) => {
                steps.sort_unstable();
                steps.dedup();
                Ok(Some(steps))
            }
            _ => Err(wrong(name, &text, "a list of numbers from 0 to 9", "[0, 3, 6, 9]")),
        }
    }

    /// The names of options that nobody took.
    pub(crate) fn unused(self) -> Vec<String> {
        self.values.into_keys().collect()
    }
}

fn wrong(name: &str, text: &str, expected: &str, example: &str) -> Error {
    Error::Url(format!("transport option {name}={text:?}: expected {expected}; try {name}={example}"))
}
