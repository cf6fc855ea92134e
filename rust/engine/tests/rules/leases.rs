//! What is held with a lease is looked after wherever it waits: the lease may be lost without a word.

use fastworker_engine::{Event, Handle, Request};

use crate::desk::{Desk, START_MS, early, request};

fn looked_after(desk: &Desk) -> Vec<u32> {
    let mut handles: Vec<u32> = desk.engine.unasked().map(|handle| handle.0).collect();
    handles.sort_unstable();
    handles
}

#[test]
fn leases_at_a_child_in_line_and_on_the_timer_are_looked_after() {
    let mut desk = Desk::alone();
    desk.deliver([request(1), request(2), Request { eta_ms: Some(START_MS + 1_000), ..request(3) }]);
    assert_eq!(looked_after(&desk), [1, 2, 3]);
}

#[test]
fn what_was_acknowledged_has_no_lease_to_look_after() {
    let mut desk = Desk::alone();
    desk.deliver([early(1)]);
    assert_eq!(looked_after(&desk), [], "its acknowledgement is on its way, and the answer says so");
    desk.tell(Event::Settled { handle: Handle(1) });
    assert_eq!(looked_after(&desk), [], "it is at a child");
}
