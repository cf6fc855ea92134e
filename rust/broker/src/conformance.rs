//! The one suite that every broker passes (feature `conformance`).
//!
//! A broker's test implements [`Server`] and calls [`exercise`]; nothing else is needed. The suite uses queues and task
//! ids of its own making, so it may run again and on a server that others use; but one case purges all dead letters
//! of the server, so nobody else should look at those meanwhile. Every case is an `async fn` whose name is the sentence
//! that it proves; it gets a runtime of its own, as a worker has one.

mod bench;
mod chords;
mod control;
mod dead;
mod delivery;
mod endings;
mod fanouts;
mod holds;
mod lanes;
mod leases;
mod machine;
mod parked;
mod queues;
mod results;

use std::future::Future;
use std::time::Duration;

use crate::{Broker, Client, Error, LeaseTerms, QueueOrder, ResultClient};

use bench::Bench;

/// No case takes longer, on a slow machine with a debug build.
const LIMIT: Duration = Duration::from_secs(60);

/// Makes connections to one server. The broker values store results, on that same server, where `results` reads.
pub trait Server {
    /// The implementation under test.
    type Broker: Broker;

    /// For messages to people: `redis`, `sqlite`.
    fn name(&self) -> &str;

    /// A new broker value, a new incarnation, that watches `queues`, and fetches them in this order.
    fn broker(
        &self,
        queues: &[String],
        terms: LeaseTerms,
        order: QueueOrder,
    ) -> impl Future<Output = Result<Self::Broker, Error>>;

    /// A new client.
    fn client(&self) -> Result<Box<dyn Client>, Error>;

    /// A new client of the results.
    fn results(&self) -> Result<Box<dyn ResultClient>, Error>;

    /// URL and options of the results.
    fn results_at(&self) -> (String, Vec<(String, String)>);

    /// Why this server cannot do what a case asks for. `None`: it can.
    fn lacks(&self, _case: &str) -> Option<&'static str> {
        None
    }
}

/// Runs every case; panics at the first that fails, after having named it. Returns how many were run; what is left out is
/// told with its reason.
pub fn exercise<S: Server>(server: &S) -> usize {
    let mut count = 0;
    macro_rules! cases {
        ($($group:ident: $($case:ident)*;)*) => {
            $($(
                match server.lacks(stringify!($case)) {
                    Some(why) => eprintln!("conformance {}: {} left out: {why}", server.name(), stringify!($case)),
                    None => {
                        eprintln!("conformance {}: {}", server.name(), stringify!($case));
                        run(async { $group::$case(&Bench::new(server)).await });
                        count += 1;
                    }
                }
            )*)*
        };
    }
    cases! {
        delivery:
            a_published_message_is_fetched_once
            an_empty_queue_gives_nothing
            a_fetch_gives_at_most_max
            messages_of_one_priority_come_in_order
            the_most_urgent_come_first
            queues_of_one_priority_take_turns
            a_queue_may_have_any_name
            a_megabyte_travels_unchanged
            a_worker_publishes_too
            a_publish_wakes_a_waiting_worker
            a_return_wakes_another_worker
            a_dropped_fetch_loses_nothing
            depth_counts_what_waits_and_purge_removes_it;
        endings:
            a_returned_message_is_fetched_next
            a_redelivery_is_marked
            settling_twice_does_nothing_twice
            successors_come_with_the_acknowledgement
            keep_keeps_the_lease
            acked_needs_no_lease
            a_stored_success_stays
            a_lost_lease_is_reported_and_guarded
            started_attempts_are_counted
            an_attempt_of_a_lost_lease_is_not_counted
            an_early_acknowledgement_of_a_lost_lease_is_refused
            requeue_at_the_tasks_wish_forgets_the_started_attempts;
        leases:
            a_vanished_owners_messages_come_back_after_its_life
            a_living_owner_is_left_alone
            who_was_taken_for_dead_finds_out_which_leases_it_lost
            close_gives_back_what_is_held
            a_parked_message_waits_until_it_is_due;
        lanes:
            what_is_over_a_shared_rate_waits_in_its_lane
            another_worker_draws_when_the_permit_is_there
            every_key_has_permits_of_its_own
            permits_of_a_block_come_at_once
            what_comes_later_waits_behind_the_lane
            the_most_urgent_of_a_lane_is_drawn_first
            a_lane_without_a_quota_is_left_alone
            a_workers_own_permits_draw_from_its_lane
            a_dropped_draw_loses_nothing
            asking_for_a_lost_lease_moves_nothing
            a_permit_goes_to_what_is_ours_alone
            who_holds_nothing_gets_no_permits_ahead
            lanes_are_emptied_into_their_queue_in_order
            depth_and_purge_count_lanes;
        parked:
            what_is_parked_is_listed_page_by_page
            pages_go_on_where_they_ended_whatever_leaves
            a_parked_message_is_found_by_its_id
            a_released_message_is_due_and_first
            a_hastened_message_is_due_soon_with_its_eta
            a_message_released_by_time_is_nobodys_to_cancel
            cancelling_stores_its_result_in_the_same_step
            a_result_elsewhere_is_stored_before
            what_was_revoked_is_not_parked_for_long
            every_parked_message_goes_one_way
            a_result_is_replaced_only_if_it_is_the_one_seen;
        queues:
            a_queue_gives_no_more_than_its_room
            a_queue_without_room_wakes_nobody
            shares_are_kept_between_queues_with_work
            what_one_queue_leaves_over_goes_to_the_others
            the_most_urgent_come_first_whatever_the_shares
            queues_of_one_priority_come_in_the_order_that_is_asked_for
            a_queue_is_watched_from_then_on
            a_paused_queue_gives_nothing
            resuming_wakes_a_waiting_worker
            a_paused_queue_is_published_to_and_purged
            lanes_of_a_queue_without_room_are_left_alone;
        holds:
            a_message_is_found_wherever_it_is
            a_long_queue_is_read_to_its_end
            a_message_that_names_a_task_is_not_one_of_it;
        dead:
            what_is_not_json_becomes_a_dead_letter
            dead_letters_are_listed_newest_first
            a_dead_letter_can_be_retried
            dead_letters_can_be_purged;
        control:
            a_broadcast_reaches_every_listener
            a_listener_hears_what_comes_after_it_began
            a_reply_comes_to_its_mailbox_alone
            a_reply_to_a_closed_mailbox_is_refused
            waiting_for_replies_ends_in_time
            what_was_revoked_is_remembered
            old_and_surplus_revokes_are_forgotten
            what_is_to_be_terminated_is_remembered_so
            a_forgotten_revoke_takes_its_signal_along;
        fanouts:
            every_enlisted_queue_gets_copies_of_its_exchange
            a_silent_worker_gets_no_copies_until_it_is_heard_of;
        results:
            a_result_is_stored_and_read
            many_results_come_in_the_order_asked
            wait_sees_the_next_state
            wait_gives_up_in_time
            many_results_are_watched_at_once
            a_forgotten_result_is_gone
            a_result_expires
            a_success_in_a_client_stays_too;
        chords:
            a_group_is_saved_and_deleted
            a_group_expires
            the_last_member_completes_its_chord
            a_member_that_ends_twice_counts_once
            parts_are_counted_before_the_size_is_known
            beginning_forgets_the_size_of_an_earlier_run
            a_dead_workers_joins_are_taken_over
            who_closes_leaves_its_joins_to_others
            a_member_of_a_lost_lease_is_not_counted
            a_chord_that_is_begun_anew_forgets_its_old_join
            a_complete_chord_does_not_expire
            a_chord_ends_with_one_failure_more_than_it_bears
            parts_outlive_a_chord_under_a_name_of_their_own
            what_is_kept_is_read_in_order_and_lives_on_when_it_is_read
            a_saved_group_comes_with_the_parts;
    }
    count
}

/// Plays `runs` random sequences of everything that can be done to a chord, results beside the messages and elsewhere;
/// panics with the shortest in which the server says or keeps something else than a model of a few lines.
pub fn compare_chords<S: Server>(server: &S, runs: u32) {
    machine::chords_do_as_the_model_does(server, runs);
}

fn run(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        assert!(tokio::time::timeout(LIMIT, case).await.is_ok(), "the case took more than {LIMIT:?}");
    });
}
