"""Celery's tests that are not run here, each with its reason. All others of the four files are, and pass.

A key is ``file::class::test``, and leaves out all parameters, or has the parameters too.
"""

from __future__ import annotations

_PROTOCOL_1 = "task_protocol 1 is read and not written (docs/reference/differences.md)"
_INTERNALS = "tests a private method that there is none of here"
_MOCK = "a mock in place of a signature or a list, in the middle of private code"
_JOIN = "Celery's backends join in the client's process; here a worker does, in Rust, and has tests of its own"

_CANVAS = {
    "Test_maybe_unroll_group::test_when_no_len_and_no_length_hint": _MOCK,
    "Test_Signature::test_election": "elections are gossip's; there is no gossip",
    "Test_Signature::test_apply_async_when_not_registered": f"{_INTERNALS}: _apply_async",
    "Test_chain::test_apply_options_none": f"{_INTERNALS}: _apply_async",
    "Test_chain::test_chord_header_failure_fails_the_chain_of_chords": _JOIN,
    "Test_chain::test_chain_always_eager": "replaces the function that refuses to wait inside a task",
    "Test_chord::test_chain_always_eager": "replaces the function that refuses to wait inside a task",
    "Test_chain::test_chain_single_child_result": f"{_MOCK}: clone() of one signature",
    "Test_chain::test_chain_single_child_group_result": f"{_MOCK}: clone() of one signature",
    "Test_chain::test_consecutive_groups_in_chain_preserve_group_results_in_as_tuple[1]": _PROTOCOL_1,
    "Test_chain::test_groups_in_chain_as_tuple_holds_each_task_once[None-apply_async-1]": _PROTOCOL_1,
    "Test_chain::test_groups_in_chain_as_tuple_holds_each_task_once[last-task-id-apply_async-1]": (
        _PROTOCOL_1
    ),
    "Test_chain::test_group_before_chord_in_chain_as_tuple_holds_each_task_once[1]": _PROTOCOL_1,
    "Test_group::test_group_ending_a_chain_in_a_group_gets_its_own_id[1]": _PROTOCOL_1,
    "Test_group::test_apply_chain_ending_in_group_skips_result_backend": "patches app._backend_cache",
    "Test_group::test_group_prepared": f"{_INTERNALS}: _prepared",
    "Test_group::test_group_prepared_skips_empty_chain": f"{_INTERNALS}: _prepared",
    "Test_chord::test__get_app_does_not_exhaust_generator": (
        "expects two members to be read; here one is, since an index needs no look ahead"
    ),
    "Test_chord::test_apply_async_header_id": f"{_INTERNALS}: chord.run",
    "Test_chord::test_chord_size_deserialized_element_single": "counts calls of Signature.from_dict",
    "Test_chord::test_chord_size_deserialized_element_many": "counts calls of Signature.from_dict",
    "Test_chord::test_link_option_on_empty_group_body": (
        "an empty group as a body is not sent along, by Celery either; the test looks into the backend"
    ),
    "Test_chord::test_chord_run_ensures_body_has_valid_task_id": f"{_INTERNALS}: chord.run",
    "Test_chord::test_chord_run_generates_task_id_when_none_provided": f"{_INTERNALS}: chord.run",
    "Test_chord::test_chord_run_does_not_pass_parent_id_to_body": f"{_INTERNALS}: chord.run",
    "Test_chord::test_chord_run_body_freeze_prevents_task_id_empty_error": f"{_INTERNALS}: chord.run",
    "Test_chord::test_chord_run_body_freeze_with_no_external_task_id": f"{_INTERNALS}: chord.run",
    "Test_chord::test_link_based_body_keeps_final_result_on_inner_chord": _PROTOCOL_1,
}

LEFT_OUT: dict[str, str] = {f"test_canvas.py::{name}": why for name, why in _CANVAS.items()}
