//! Messages that came back, since nothing is reached by their routing key: which of a batch they are.
//!
//! The server sends a message back as it was, and says nothing of its place. So it is found again by what it is.

use super::message::Outgoing;

/// One that came back.
#[derive(Debug)]
pub(super) struct Returned {
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) correlation_id: Option<String>,
    pub(super) body: Vec<u8>,
}

/// The places in a batch (exchange, routing key, message) of those that came back, in order. Of messages that are equal it
/// does not matter which.
pub(super) fn places<'a>(
    batch: impl Iterator<Item = (&'a str, &'a str, &'a Outgoing)>,
    mut returned: Vec<Returned>,
) -> Vec<usize> {
    let mut places = Vec::with_capacity(returned.len());
    for (place, (exchange, key, outgoing)) in batch.enumerate() {
        let correlation_id = outgoing.properties.correlation_id().as_ref().map(|id| id.as_str());
        let is_it = |back: &Returned| {
            back.routing_key == key
                && back.exchange == exchange
                && back.correlation_id.as_deref() == correlation_id
                && back.body == outgoing.body
        };
        if let Some(found) = returned.iter().position(is_it) {
            // They come in the order in which they went.
            returned.remove(found);
            places.push(place);
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_back_is_found_by_what_it_is() {
        let of = |body: &[u8]| Outgoing::of(body);
        let batch = [("", "a", of(b"1")), ("", "b", of(b"1")), ("", "a", of(b"2")), ("", "a", of(b"1"))];
        let back = |key: &str, body: &[u8]| Returned {
            exchange: String::new(),
            routing_key: key.to_owned(),
            correlation_id: None,
            body: body.to_vec(),
        };
        let of_batch = || batch.iter().map(|(exchange, key, outgoing)| (*exchange, *key, outgoing));
        assert_eq!(places(of_batch(), vec![back("a", b"2"), back("b", b"1")]), [1, 2]);
        assert_eq!(places(of_batch(), vec![back("a", b"1"), back("a", b"1")]), [0, 3]);
        assert_eq!(places(of_batch(), vec![back("c", b"1")]), [] as [usize; 0]);
    }
}
