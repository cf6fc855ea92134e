//! Rule: what was revoked before it came is not run. What is revoked while it is here, `revoke.rs` sees to.

use super::Verdict;
use crate::action::Ending;
use crate::event::Request;

/// Drops a request that somebody has revoked.
pub(super) fn rule(request: &Request) -> Option<Verdict> {
    let ending = Ending::Revoked { terminated: None, acked_early: false };
    request.is_revoked.then_some(Verdict::Drop { ending })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn revoked_request_is_dropped() {
        let mut request = testing::request(1);
        assert_eq!(rule(&request), None);
        request.is_revoked = true;
        let ending = Ending::Revoked { terminated: None, acked_early: false };
        assert_eq!(rule(&request), Some(Verdict::Drop { ending }));
    }
}
