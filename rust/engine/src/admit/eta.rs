//! Rule: a request that is not due yet waits, here when it is near, in the broker when it is far.

use super::Verdict;
use crate::action::Ending;
use crate::event::{Now, Request};

/// Holds or parks a request that is due later than `now`. Parking is also the answer when the local timer is full:
/// deliveries that wait for the clock must not use up the credits of those that could run.
pub(super) fn rule(request: &Request, now: Now, horizon_ms: i64, has_timer_room: bool) -> Option<Verdict> {
    let eta_ms = request.eta_ms.filter(|&eta_ms| eta_ms > now.wall_ms)?;
    if !has_timer_room || is_beyond(eta_ms, now, horizon_ms) {
        return Some(Verdict::Drop { ending: Ending::Park { until_ms: eta_ms } });
    }
    Some(Verdict::Hold { until_ms: eta_ms })
}

/// Whether an eta is too far away to wait for here.
fn is_beyond(eta_ms: i64, now: Now, horizon_ms: i64) -> bool {
    eta_ms.saturating_sub(now.wall_ms) > horizon_ms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn verdict(eta_ms: i64, has_timer_room: bool) -> Option<Verdict> {
        let mut request = testing::request(1);
        request.eta_ms = Some(eta_ms);
        rule(&request, testing::at(0, 1_000), 10_000, has_timer_room)
    }

    #[test]
    fn request_that_is_due_passes() {
        assert_eq!(verdict(1_000, true), None);
    }

    #[test]
    fn request_due_within_the_horizon_is_held() {
        assert_eq!(verdict(11_000, true), Some(Verdict::Hold { until_ms: 11_000 }));
    }

    #[test]
    fn request_due_beyond_the_horizon_is_parked() {
        assert_eq!(verdict(11_001, true), Some(Verdict::Drop { ending: Ending::Park { until_ms: 11_001 } }));
    }

    #[test]
    fn near_request_is_parked_when_the_timer_is_full() {
        assert_eq!(verdict(1_001, false), Some(Verdict::Drop { ending: Ending::Park { until_ms: 1_001 } }));
    }

    #[test]
    fn eta_at_the_end_of_time_does_not_overflow() {
        assert!(verdict(i64::MAX, true).is_some());
    }
}
