//! User and password of a URL.

use url::{Url, form_urlencoded};

/// Percent-decoded; the password leaves this module only into the connection's settings.
pub(super) struct Login {
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
}

impl Login {
    pub(super) fn from_url(url: &Url) -> Self {
        let username = percent_decode(url.username());
        let username = (!username.is_empty()).then_some(username);
        Self { username, password: url.password().map(percent_decode).filter(|password| !password.is_empty()) }
    }

    /// What stands before the host in a URL that may be shown.
    pub(super) fn masked(&self) -> String {
        match (&self.username, &self.password) {
            (None, None) => String::new(),
            (Some(username), None) => format!("{username}@"),
            (username, Some(_)) => format!("{}:**@", username.as_deref().unwrap_or_default()),
        }
    }
}

fn percent_decode(text: &str) -> String {
    // A form's pair is decoded by the url crate alone; `+` is the one character that it reads differently.
    let pair = format!("={}", text.replace('+', "%2B").replace('&', "%26"));
    form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}
