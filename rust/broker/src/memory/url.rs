//! Which room a URL means.

use crate::Error;

const SHAPE: &str = "expected memory:// or memory://name (cache+memory:// for results)";

/// The room's name: what follows the scheme, without slashes around it. `memory://`, kombu's `memory://localhost//`
/// and Celery's `cache+memory://` are one room, the one without a name.
///
/// # Errors
/// [`Error::Url`] for options, of which there are none.
pub(crate) fn room_of(url: &str) -> Result<String, Error> {
    let (_, rest) = url.split_once("://").ok_or_else(|| Error::Url(format!("{url:?}: {SHAPE}")))?;
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    if !query.is_empty() {
        let option = query.split(['=', '&']).next().unwrap_or_default();
        return Err(Error::Url(format!("option {option:?} in a memory URL: there are none; {SHAPE}")));
    }
    // kombu's in-memory transport takes, and ignores, a login and a host.
    let place = place.rsplit_once('@').map_or(place, |(_login, place)| place);
    let name = place.trim_matches('/');
    let name = name.strip_prefix("localhost").filter(|rest| rest.is_empty() || rest.starts_with('/')).unwrap_or(name);
    Ok(name.trim_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kombus_spellings_are_the_room_without_a_name() {
        for url in
            ["memory://", "memory:///", "memory://localhost//", "cache+memory://", "memory://guest:guest@localhost//"]
        {
            assert_eq!(room_of(url).expect("a good URL"), "", "{url}");
        }
        assert_eq!(room_of("memory://orders").expect("a good URL"), "orders");
        assert_eq!(room_of("memory://localhost/orders").expect("a good URL"), "orders");
        assert_eq!(room_of("memory://localhosts").expect("a good URL"), "localhosts");
    }

    #[test]
    fn an_option_is_refused() {
        let error = room_of("memory://?visibility_timeout=5").expect_err("no such thing").to_string();
        assert!(error.contains("\"visibility_timeout\""), "{error}");
    }
}
