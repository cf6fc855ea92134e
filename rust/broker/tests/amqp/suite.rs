//! The suite that every broker passes, and what RabbitMQ has no place for.

use fastworker_broker::conformance::{Server, exercise};
use fastworker_broker::{AmqpBroker, Client, Error, LeaseTerms, QueueOrder, ResultClient};

use crate::support::Site;

const RESULTS: &str = "results are kept elsewhere";
const SERVER: &str = "the server itself takes back what a lost connection held; recovery.rs";
const MARKED: &str = "the server marks whatever comes back to it";
const SENT: &str = "what comes back is sent to a consumer at once";
const COMING: &str = "what a queue has may be on its way to us";
const ORDER: &str = "the highest number is the most urgent; particular.rs";
const SHARED: &str = "there is no count that workers share";
const PARKED: &str = "nobody can look at what waits for its time; particular.rs";
const REVOKED: &str = "there is no place to write a revoke down";
const SEARCH: &str = "a queue cannot be searched";
const PAUSED: &str = "a queue cannot be paused";
const COPIES: &str = "the server copies; particular.rs";

impl Server for Site {
    type Broker = AmqpBroker;

    fn name(&self) -> &str {
        "amqp"
    }

    async fn broker(&self, queues: &[String], terms: LeaseTerms, order: QueueOrder) -> Result<AmqpBroker, Error> {
        let strategy = match order {
            QueueOrder::RoundRobin => "round_robin",
            QueueOrder::Priority => "priority",
            QueueOrder::Sorted => "sorted",
        };
        AmqpBroker::connect(self.options_with(&[("queue_order_strategy", strategy)]), queues, terms).await
    }

    fn client(&self) -> Result<Box<dyn Client>, Error> {
        Ok(Box::new(Site::client(self)))
    }

    fn results(&self) -> Result<Box<dyn ResultClient>, Error> {
        let (url, options) = self.results_at();
        fastworker_broker::result_client(&url, &options)
    }

    fn results_at(&self) -> (String, Vec<(String, String)>) {
        ("memory://amqp-suite".to_owned(), Vec::new())
    }

    fn lacks(&self, case: &str) -> Option<&'static str> {
        Some(match case {
            "successors_come_with_the_acknowledgement"
            | "keep_keeps_the_lease"
            | "acked_needs_no_lease"
            | "a_stored_success_stays"
            | "a_result_is_stored_and_read"
            | "many_results_come_in_the_order_asked"
            | "a_result_expires"
            | "wait_sees_the_next_state"
            | "the_last_member_completes_its_chord"
            | "a_member_that_ends_twice_counts_once"
            | "parts_are_counted_before_the_size_is_known"
            | "beginning_forgets_the_size_of_an_earlier_run"
            | "a_dead_workers_joins_are_taken_over"
            | "who_closes_leaves_its_joins_to_others"
            | "a_member_of_a_lost_lease_is_not_counted"
            | "a_chord_ends_with_one_failure_more_than_it_bears"
            | "parts_outlive_a_chord_under_a_name_of_their_own"
            | "what_is_kept_is_read_in_order_and_lives_on_when_it_is_read"
            | "a_chord_that_is_begun_anew_forgets_its_old_join"
            | "a_complete_chord_does_not_expire"
            | "a_saved_group_comes_with_the_parts" => RESULTS,
            "a_lost_lease_is_reported_and_guarded"
            | "an_attempt_of_a_lost_lease_is_not_counted"
            | "an_early_acknowledgement_of_a_lost_lease_is_refused"
            | "a_vanished_owners_messages_come_back_after_its_life"
            | "who_was_taken_for_dead_finds_out_which_leases_it_lost" => SERVER,
            "a_returned_message_is_fetched_next" | "close_gives_back_what_is_held" => MARKED,
            "depth_counts_what_waits_and_purge_removes_it"
            | "settling_twice_does_nothing_twice"
            | "started_attempts_are_counted" => SENT,
            "shares_are_kept_between_queues_with_work" => COMING,
            "the_most_urgent_come_first"
            | "the_most_urgent_come_first_whatever_the_shares"
            | "queues_of_one_priority_come_in_the_order_that_is_asked_for" => ORDER,
            "what_is_over_a_shared_rate_waits_in_its_lane"
            | "another_worker_draws_when_the_permit_is_there"
            | "every_key_has_permits_of_its_own"
            | "permits_of_a_block_come_at_once"
            | "what_comes_later_waits_behind_the_lane"
            | "the_most_urgent_of_a_lane_is_drawn_first"
            | "a_lane_without_a_quota_is_left_alone"
            | "a_dropped_draw_loses_nothing"
            | "asking_for_a_lost_lease_moves_nothing"
            | "a_permit_goes_to_what_is_ours_alone"
            | "lanes_are_emptied_into_their_queue_in_order"
            | "depth_and_purge_count_lanes"
            | "lanes_of_a_queue_without_room_are_left_alone"
            | "who_holds_nothing_gets_no_permits_ahead" => SHARED,
            "a_parked_message_waits_until_it_is_due"
            | "what_is_parked_is_listed_page_by_page"
            | "pages_go_on_where_they_ended_whatever_leaves"
            | "a_parked_message_is_found_by_its_id"
            | "a_released_message_is_due_and_first"
            | "a_hastened_message_is_due_soon_with_its_eta"
            | "a_message_released_by_time_is_nobodys_to_cancel"
            | "cancelling_stores_its_result_in_the_same_step"
            | "a_result_elsewhere_is_stored_before"
            | "what_was_revoked_is_not_parked_for_long"
            | "every_parked_message_goes_one_way" => PARKED,
            "what_was_revoked_is_remembered"
            | "old_and_surplus_revokes_are_forgotten"
            | "what_is_to_be_terminated_is_remembered_so"
            | "a_forgotten_revoke_takes_its_signal_along" => REVOKED,
            "a_message_is_found_wherever_it_is"
            | "a_long_queue_is_read_to_its_end"
            | "a_message_that_names_a_task_is_not_one_of_it" => SEARCH,
            "a_paused_queue_gives_nothing"
            | "resuming_wakes_a_waiting_worker"
            | "a_paused_queue_is_published_to_and_purged" => PAUSED,
            "every_enlisted_queue_gets_copies_of_its_exchange"
            | "a_silent_worker_gets_no_copies_until_it_is_heard_of" => COPIES,
            _ => return None,
        })
    }
}

#[test]
fn it_passes_the_suite() {
    let Some(site) = Site::new() else { return };
    assert!(exercise(&site) > 30);
}
