"""Celery's tests that are not run here, each with its reason. All others of the three files are, and pass.

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
    "Test_chord::test_app_when_app_in_task": f"{_MOCK}: the body",
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

_POLLING = "a mock of Celery's polling backend; results are pushed here"
_SLOTS = "sets an attribute of an AsyncResult, which has slots"
_BLOCKS = "replaces the function that refuses to wait inside a task"
_OWN_GET = "subclasses with a get() of their own in a set; a set asks the store"

_RESULT = {
    "Test_AsyncResult::test_ignored_getter": f"{_INTERNALS}: _ignored",
    "Test_AsyncResult::test_assert_will_not_block": _BLOCKS,
    "Test_AsyncResult::test_get_sync_subtask_option": _BLOCKS,
    "Test_AsyncResult::test_propagates_for_parent": _POLLING,
    "Test_AsyncResult::test_get_children": f"{_INTERNALS}: the backend's cache",
    "Test_AsyncResult::test_build_graph_get_leaf_collect": _SLOTS,
    "Test_AsyncResult::test_iterdeps": _SLOTS,
    "Test_AsyncResult::test_maybe_set_cache_empty": f"{_INTERNALS}: _maybe_set_cache",
    "Test_AsyncResult::test_set_cache__children": f"{_INTERNALS}: _set_cache",
    "Test_AsyncResult::test_get__backend_gives_None": _POLLING,
    "Test_AsyncResult::test_get_timeout": _POLLING,
    "Test_AsyncResult::test_get_timeout_longer": _POLLING,
    "Test_AsyncResult::test_date_done": "makes one of Celery's backends and patches its clock",
    "Test_AsyncResult::test_del": "there is nothing to be done when a result is collected",
    "Test_AsyncResult::test_forget_remove_pending_result": f"{_INTERNALS}: remove_pending_result",
    "Test_collect::test_documented_example": "runs the example in the docstring of Celery's collect",
    "Test_ResultSet::test_get": _SLOTS,
    "Test_ResultSet::test_get_sync_subtask_option": _BLOCKS,
    "Test_ResultSet::test_join_native_with_group_chain_group": _SLOTS,
    "Test_ResultSet::test_then_waits_for_result_added_after_ready": f"{_INTERNALS}: is_async",
    "Test_ResultSet::test_iter_native_finalizes_barrier_when_built_via_add": (
        f"{_INTERNALS}: _on_full"
    ),
    "Test_GroupResult::test_get_nested_without_native_join": _POLLING,
    "Test_GroupResult::test_restore_current_app_fallback": "patches the proxy of the current app",
    "Test_GroupResult::test_join_native": _POLLING,
    "Test_GroupResult::test_join_native_raises": "replaces iter_native, which join_native need not use",
    "Test_GroupResult::test_get_nested_sync_subtasks": _BLOCKS,
    "Test_GroupResult::test_failed_join_report": f"{_INTERNALS}: _failed_join_report",
    "Test_GroupResult::test_iter_native": _POLLING,
    "Test_GroupResult::test_join_timeout_zero": _OWN_GET,
    "Test_GroupResult::test_join_timeout": _SLOTS,
    "Test_EagerResult::test_get_sync_subtask_option": _BLOCKS,
}

LEFT_OUT: dict[str, str] = {
    **{f"test_canvas.py::{name}": why for name, why in _CANVAS.items()},
    **{f"test_result.py::{name}": why for name, why in _RESULT.items()},
}
