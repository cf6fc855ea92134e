//! Rule: a request whose `expires` is over is not run. Asked on delivery and again just before dispatch.

use super::Verdict;
use crate::action::Ending;
use crate::event::{Now, Request};

/// Drops a request that expired.
pub(super) fn rule(request: &Request, now: Now) -> Option<Verdict> {
    is_expired(request, now).then_some(Verdict::Drop { ending: Ending::Expired })
}

/// Whether the wall clock is past `expires`. As in Celery, the last millisecond still counts as in time.
pub(crate) fn is_expired(request: &Request, now: Now) -> bool {
    request.expires_ms.is_some_and(|expires_ms| now.wall_ms > expires_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn request_past_its_expiry_is_dropped() {
        let mut request = testing::request(1);
        request.expires_ms = Some(999);
        let verdict = rule(&request, testing::at(0, 1_000));
        assert_eq!(verdict, Some(Verdict::Drop { ending: Ending::Expired }));
    }

    #[test]
    fn request_in_its_last_millisecond_passes() {
        let mut request = testing::request(1);
        request.expires_ms = Some(1_000);
        assert_eq!(rule(&request, testing::at(0, 1_000)), None);
    }
}
