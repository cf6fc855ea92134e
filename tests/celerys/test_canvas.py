# Celery's own test, adapted to fastworker's imports. Copyright and licence: the file LICENSE beside this one.
# From the source distribution of Celery 5.7.0, t/unit/tasks/test_canvas.py.
import json
import math
import operator
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import reduce
from unittest.mock import ANY, MagicMock, Mock, call, patch, sentinel

import pytest

from fastworker import states
from fastworker.app import state as _state
from fastworker.app.state import task_stack as _task_stack
from fastworker.canvas import Signature, chain, chord, chunks, group, maybe_signature, signature, xmap, xstarmap
from tests.celerys.celery_names import _chain, _clear_chord_option, _fold_chain, _maybe_group, _merge_chain_step, _merge_dictionaries, _strip_chord_header_links, maybe_unroll_group
from fastworker.exceptions import CPendingDeprecationWarning, Ignore, Reject
from fastworker.result import AsyncResult, EagerResult, GroupResult, result_from_tuple
from tests.celerys.celery_names import ids_in_as_tuple, recorded

SIG = Signature({
    'task': 'TASK',
    'args': ('A1',),
    'kwargs': {'K1': 'V1'},
    'options': {'task_id': 'TASK_ID'},
    'subtask_type': ''},
)


def return_True(*args, **kwargs):
    # Task run functions can't be closures/lambdas, as they're pickled.
    return True


def _group_result_sizes_in_as_tuple(tuple_repr):
    """Return fan-out sizes for each GroupResult node in an as_tuple() tree."""
    sizes = []

    def walk(tup):
        if tup is None:
            return
        (res, nodes) = tup
        if nodes is not None:
            sizes.append(len(nodes))
            for child in nodes:
                walk(child)
        _, parent = res
        walk(parent)

    walk(tuple_repr)
    return sizes


def _group_result_sizes_on_spine(result):
    """Return fan-out sizes for each GroupResult on the parent spine."""
    sizes = []
    node = result
    while node is not None:
        if isinstance(node, GroupResult):
            sizes.append(len(node.results))
        node = node.parent
    return sizes


@contextmanager
def current_app_in_this_thread(app, default):
    """Make ``app`` the current app of this thread only, and ``default`` the default app.

    current_app is thread-local: a thread other than the one that made an app
    current falls back to the default app, in production one without a result
    backend (#6197). The unit tests replace the thread-local with a trap that
    is the same in every thread, so it is swapped for a real one here.
    """
    prev_tls, prev_default_app = _state._thread, _state._default_app
    _state._thread = type(_state._thread)()
    try:
        app.set_current()
        default.set_default()
        yield
    finally:
        _state._thread = prev_tls
        _state.set_default_app(prev_default_app)


class Test_maybe_unroll_group:

    def test_when_no_len_and_no_length_hint(self):
        g = MagicMock(name='group')
        g.tasks.__len__.side_effect = TypeError()
        g.tasks.__length_hint__ = Mock()
        g.tasks.__length_hint__.return_value = 0
        assert maybe_unroll_group(g) is g
        g.tasks.__length_hint__.side_effect = AttributeError()
        assert maybe_unroll_group(g) is g


class CanvasCase:

    def setup_method(self):
        @self.app.task(shared=False)
        def add(x, y):
            return x + y

        self.add = add

        @self.app.task(shared=False)
        def mul(x, y):
            return x * y

        self.mul = mul

        @self.app.task(shared=False)
        def div(x, y):
            return x / y

        self.div = div

        @self.app.task(shared=False)
        def xsum(numbers):
            return sum(sum(num) if isinstance(num, Iterable) else num for num in numbers)

        self.xsum = xsum

        @self.app.task(shared=False, bind=True)
        def replaced(self, x, y):
            return self.replace(add.si(x, y))

        self.replaced = replaced

        @self.app.task(shared=False, bind=True)
        def replaced_group(self, x, y):
            return self.replace(group(add.si(x, y), mul.si(x, y)))

        self.replaced_group = replaced_group

        @self.app.task(shared=False, bind=True)
        def replace_with_group(self, x, y):
            return self.replace(group(add.si(x, y), mul.si(x, y)))

        self.replace_with_group = replace_with_group

        @self.app.task(shared=False, bind=True)
        def replace_with_chain(self, x, y):
            return self.replace(group(add.si(x, y) | mul.s(y), add.si(x, y)))

        self.replace_with_chain = replace_with_chain

        @self.app.task(shared=False)
        def xprod(numbers):
            return math.prod(numbers)

        self.xprod = xprod


@Signature.register_type()
class chord_subclass(chord):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.subtask_type = "chord_subclass"


@Signature.register_type()
class group_subclass(group):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.subtask_type = "group_subclass"


@Signature.register_type()
class chain_subclass(chain):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.subtask_type = "chain_subclass"


@Signature.register_type()
class chunks_subclass(chunks):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.subtask_type = "chunks_subclass"


class Test_Signature(CanvasCase):
    def test_getitem_property_class(self):
        assert Signature.task
        assert Signature.args
        assert Signature.kwargs
        assert Signature.options
        assert Signature.subtask_type

    def test_getitem_property(self):
        assert SIG.task == 'TASK'
        assert SIG.args == ('A1',)
        assert SIG.kwargs == {'K1': 'V1'}
        assert SIG.options == {'task_id': 'TASK_ID'}
        assert SIG.subtask_type == ''

    def test_call(self):
        x = Signature('foo', (1, 2), {'arg1': 33}, app=self.app)
        x.type = Mock(name='type')
        x(3, 4, arg2=66)
        x.type.assert_called_with(3, 4, 1, 2, arg1=33, arg2=66)

    def test_link_on_scalar(self):
        x = Signature('TASK', link=Signature('B'))
        assert x.options['link']
        x.link(Signature('C'))
        assert isinstance(x.options['link'], list)
        assert Signature('B') in x.options['link']
        assert Signature('C') in x.options['link']

    def test_json(self):
        x = Signature('TASK', link=Signature('B', app=self.app), app=self.app)
        assert x.__json__() == dict(x)

    @pytest.mark.usefixtures('depends_on_current_app')
    def test_reduce(self):
        x = Signature('TASK', (2, 4), app=self.app)
        fun, args = x.__reduce__()
        assert fun(*args) == x

    def test_replace(self):
        x = Signature('TASK', ('A',), {})
        assert x.replace(args=('B',)).args == ('B',)
        assert x.replace(kwargs={'FOO': 'BAR'}).kwargs == {
            'FOO': 'BAR',
        }
        assert x.replace(options={'task_id': '123'}).options == {
            'task_id': '123',
        }

    def test_set(self):
        assert Signature('TASK', x=1).set(task_id='2').options == {
            'x': 1, 'task_id': '2',
        }

    def test_link(self):
        x = signature(SIG)
        x.link(SIG)
        x.link(SIG)
        assert SIG in x.options['link']
        assert len(x.options['link']) == 1

    def test_link_error(self):
        x = signature(SIG)
        x.link_error(SIG)
        x.link_error(SIG)
        assert SIG in x.options['link_error']
        assert len(x.options['link_error']) == 1

    def test_flatten_links(self):
        tasks = [self.add.s(2, 2), self.mul.s(4), self.div.s(2)]
        tasks[0].link(tasks[1])
        tasks[1].link(tasks[2])
        assert tasks[0].flatten_links() == tasks

    def test_OR(self, subtests):
        x = self.add.s(2, 2) | self.mul.s(4)
        assert isinstance(x, _chain)
        y = self.add.s(4, 4) | self.div.s(2)
        z = x | y
        assert isinstance(y, _chain)
        assert isinstance(z, _chain)
        assert len(z.tasks) == 4
        with pytest.raises(TypeError):
            x | 10
        ax = self.add.s(2, 2) | (self.add.s(4) | self.add.s(8))
        assert isinstance(ax, _chain)
        assert len(ax.tasks), 3 == 'consolidates chain to chain'

        with subtests.test('Test chaining with a non-signature object'):
            with pytest.raises(TypeError):
                assert signature('foo') | None

    def test_INVERT(self):
        x = self.add.s(2, 2)
        x.apply_async = Mock()
        x.apply_async.return_value = Mock()
        x.apply_async.return_value.get = Mock()
        x.apply_async.return_value.get.return_value = 4
        assert ~x == 4
        x.apply_async.assert_called()

    def test_merge_immutable(self):
        x = self.add.si(2, 2, foo=1)
        args, kwargs, options = x._merge((4,), {'bar': 2}, {'task_id': 3})
        assert args == (2, 2)
        assert kwargs == {'foo': 1}
        assert options == {'task_id': 3}

    def test_clone_does_not_alias_kwargs(self):
        # gh #10560: clone() used to hand back a signature that shared the
        # original's kwargs dict, so mutating a clone corrupted the source
        # (and every sibling clone). Mirrors the defensive copy already made
        # for options.
        original = self.add.s(1, 2)
        original.kwargs['shared'] = {'nested': True}

        clone_a = original.clone()
        clone_b = original.clone()
        assert clone_a.kwargs is not original.kwargs
        assert clone_b.kwargs is not original.kwargs
        assert clone_a.kwargs is not clone_b.kwargs

        clone_a.kwargs['added_on_clone'] = 1
        assert 'added_on_clone' not in original.kwargs
        assert 'added_on_clone' not in clone_b.kwargs

    def test_clone_does_not_alias_kwargs_with_non_kwargs_overrides(self):
        # _merge() returns self.kwargs unchanged when no kwargs override is
        # given, so clone(<option>) / clone(args=...) hit the same aliasing.
        original = self.add.s(1, 2)
        assert original.clone(priority=5).kwargs is not original.kwargs
        assert original.clone(countdown=10).kwargs is not original.kwargs
        assert original.clone(args=(3,)).kwargs is not original.kwargs

    def test_clone_does_not_alias_kwargs_when_immutable(self):
        # the immutable short-circuit in _merge() also returned self.kwargs.
        original = self.add.si(1, 2)
        clone = original.clone()
        assert clone.kwargs is not original.kwargs
        clone.kwargs['x'] = 1
        assert 'x' not in original.kwargs

    def test_clone_kwargs_copy_is_shallow(self):
        # deliberately a shallow dict copy, not a deepcopy: canvas primitives
        # keep live objects in kwargs (a task Signature, a lazy iterator for
        # chunks/xmap/xstarmap) that must not be duplicated or consumed.
        nested = {'keep_identity': True}
        original = self.add.s(1, 2)
        original.kwargs['nested'] = nested
        assert original.clone().kwargs['nested'] is nested

    def test_merge_options__none(self):
        sig = self.add.si()
        _, _, new_options = sig._merge()
        assert new_options is sig.options
        _, _, new_options = sig._merge(options=None)
        assert new_options is sig.options

    @pytest.mark.parametrize("immutable_sig", (True, False))
    def test_merge_options__group_id(self, immutable_sig):
        # This is to avoid testing the behaviour in `test_set_immutable()`
        if immutable_sig:
            sig = self.add.si()
        else:
            sig = self.add.s()
        # If the signature has no group ID, it can be set
        assert not sig.options
        _, _, new_options = sig._merge(options={"group_id": sentinel.gid})
        assert new_options == {"group_id": sentinel.gid}
        # But if one is already set, the new one is silently ignored
        sig.set(group_id=sentinel.old_gid)
        _, _, new_options = sig._merge(options={"group_id": sentinel.new_gid})
        assert new_options == {"group_id": sentinel.old_gid}

    def test_set_immutable(self):
        x = self.add.s(2, 2)
        assert not x.immutable
        x.set(immutable=True)
        assert x.immutable
        x.set(immutable=False)
        assert not x.immutable

    def test_election(self):
        x = self.add.s(2, 2)
        x.freeze('foo')
        x.type.app.control = Mock()
        r = x.election()
        x.type.app.control.election.assert_called()
        assert r.id == 'foo'

    def test_AsyncResult_when_not_registered(self):
        s = signature('xxx.not.registered', app=self.app)
        assert s.AsyncResult

    def test_apply_async_when_not_registered(self):
        s = signature('xxx.not.registered', app=self.app)
        assert s._apply_async

    def test_keeping_link_error_on_chaining(self):
        x = self.add.s(2, 2) | self.mul.s(4)
        assert isinstance(x, _chain)
        x.link_error(SIG)
        assert SIG in x.options['link_error']

        t = signature(SIG)
        z = x | t
        assert isinstance(z, _chain)
        assert t in z.tasks
        assert not z.options.get('link_error')
        assert SIG in z.tasks[0].options['link_error']
        assert not z.tasks[2].options.get('link_error')
        assert SIG in x.options['link_error']
        assert t not in x.tasks
        assert not x.tasks[0].options.get('link_error')

        z = t | x
        assert isinstance(z, _chain)
        assert t in z.tasks
        assert not z.options.get('link_error')
        assert SIG in z.tasks[1].options['link_error']
        assert not z.tasks[0].options.get('link_error')
        assert SIG in x.options['link_error']
        assert t not in x.tasks
        assert not x.tasks[0].options.get('link_error')

        y = self.add.s(4, 4) | self.div.s(2)
        assert isinstance(y, _chain)

        z = x | y
        assert isinstance(z, _chain)
        assert not z.options.get('link_error')
        assert SIG in z.tasks[0].options['link_error']
        assert not z.tasks[2].options.get('link_error')
        assert SIG in x.options['link_error']
        assert not x.tasks[0].options.get('link_error')

        z = y | x
        assert isinstance(z, _chain)
        assert not z.options.get('link_error')
        assert SIG in z.tasks[3].options['link_error']
        assert not z.tasks[1].options.get('link_error')
        assert SIG in x.options['link_error']
        assert not x.tasks[0].options.get('link_error')

    def test_signature_on_error_adds_error_callback(self):
        sig = signature('sig').on_error(signature('on_error'))
        assert sig.options['link_error'] == [signature('on_error')]

    @pytest.mark.parametrize('_id, group_id, chord, root_id, parent_id, group_index', [
        ('_id', 'group_id', 'chord', 'root_id', 'parent_id', 1),
    ])
    def test_freezing_args_set_in_options(self, _id, group_id, chord, root_id, parent_id, group_index):
        sig = self.add.s(1, 1)
        sig.freeze(
            _id=_id,
            group_id=group_id,
            chord=chord,
            root_id=root_id,
            parent_id=parent_id,
            group_index=group_index,
        )
        options = sig.options

        assert options['task_id'] == _id
        assert options['group_id'] == group_id
        assert options['chord'] == chord
        assert options['root_id'] == root_id
        assert options['parent_id'] == parent_id
        assert options['group_index'] == group_index


class Test_xmap_xstarmap(CanvasCase):

    def test_apply(self):
        for type, attr in [(xmap, 'map'), (xstarmap, 'starmap')]:
            args = [(i, i) for i in range(10)]
            s = getattr(self.add, attr)(args)
            s.type = Mock()

            s.apply_async(foo=1)
            s.type.apply_async.assert_called_with(
                (), {'task': self.add.s(), 'it': args}, foo=1,
                route_name=self.add.name,
            )

            assert type.from_dict(dict(s)) == s
            assert repr(s)

    @pytest.mark.parametrize('attr', ['map', 'starmap'])
    def test_apply_async_uses_signature_options(self, attr):
        args = [(i, i) for i in range(3)]
        s = getattr(self.add, attr)(args)
        s.type = Mock()
        callback = self.add.s(1)
        s.set(queue='q1', countdown=3)
        s.link(callback)
        s.freeze()
        task_id = s.options['task_id']

        s.apply_async()
        call_args, call_kwargs = s.type.apply_async.call_args
        assert call_args == ((), {'task': self.add.s(), 'it': args})
        assert call_kwargs['route_name'] == self.add.name
        assert call_kwargs['queue'] == 'q1'
        assert call_kwargs['countdown'] == 3
        assert call_kwargs['link'] == [callback]
        assert call_kwargs['task_id'] == task_id

    @pytest.mark.parametrize('attr', ['map', 'starmap'])
    def test_apply_async_call_options_override_signature_options(self, attr):
        args = [(i, i) for i in range(3)]
        s = getattr(self.add, attr)(args)
        s.type = Mock()
        s.set(queue='q1', countdown=3)

        s.apply_async(queue='q2', countdown=None)
        _, call_kwargs = s.type.apply_async.call_args
        assert call_kwargs['queue'] == 'q2'
        assert call_kwargs['countdown'] == 3

    @pytest.mark.parametrize('attr', ['map', 'starmap'])
    def test_apply_async_with_route_name_option(self, attr):
        s = getattr(self.add, attr)([(1, 1)])
        s.type = Mock()
        s.set(route_name='custom.route')

        s.apply_async()
        _, call_kwargs = s.type.apply_async.call_args
        assert call_kwargs['route_name'] == 'custom.route'
        # the stored option must survive, so a second call routes the same way
        assert s.options['route_name'] == 'custom.route'

    @pytest.mark.parametrize('attr', ['map', 'starmap'])
    def test_apply_async_with_route_name_call_option(self, attr):
        s = getattr(self.add, attr)([(1, 1)])
        s.type = Mock()

        s.apply_async(route_name='custom.route')
        _, call_kwargs = s.type.apply_async.call_args
        assert call_kwargs['route_name'] == 'custom.route'

    @pytest.mark.parametrize('attr', ['map', 'starmap'])
    def test_apply_async_keeps_a_frozen_group_id(self, attr):
        # call options go through _merge, which keeps a stored group_id
        s = getattr(self.add, attr)([(1, 1)])
        s.type = Mock()
        s.freeze(group_id='g1')

        s.apply_async(group_id='g2')
        assert s.type.apply_async.call_args[1]['group_id'] == 'g1'


class Test_chunks(CanvasCase):

    def test_chunks_preserves_state(self):
        x = self.add.chunks(range(100), 10)
        d = dict(x)
        d['subtask_type'] = "chunks_subclass"
        isinstance(chunks_subclass.from_dict(d), chunks_subclass)
        isinstance(chunks_subclass.from_dict(d).clone(), chunks_subclass)

    def test_chunks(self):
        x = self.add.chunks(range(100), 10)
        assert dict(chunks.from_dict(dict(x), app=self.app)) == dict(x)

        assert x.group()
        assert len(x.group().tasks) == 10

        x.group = Mock()
        gr = x.group.return_value = Mock()

        x.apply_async()
        gr.apply_async.assert_called_with((), {}, route_name=self.add.name)
        gr.apply_async.reset_mock()
        x()
        gr.apply_async.assert_called_with((), {}, route_name=self.add.name)

        self.app.conf.task_always_eager = True
        chunks.apply_chunks(app=self.app, **x['kwargs'])


class Test_chain(CanvasCase):

    def test_chain_of_chain_with_a_single_task(self):
        s = self.add.s(1, 1)
        assert chain([chain(s)]).tasks == list(chain(s).tasks)

    def test_chain_construction_handles_nested_canvas_shapes(self):
        add = self.add
        # a group followed by a task collapses into a chord
        built = chain(group([add.si(1, 1), add.si(2, 2)]), add.si(3, 3))
        assert isinstance(built, chord)
        # a chord followed by a task extends the chord body
        built = chain(chord([add.si(1, 1)], add.si(2, 2)), add.si(3, 3))
        assert isinstance(built.tasks[0], chord)
        assert isinstance(built.tasks[0].body, _chain)
        assert len(built.tasks[0].body.tasks) == 2
        # nested chains are flattened
        built = chain(chain(add.si(1, 1), add.si(2, 2)),
                      chain(add.si(3, 3), add.si(4, 4)))
        assert len(built.tasks) == 4
        # empty groups are skipped
        built = chain(add.si(1, 1), group([]))
        assert len(built.tasks) == 1
        # a group of one is unrolled rather than turned into a chord
        built = chain(group([add.si(1, 1)]), add.si(2, 2))
        assert isinstance(built, _chain)
        assert len(built.tasks) == 2

    def test_chain_with_nested_chain_led_by_a_group(self):
        # The first step of the inner chain turns the outer chain into a
        # chord; the steps after it still have to be composed onto the
        # chord body rather than dropped.
        add = self.add
        inner = _chain(group(add.si(1), add.si(2)), add.s(10))
        built = chain(inner, add.s(20))
        assert isinstance(built, chord)
        assert isinstance(built.body, _chain)
        assert len(built.body.tasks) == 2

    def test_chain_with_deserialised_chain_led_by_a_group(self):
        # signature() of a serialised chain returns a _chain, so a chain
        # that arrives over the wire takes the same path as the one above.
        add = self.add
        inner = _chain(group(add.si(1), add.si(2)), add.s(10))
        restored = signature(json.loads(json.dumps(inner, default=str)))
        built = chain(restored, add.s(20))
        assert isinstance(built, chord)
        assert len(built.body.tasks) == 2

    def test_chain_construction_matches_the_or_operator(self):
        # _fold_chain repeats rules that live in _chain.__or__, group.__or__
        # and Signature.__or__; this catches the two drifting apart.
        add = self.add

        def linked_chain():
            built = _chain(add.si(1), add.si(2))
            built.link(add.si(97))
            built.link_error(add.si(96))
            return built

        shapes = (
            lambda: [_chain(group(add.si(1), add.si(2)), add.s(10)), add.s(20)],
            lambda: [group([group([add.si(1), add.si(2)])]), add.s(3)],
            lambda: [chord([add.si(1)], add.si(2)), group([add.si(3), add.si(4)])],
            lambda: [group([add.si(1)]), chord([add.si(2)], add.si(3)), group([add.si(4)])],
            lambda: [linked_chain(), add.s(5)],
            lambda: [add.si(1), linked_chain(), group([add.si(2), add.si(3)])],
            lambda: [group([]), _chain(group(add.si(1)), add.s(2)), add.s(3)],
        )
        for build in shapes:
            expected = reduce(operator.or_, build(), _chain())
            assert (json.dumps(_fold_chain(build()), sort_keys=True, default=str) ==
                    json.dumps(expected, sort_keys=True, default=str))

    def test_chain_does_not_clone_the_final_task(self):
        # `|` never clones its right-hand side, so the last task ends up in
        # the chain as the caller passed it and stays linkable afterwards.
        add = self.add
        first, second, last = add.si(1), add.si(2), add.si(3)
        built = chain(first, second, last)
        assert built.tasks[-1] is last
        last.link(add.si(4))
        assert built.tasks[-1].options['link']

    def test_chain_with_an_unsupported_operand(self):
        # Anything the single pass does not understand is handed back to
        # `|`, which raises the same TypeError as before.
        with pytest.raises(TypeError):
            chain(self.add.si(1), object())

    def test_merge_chain_step_reports_unsupported_operands(self):
        assert _merge_chain_step([], object()) is NotImplemented

    def test_chain_with_an_unsupported_operand_inside_a_nested_chain(self):
        # The inner chain is expanded through unchain_tasks(), so an operand
        # it cannot handle has to abort the single pass there too.
        unsupported = Mock()
        unsupported.clone.return_value = unsupported
        inner = _chain(unsupported, self.add.si(1))
        with pytest.raises(TypeError):
            chain(inner, self.add.si(2))

    def test_chain_does_not_share_errbacks_between_steps(self):
        # unchain_tasks() hands the same errback object to every task of an
        # inner chain. If the steps keep sharing it, a visitor that stamps
        # per signature writes two steps' stamps into the one errback.
        add = self.add
        inner = _chain([add.s(5), chord([add.s(4), add.s(5)], add.s(9)), add.s(8)])
        inner.link_error(add.si(99))
        built = chain(chord([add.s(0), add.s(1)], add.s(4)), inner)

        def errback_ids(sig, found):
            for errback in (sig.options or {}).get('link_error') or []:
                found.append(id(errback))
            if isinstance(sig, chord):
                header = sig.tasks
                for task in (header if isinstance(header, (list, tuple)) else [header]):
                    errback_ids(task, found)
                errback_ids(sig.body, found)
            elif isinstance(sig, (_chain, group)):
                for task in sig.tasks:
                    errback_ids(task, found)
            return found

        found = errback_ids(built, [])
        assert found
        assert len(found) == len(set(found))

    def test_chain_clones_each_task_once(self):
        # Building the chain by folding with `|` re-cloned every task already
        # collected, so an n-task chain cost n * (n - 1) / 2 clones.
        n = 40
        sigs = [self.add.si(i, i) for i in range(n)]
        calls = []
        original_clone = Signature.clone

        def counting_clone(self, *args, **kwargs):
            calls.append(self)
            return original_clone(self, *args, **kwargs)

        with patch.object(Signature, 'clone', counting_clone):
            built = chain(*sigs)

        assert len(built.tasks) == n
        assert len(calls) <= 2 * n

    @pytest.mark.parametrize("chain_type", (_chain, chain_subclass))
    def test_clone_preserves_state(self, chain_type):
        x = chain_type(self.add.s(i, i) for i in range(10))
        assert x.clone().tasks == x.tasks
        assert x.clone().kwargs == x.kwargs
        assert x.clone().args == x.args
        assert isinstance(x.clone(), chain_type)

    @pytest.mark.parametrize('depth', (1, 3))
    @pytest.mark.parametrize('args,kwargs,expected', (
        ((3,), {}, 50),
        ((), {'x': 3}, 50),
        ((3,), {'y': 4}, 70),
    ))
    def test_apply_nested_chain_with_arguments(
        self, depth, args, kwargs, expected,
    ):
        workflow = chain(self.add.s(y=2), self.mul.s(10))
        for _ in range(depth):
            workflow = chain(workflow)
        original = json.dumps(workflow)

        assert workflow.apply(args=args, kwargs=kwargs).get() == expected
        assert json.dumps(workflow) == original

    def test_apply_nested_chain_with_immutable_first_task(self):
        workflow = chain(chain(self.add.si(2, 3), self.mul.s(10)))

        assert workflow.apply(args=(99,), kwargs={'y': 99}).get() == 50

    def test_apply_nested_chain_with_tasks_keyword(self):
        @self.app.task
        def count_tasks(tasks):
            return len(tasks)

        workflow = chain(chain(count_tasks.s(), self.mul.s(10)))

        assert workflow.apply(kwargs={'tasks': [1, 2, 3]}).get() == 30

    def test_repr(self):
        x = self.add.s(2, 2) | self.add.s(2)
        assert repr(x) == f'{self.add.name}(2, 2) | add(2)'

    def test_apply_async(self):
        c = self.add.s(2, 2) | self.add.s(4) | self.add.s(8)
        result = c.apply_async()
        assert result.parent
        assert result.parent.parent
        assert result.parent.parent.parent is None

    @pytest.mark.parametrize("chain_type", (_chain, chain_subclass))
    def test_splices_chains(self, chain_type):
        c = chain_type(
            self.add.s(5, 5),
            chain_type(self.add.s(6), self.add.s(7), self.add.s(8), app=self.app),
            app=self.app,
        )
        tasks, _ = c.prepare_steps(c.args, c.kwargs, c.tasks, clone=False)
        assert len(tasks) == 4
        assert isinstance(c, chain_type)

    @pytest.mark.parametrize("chain_type", [_chain, chain_subclass])
    def test_from_dict_no_tasks(self, chain_type):
        assert chain_type.from_dict(dict(chain_type(app=self.app)), app=self.app)
        assert isinstance(chain_type.from_dict(dict(chain_type(app=self.app)), app=self.app), chain_type)

    @pytest.mark.parametrize("chain_type", [_chain, chain_subclass])
    def test_from_dict_full_subtasks(self, chain_type):
        c = chain_type(self.add.si(1, 2), self.add.si(3, 4), self.add.si(5, 6))
        serialized = json.loads(json.dumps(c))
        deserialized = chain_type.from_dict(serialized)
        assert all(isinstance(task, Signature) for task in deserialized.tasks)
        assert isinstance(deserialized, chain_type)

    @pytest.mark.usefixtures('depends_on_current_app')
    def test_app_falls_back_to_default(self):
        from fastworker import current_app
        assert chain().app is current_app._get_current_object()

    def test_app_when_first_task_is_chord(self):
        # A chord has no app of its own: it resolves one through its tasks.
        c = chain(
            chord(group(self.add.s(1, 1), self.add.s(2, 2)), self.xsum.s()),
            self.add.s(1),
        )
        assert isinstance(c, _chain)
        assert c.tasks[0]._app is None
        assert c.app is self.app

    def test_apply_async_in_another_thread_when_first_task_is_chord(self):
        # #6197: in a thread other than the one that made the app current, the
        # chain fell back to the default app, which has no result backend, and
        # could not start its chord.
        def apply():
            return chain(
                chord(group(self.add.s(1, 1), self.add.s(2, 2)), self.xsum.s()),
                self.add.s(1),
            ).apply_async()

        with self.Celery(backend='disabled') as default_app, \
                current_app_in_this_thread(self.app, default=default_app), \
                ThreadPoolExecutor(max_workers=1) as executor:
            result = executor.submit(apply).result()
        assert isinstance(result.parent.parent, GroupResult)

    @pytest.mark.usefixtures('depends_on_current_app')
    @pytest.mark.parametrize('first', [
        lambda add: group([dict(add.s(1, 1)), dict(add.s(2, 2))]),
        lambda add: chain(dict(add.s(1, 1)), add.s(1), task_id='x'),
    ], ids=['group', 'chain'])
    def test_app_when_first_task_canvas_has_dict(self, first):
        # A group, or a chain built with options, keeps a dict as a task until
        # it is frozen and cannot resolve an app through it, so the chain falls
        # back to the default app.
        from fastworker import current_app
        c = chain(first(self.add), self.add.s(1), task_id='y')
        assert isinstance(c, _chain)
        assert isinstance(c.tasks[0].tasks[0], dict)
        assert c.app is current_app._get_current_object()

    @pytest.mark.usefixtures('depends_on_current_app')
    @pytest.mark.parametrize('first', [
        lambda add: group([dict(add.s(1, 1)), dict(add.s(2, 2))]),
        lambda add: chain(dict(add.s(1, 1)), add.s(1), task_id='x'),
    ], ids=['group', 'chain'])
    def test_apply_async_when_first_task_canvas_has_dict(self, first):
        c = chain(first(self.add), self.add.s(1), task_id='y')
        assert isinstance(c.apply_async(), AsyncResult)

    def test_handles_dicts(self):
        c = chain(
            self.add.s(5, 5), dict(self.add.s(8)), app=self.app,
        )
        tasks, _ = c.prepare_steps(c.args, c.kwargs, c.tasks, clone=False)
        assert all(isinstance(task, Signature) for task in tasks)
        assert all(task.app is self.app for task in tasks)

    def test_groups_in_chain_to_chord(self):
        g1 = group([self.add.s(2, 2), self.add.s(4, 4)])
        g2 = group([self.add.s(3, 3), self.add.s(5, 5)])
        c = g1 | g2
        assert isinstance(c, chord)

    def test_empty_groups_are_skipped_in_chain(self):
        c = chain(
            group([self.add.s(2, 2), self.add.s(4, 4)], app=self.app),
            group(app=self.app),
            group(app=self.app),
        )

        assert isinstance(c, group)
        result = c.apply_async()
        assert isinstance(result, GroupResult)
        assert len(result.results) == 2

    def test_empty_group_body_is_skipped_when_chain_upgrades_to_chord(self):
        c = self.add.s(1, 1) | group(
            [self.add.s(2, 2), self.add.s(3, 3)],
            app=self.app,
        ) | group(app=self.app)

        result = c.apply_async()

        assert isinstance(result, GroupResult)
        assert len(result.results) == 2

    def test_generator_backed_empty_group_is_not_skipped_when_chained(self):
        def tasks():
            yield from ()

        c = group([self.add.s(2, 2)], app=self.app) | group(tasks(), app=self.app)

        assert isinstance(c, chord)

    def test_known_empty_generator_backed_group_is_skipped_in_chain(self):
        def tasks():
            yield from ()

        c = _chain(
            group([self.add.s(2, 2)], app=self.app),
            group(tasks(), app=self.app),
            app=self.app,
        )

        prepared_tasks, results = c.prepare_steps((), {}, c.tasks)

        assert len(prepared_tasks) == 1
        assert prepared_tasks[0].task == self.add.name
        assert isinstance(results[0], AsyncResult)

    def test_trailing_empty_group_is_skipped_in_eager_chain_apply(self):
        # The eager path (_chain.apply) must agree with the worker path
        # (_chain.prepare_steps, fixed in #10321): empty groups are skipped.
        c = chain(self.add.s(2, 2), group(app=self.app))

        assert isinstance(c, _chain)
        assert c.apply().get() == 4

    def test_middle_empty_group_is_skipped_in_eager_chain_apply(self):
        # chain() reduces its arguments with __or__, which drops the
        # empty group at construction time, so no chord upgrade happens
        # and both execution paths agree.
        c = chain(
            self.add.s(2, 2), group(app=self.app), self.add.s(2),
        )

        assert isinstance(c, _chain)
        prepared, _ = c.prepare_steps((), {}, c.tasks)

        assert [t.task for t in prepared] == [self.add.name, self.add.name]
        assert c.apply().get() == 6

    def test_empty_group_is_skipped_in_directly_constructed_chain_apply(self):
        # _chain.__or__ drops empty groups, so only a directly constructed or
        # deserialized chain still carries one into the eager path.
        c = _chain(self.add.s(2, 2), group(app=self.app),
                   self.add.s(2), app=self.app)
        assert c.apply().get() == 6

    def test_trailing_empty_group_is_skipped_in_directly_constructed_chain(
            self):
        c = _chain(self.add.s(2, 2), group(app=self.app), app=self.app)
        assert c.apply().get() == 4

    def test_lone_empty_group_is_not_skipped_in_eager_chain_apply(self):
        # Mirrors prepare_steps: an empty group survives when it is the
        # only task.
        c = _chain(group(app=self.app), app=self.app)
        assert c.apply().get() == []

    def test_empty_groups_are_dropped_at_chain_construction(self):
        # _chain.__or__ treats an empty group as a no-op in any
        # position: it is dropped instead of upgrading the chain
        # into a chord with an empty header.
        trailing = chain(self.add.s(2, 2), group(app=self.app))
        assert isinstance(trailing, _chain)
        assert [t.task for t in trailing.tasks] == [self.add.name]

        middle = chain(self.add.s(2, 2), group(app=self.app), self.add.s(2))
        assert isinstance(middle, _chain)
        assert [t.task for t in middle.tasks] == [self.add.name, self.add.name]
        assert not any(isinstance(task, chord) for task in middle.tasks)

        leading = chain(group(app=self.app), self.add.s(2, 2))
        assert isinstance(leading, _chain)
        assert [t.task for t in leading.tasks] == [self.add.name]

    def test_prepare_steps_set_last_task_id_to_chain(self):
        last_task = self.add.s(2).set(task_id='42')
        c = self.add.s(4) | last_task
        assert c.id is None
        tasks, _ = c.prepare_steps((), {}, c.tasks, last_task_id=last_task.id)
        assert c.id == last_task.id

    def test_group_to_chord(self):
        c = (
            self.add.s(5) |
            group([self.add.s(i, i) for i in range(5)], app=self.app) |
            self.add.s(10) |
            self.add.s(20) |
            self.add.s(30)
        )
        c._use_link = True
        tasks, results = c.prepare_steps((), {}, c.tasks)

        assert tasks[-1].args[0] == 5
        assert isinstance(tasks[-2], chord)
        assert len(tasks[-2].tasks) == 5
        assert tasks[-2].body.args[0] == 10
        assert tasks[-3].args[0] == 20
        assert tasks[-4].args[0] == 30

        c2 = self.add.s(2, 2) | group(self.add.s(i, i) for i in range(10))
        c2._use_link = True
        tasks2, _ = c2.prepare_steps((), {}, c2.tasks)
        assert isinstance(tasks2[0], group)

    def test_group_to_chord__protocol_2__or(self):
        c = (
            group([self.add.s(i, i) for i in range(5)], app=self.app) |
            self.add.s(10) |
            self.add.s(20) |
            self.add.s(30)
        )
        assert isinstance(c, chord)

    def test_group_to_chord__protocol_2(self):
        c = chain(
            group([self.add.s(i, i) for i in range(5)], app=self.app),
            self.add.s(10),
            self.add.s(20),
            self.add.s(30)
        )
        assert isinstance(c, chord)
        assert isinstance(c.body, _chain)
        assert len(c.body.tasks) == 3

        c2 = self.add.s(2, 2) | group(self.add.s(i, i) for i in range(10))
        c2._use_link = False
        tasks2, _ = c2.prepare_steps((), {}, c2.tasks)
        assert isinstance(tasks2[0], group)

    def test_chord_to_chain(self):
        c = (
            chord([self.add.s('x0', 'y0'), self.add.s('x1', 'y1')],
                  self.add.s(['foo'])) |
            chain(self.add.s(['y']), self.add.s(['z']))
        )
        assert isinstance(c, _chain)
        assert c.apply().get() == ['x0y0', 'x1y1', 'foo', 'y', 'z']

    def test_chord_to_group(self):
        c = (
            chord([self.add.s('x0', 'y0'), self.add.s('x1', 'y1')],
                  self.add.s(['foo'])) |
            group([self.add.s(['y']), self.add.s(['z'])])
        )
        assert isinstance(c, _chain)
        assert c.apply().get() == [
            ['x0y0', 'x1y1', 'foo', 'y'],
            ['x0y0', 'x1y1', 'foo', 'z']
        ]

    def test_chain_of_chord__or__group_of_single_task(self):
        c = chord([signature('header')], signature('body'))
        c = chain(c)
        g = group(signature('t'))
        new_chain = c | g  # g should be chained with the body of c[0]
        assert isinstance(new_chain, _chain)
        assert isinstance(new_chain.tasks[0].body, _chain)

    def test_chain_of_chord_upgrade_on_chaining(self):
        c = chord([signature('header')], group(signature('body')))
        c = chain(c)
        t = signature('t')
        new_chain = c | t  # t should be chained with the body of c[0] and create a new chord
        assert isinstance(new_chain, _chain)
        assert isinstance(new_chain.tasks[0].body, chord)

    @pytest.mark.parametrize(
        "group_last_task",
        [False, True],
    )
    def test_chain_of_chord_upgrade_on_chaining__protocol_2(
            self, group_last_task):
        c = chain(
            group([self.add.s(i, i) for i in range(5)], app=self.app),
            group([self.add.s(i, i) for i in range(10, 15)], app=self.app),
            group([self.add.s(i, i) for i in range(20, 25)], app=self.app),
            self.add.s(30) if not group_last_task else group(self.add.s(30),
                                                             app=self.app))
        assert isinstance(c, _chain)
        assert len(
            c.tasks
        ) == 1, "Consecutive chords should be further upgraded to a single chord."
        assert isinstance(c.tasks[0], chord)

    def test_chain_of_chord_upgrade_on_chaining__protocol_3(self):
        c = chain(
            chain([self.add.s(i, i) for i in range(5)]),
            group([self.add.s(i, i) for i in range(10, 15)], app=self.app),
            chord([signature('header')], signature('body'), app=self.app),
            group([self.add.s(i, i) for i in range(20, 25)], app=self.app))
        assert isinstance(c, _chain)
        assert isinstance(
            c.tasks[-1], chord
        ), "Chord followed by a group should be upgraded to a single chord with chained body."
        assert len(c.tasks) == 6

    def test_chain_of_chords_stays_flat(self):
        c = chain(
            chord([signature('h1'), signature('h2')], signature('b1'), app=self.app),
            chord([signature('h3'), signature('h4')], signature('b2'), app=self.app),
            chord([signature('h5'), signature('h6')], signature('b3'), app=self.app),
        )
        assert isinstance(c, _chain)
        assert len(c.tasks) == 3
        for task in c.tasks:
            assert isinstance(task, chord)
        assert not isinstance(c.tasks[0].body, _chain)
        assert not isinstance(c.tasks[1].body, _chain)
        assert not isinstance(c.tasks[2].body, _chain)

    def test_chain_of_chords_serialized_size_constant(self):
        chords = [
            chord([signature(f'h{i}_{j}') for j in range(3)],
                  signature(f'b{i}'), app=self.app)
            for i in range(6)
        ]
        c = chain(*chords)
        assert isinstance(c, _chain)
        sizes = [len(json.dumps(task.__json__())) for task in c.tasks]
        assert max(sizes) == min(sizes), (
            f"Chord sizes not constant across chain: {sizes}"
        )

    def test_chain_of_implicit_chords_serialized_size_linear(self):
        def first_message_size(n_groups):
            steps = [self.add.s(0, 0)]
            for i in range(n_groups):
                steps.append(group([self.add.s(i, j) for j in range(2)], app=self.app))
                steps.append(self.add.s(i, i))
            c = chain(*steps)
            tasks, _ = c.prepare_steps((), {}, c.tasks, app=self.app)
            return len(json.dumps([task.__json__() for task in tasks]))

        sizes = [first_message_size(n) for n in range(2, 6)]
        assert sizes[-1] < 3 * sizes[0], (
            f"First message grows geometrically with the number of groups: {sizes}"
        )

    @pytest.mark.parametrize('serialized', [False, True])
    @pytest.mark.parametrize('frozen', [False, True])
    @pytest.mark.parametrize('as_chord_body', [False, True])
    def test_chain_of_groups_message_size_linear(self, serialized, frozen, as_chord_body):
        sizes = []
        for n_groups in (3, 6):
            workflow = chain(
                group(self.add.si(i, j) for j in range(3))
                for i in range(n_groups)
            )
            if as_chord_body:
                workflow = chord([self.add.si(0, 0), self.add.si(1, 1)], workflow)
            if frozen:
                workflow.freeze()
            if serialized:
                workflow = signature(json.loads(json.dumps(workflow)), app=self.app)

            with recorded(self.app) as send:
                workflow.apply_async()

            messages = [
                call.args[2].body for call in send.call_args_list
                if call.args[1] == self.add.name
            ]
            assert len(messages) == (2 if as_chord_body else 3)
            sizes.append(len(json.dumps(messages[0])))

        assert sizes[-1] < 3 * sizes[0], (
            f"Doubling the number of groups multiplies the message size: {sizes}"
        )

    @pytest.mark.parametrize('serialized', [False, True])
    @pytest.mark.parametrize('wrapped', ['direct', 'chain', 'header'])
    def test_dispatch_preserves_frozen_nested_chord(self, serialized, wrapped):
        workflow = chord(
            [self.add.si(1, 2), self.add.si(3, 4)],
            chord([self.add.si(5, 6), self.add.si(7, 8)], self.add.s(9)),
            app=self.app,
        )
        if wrapped == 'chain':
            workflow = chain(self.add.si(0, 0), workflow)
        elif wrapped == 'header':
            workflow = chord([workflow, self.add.si(0, 0)], self.add.s(10))
        workflow.freeze()
        if serialized:
            workflow = signature(json.loads(json.dumps(workflow)), app=self.app)
        before = json.dumps(workflow)

        with recorded(self.app):
            workflow.apply_async()

        assert json.dumps(workflow) == before

    def test_split_chord_body_keeps_the_chain_options_on_its_first_task(self):
        body = chain(self.add.s(10), self.add.s(100)).set(queue="q2", priority=7)
        c = chain(self.add.s(0, 0), chord([self.add.s(3, 3), self.add.s(4, 4)], body, app=self.app))

        tasks, _ = c.prepare_steps((), {}, c.tasks, app=self.app)

        first, second = tasks[1].body, tasks[0]
        assert first.args == (10,)
        assert (first.options["queue"], first.options["priority"]) == ("q2", 7)
        assert second.args == (100,)
        assert "queue" not in second.options

    def test_split_chord_body_keeps_link_error(self):
        err = signature("errback", app=self.app)
        body = chain(self.add.s(10), self.add.s(100))
        c = chain(self.add.s(0, 0), chord([self.add.s(3, 3)], body, app=self.app))
        c.tasks[1].link_error(err)

        tasks, _ = c.prepare_steps((), {}, c.tasks, app=self.app)

        assert tasks[1].body.options["link_error"] == [err]
        assert tasks[0].options["link_error"] == [err]

    def test_preparing_a_chain_twice_leaves_it_as_written(self):
        g = group(self.add.s(1), self.add.s(2), app=self.app)
        c = chain(self.add.s(0, 0), g, self.add.s(10), self.add.s(100))
        shape = lambda sigs: [type(sig).__name__ for sig in sigs]  # noqa: E731
        written = shape(c.tasks) + shape(c.tasks[1].body.tasks)

        first, _ = c.prepare_steps((), {}, c.tasks, app=self.app)
        second, _ = c.prepare_steps((), {}, c.tasks, app=self.app)

        assert shape(c.tasks) + shape(c.tasks[1].body.tasks) == written
        assert shape(first) == shape(second) == ["Signature", "chord", "Signature"]

    def test_chain_body_chord_as_first_step(self):
        body = chain(self.add.s(10), self.add.s(100))
        c = chain(chord([self.add.s(3, 3)], body, app=self.app), self.add.s(1000))
        tasks, _ = c.prepare_steps((), {}, c.tasks, app=self.app)
        assert [type(sig).__name__ for sig in tasks] == ["Signature", "Signature", "chord"]
        assert tasks[-1].body.args == (10,)
        assert [sig.args for sig in tasks[:2]] == [(1000,), (100,)]

    def test_chain_body_chord_as_last_step(self):
        body = chain(self.add.s(10), self.add.s(100))
        c = chain(self.add.s(0, 0), chord([self.add.s(3, 3)], body, app=self.app))
        tasks, results = c.prepare_steps((), {}, c.tasks, app=self.app, last_task_id="fixed")
        assert [type(sig).__name__ for sig in tasks] == ["Signature", "chord", "Signature"]
        assert tasks[1].body.args == (10,)
        assert tasks[0].args == (100,)
        assert tasks[0].options["task_id"] == results[0].id == "fixed"

    def test_last_task_id_lands_on_the_task_after_an_implicit_chord(self):
        g = group(self.add.s(1), self.add.s(2), app=self.app)
        c = chain(self.add.s(0, 0), g, self.add.s(10), self.add.s(100))
        tasks, results = c.prepare_steps((), {}, c.tasks, app=self.app, last_task_id="fixed")
        assert tasks[0].args == (100,)
        assert tasks[0].options["task_id"] == results[0].id == "fixed"

    def test_frozen_chain_of_implicit_chords_keeps_its_result_id(self):
        c = chain(
            self.add.s(1, 1),
            group(self.add.s(1), self.add.s(2), app=self.app),
            self.add.s(10),
            self.add.s(100),
        )
        frozen = c.freeze()
        tasks, results = c.prepare_steps((), {}, c.tasks, app=self.app)
        assert tasks[0].args[0] == 100
        assert results[0].id == frozen.id

    def test_chord_body_chain_led_by_group_stays_whole(self):
        body = chain([group(self.add.s(1, 1), self.add.s(2, 2), app=self.app), self.add.s(10)], app=self.app)
        c = chain(self.add.s(0, 0), chord([self.add.s(3, 3)], body, app=self.app))
        tasks, _ = c.prepare_steps((), {}, c.tasks, app=self.app)
        assert isinstance(tasks[0], chord)
        assert isinstance(tasks[0].body, _chain)
        assert len(tasks) == 2

    @pytest.mark.parametrize('body', ['task', 'group'])
    def test_chord_header_failure_fails_the_chain_of_chords(self, body):
        bodies = {'task': self.add.s(10), 'group': group(self.add.s(10), self.add.s(20), app=self.app)}
        c = chain(
            chord([self.add.s(1, 1), self.add.s(2, 2)], bodies[body], app=self.app),
            chord([self.add.s(3, 3)], self.add.s(100), app=self.app),
        )
        tasks, results = c.prepare_steps((), {}, c.tasks, app=self.app)

        remaining = list(tasks)
        first_chord = remaining.pop()
        with patch.object(self.app.backend, 'apply_chord') as apply_chord, \
                patch('fastworker.canvas.group.apply_async'):
            first_chord.apply_async((), chain=remaining)
        callback = apply_chord.call_args[0][1]
        try:
            raise RuntimeError('header failed')
        except RuntimeError as exc:
            self.app.backend.chord_error_from_stack(callback=callback, exc=exc)

        assert self.app.AsyncResult(results[0].id).state == states.FAILURE

    def test_chord_or_task_still_nests(self):
        c = chord([signature('h1')], signature('b1'), app=self.app)
        t = signature('t1')
        result = chain(c) | t
        assert isinstance(result, _chain)
        assert isinstance(result.tasks[0].body, _chain)

    def test_apply_options(self):

        class static(Signature):

            def clone(self, *args, **kwargs):
                return self

        def s(*args, **kwargs):
            return static(self.add, args, kwargs, type=self.add, app=self.app)

        c = s(2, 2) | s(4) | s(8)
        r1 = c.apply_async(task_id='some_id')
        assert r1.id == 'some_id'

        c.apply_async(group_id='some_group_id')
        assert c.tasks[-1].options['group_id'] == 'some_group_id'

        c.apply_async(chord='some_chord_id')
        assert c.tasks[-1].options['chord'] == 'some_chord_id'

        c.apply_async(link=[s(32)])
        assert c.tasks[-1].options['link'] == [s(32)]

        c.apply_async(link_error=[s('error')])
        for task in c.tasks:
            assert task.options['link_error'] == [s('error')]

    def test_apply_options_none(self):
        class static(Signature):

            def clone(self, *args, **kwargs):
                return self

            def _apply_async(self, *args, **kwargs):
                self.args = args
                self.kwargs = kwargs

        c = static(self.add, (2, 2), type=self.add, app=self.app, priority=5)

        c.apply_async(priority=4)
        assert c.kwargs['priority'] == 4

        c.apply_async(priority=None)
        assert c.kwargs['priority'] == 5

    def test_reverse(self):
        x = self.add.s(2, 2) | self.add.s(2)
        assert isinstance(signature(x), _chain)
        assert isinstance(signature(dict(x)), _chain)

    def test_always_eager(self):
        self.app.conf.task_always_eager = True
        assert ~(self.add.s(4, 4) | self.add.s(8)) == 16

    def test_chain_always_eager(self):
        self.app.conf.task_always_eager = True
        from fastworker import result
        from fastworker.app import state as _state

        fixture_task_join_will_block = _state.task_join_will_block
        try:
            _state.task_join_will_block = _state.orig_task_join_will_block
            result.task_join_will_block = _state.orig_task_join_will_block

            @self.app.task(shared=False)
            def chain_add():
                return (self.add.s(4, 4) | self.add.s(8)).apply_async()

            r = chain_add.apply_async(throw=True).get()
            assert r.get() == 16
        finally:
            _state.task_join_will_block = fixture_task_join_will_block
            result.task_join_will_block = fixture_task_join_will_block

    def test_chain_link_fires_once_in_eager(self):
        # A chain-level link must fire once, on the last task, mirroring
        # _chain.run (worker path extends it onto the last task only).
        self.app.conf.task_always_eager = True
        fired = []

        @self.app.task(shared=False)
        def record(value):
            fired.append(value)

        c = self.add.s(4, 4) | self.add.s(8)
        res = c.apply_async(link=record.s())
        assert res.get() == 16
        assert fired == [16]

    def test_chain_link_option_fires_once_in_eager(self):
        # Same as above, but with the link set as a chain option.
        self.app.conf.task_always_eager = True
        fired = []

        @self.app.task(shared=False)
        def record(value):
            fired.append(value)

        c = (self.add.s(4, 4) | self.add.s(8)).set(link=record.s())
        res = c.apply_async()
        assert res.get() == 16
        assert fired == [16]

    def test_chain_link_fires_once_on_trailing_chord_in_eager(self):
        # A chain ending in a chord routes the link to the chord body,
        # since _chord.apply only applies the body.
        self.app.conf.task_always_eager = True
        fired = []

        @self.app.task(shared=False)
        def record(value):
            fired.append(value)

        c = self.add.s(1, 1) | chord(
            [self.add.s(10), self.add.s(20)], self.xsum.s())
        res = c.apply_async(link=record.s())
        assert res.get() == 34
        assert fired == [34]

    def test_chain_link_does_not_leak_into_canvas(self):
        # The link must not mutate the caller's canvas: rerunning the
        # same chain, with or without a link, must not refire callbacks
        # from earlier runs.
        self.app.conf.task_always_eager = True
        fired = []

        @self.app.task(shared=False)
        def record(value, tag):
            fired.append((tag, value))

        c = self.add.s(1, 1) | chord(
            [self.add.s(10), self.add.s(20)],
            group(self.xsum.s(), self.xsum.s()))
        c.apply_async(link=record.s(tag='L'))
        assert fired == [('L', 34), ('L', 34)]
        c.apply_async()
        assert fired == [('L', 34), ('L', 34)]
        c.apply_async(link=record.s(tag='M'))
        assert fired == [('L', 34), ('L', 34), ('M', 34), ('M', 34)]

    def test_apply(self):
        x = chain(self.add.s(4, 4), self.add.s(8), self.add.s(10))
        res = x.apply()
        assert isinstance(res, EagerResult)
        assert res.get() == 26

        assert res.parent.get() == 16
        assert res.parent.parent.get() == 8
        assert res.parent.parent.parent is None

    @pytest.mark.parametrize('args,kwargs', (((4,), {}), ((), {'x': 4})))
    def test_apply_chord_in_chain_with_arguments(self, args, kwargs):
        workflow = chain(
            chord([self.add.s(y=2), self.add.s(y=3)], self.xsum.s()),
            self.mul.s(10),
        )

        assert workflow.apply(args=args, kwargs=kwargs).get() == 130

    def test_apply_stops_chain_when_task_raises_ignore(self):
        executed = []

        @self.app.task(shared=False)
        def ignoring():
            raise Ignore()

        @self.app.task(shared=False)
        def should_not_run(*args):
            executed.append(True)
            return 'ran'

        res = (ignoring.s() | should_not_run.s()).apply()

        assert executed == []
        assert res.state == states.IGNORED
        assert res.get() is None

    def test_apply_stops_chain_when_task_raises_reject(self):
        executed = []

        @self.app.task(shared=False)
        def rejecting():
            raise Reject()

        @self.app.task(shared=False)
        def should_not_run(*args):
            executed.append(True)
            return 'ran'

        res = (rejecting.s() | should_not_run.s()).apply()

        assert executed == []
        assert res.state == states.REJECTED
        assert res.get() is None

    def test_kwargs_apply(self):
        x = chain(self.add.s(), self.add.s(8), self.add.s(10))
        res = x.apply(kwargs={'x': 1, 'y': 1}).get()
        assert res == 20

    def test_single_expresion(self):
        x = chain(self.add.s(1, 2)).apply()
        assert x.get() == 3
        assert x.parent is None

    def test_empty_chain_returns_none(self):
        assert chain(app=self.app)() is None
        assert chain(app=self.app).apply_async() is None

    def test_call_no_tasks(self):
        x = chain()
        assert not x()

    def test_call_with_tasks(self):
        x = self.add.s(2, 2) | self.add.s(4)
        x.apply_async = Mock()
        x(2, 2, foo=1)
        x.apply_async.assert_called_with((2, 2), {'foo': 1})

    def test_from_dict_no_args__with_args(self):
        x = dict(self.add.s(2, 2) | self.add.s(4))
        x['args'] = None
        assert isinstance(chain.from_dict(x), _chain)
        x['args'] = (2,)
        assert isinstance(chain.from_dict(x), _chain)

    def test_accepts_generator_argument(self):
        x = chain(self.add.s(i) for i in range(10))
        assert x.tasks[0].type, self.add
        assert x.type

    def test_chord_sets_result_parent(self):
        g = (self.add.s(0, 0) |
             group(self.add.s(i, i) for i in range(1, 10)) |
             self.add.s(2, 2) |
             self.add.s(4, 4))
        res = g.freeze()

        assert isinstance(res, AsyncResult)
        assert not isinstance(res, GroupResult)
        assert isinstance(res.parent, AsyncResult)
        assert not isinstance(res.parent, GroupResult)
        assert isinstance(res.parent.parent, GroupResult)
        assert isinstance(res.parent.parent.parent, AsyncResult)
        assert not isinstance(res.parent.parent.parent, GroupResult)
        assert res.parent.parent.parent.parent is None

        seen = set()
        node = res
        while node:
            assert node.id not in seen
            seen.add(node.id)
            node = node.parent

    def test_append_to_empty_chain(self):
        x = chain()
        x |= self.add.s(1, 1)
        x |= self.add.s(1)
        tasks, _ = x.prepare_steps(x.args, x.kwargs, x.tasks, clone=False)
        assert len(tasks) == 2

        assert x.apply().get() == 3

    @pytest.mark.usefixtures('depends_on_current_app')
    def test_chain_single_child_result(self):
        child_sig = self.add.si(1, 1)
        chain_sig = chain(child_sig)
        assert chain_sig.tasks[0] is child_sig

        with patch.object(
            # We want to get back the result of actually applying the task
            child_sig, "apply_async",
        ) as mock_apply, patch.object(
            # The child signature may be clone by `chain.prepare_steps()`
            child_sig, "clone", return_value=child_sig,
        ):
            res = chain_sig()
        # `_prepare_chain_from_options()` sets this `chain` kwarg with the
        # subsequent tasks which would be run - nothing in this case
        mock_apply.assert_called_once_with(chain=[])
        assert res is mock_apply.return_value

    @pytest.mark.usefixtures('depends_on_current_app')
    def test_chain_single_child_group_result(self):
        child_sig = self.add.si(1, 1)
        # The group will `clone()` the child during instantiation so mock it
        with patch.object(child_sig, "clone", return_value=child_sig):
            group_sig = group(child_sig)
        # Now we can construct the chain signature which is actually under test
        chain_sig = chain(group_sig)
        assert chain_sig.tasks[0].tasks[0] is child_sig

        with patch.object(
            # We want to get back the result of actually applying the task
            child_sig, "apply_async",
        ) as mock_apply, patch.object(
            # The child signature may be clone by `chain.prepare_steps()`
            child_sig, "clone", return_value=child_sig,
        ):
            res = chain_sig()
        # `_prepare_chain_from_options()` sets this `chain` kwarg with the
        # subsequent tasks which would be run - nothing in this case
        mock_apply.assert_called_once_with(chain=[])
        assert res is mock_apply.return_value

    def test_chain_flattening_keep_links_of_inner_chain(self):
        def link_chain(sig):
            sig.link(signature('link_b'))
            sig.link_error(signature('link_ab'))
            return sig

        inner_chain = link_chain(chain(signature('a'), signature('b')))
        assert inner_chain.options['link'][0] == signature('link_b')
        assert inner_chain.options['link_error'][0] == signature('link_ab')
        assert inner_chain.tasks[0] == signature('a')
        assert inner_chain.tasks[0].options == {}
        assert inner_chain.tasks[1] == signature('b')
        assert inner_chain.tasks[1].options == {}

        flat_chain = chain(inner_chain, signature('c'))
        assert flat_chain.options == {}
        assert flat_chain.tasks[0].name == 'a'
        assert 'link' not in flat_chain.tasks[0].options
        assert signature(flat_chain.tasks[0].options['link_error'][0]) == signature('link_ab')
        assert flat_chain.tasks[1].name == 'b'
        assert 'link' in flat_chain.tasks[1].options, "b is missing the link from inner_chain.options['link'][0]"
        assert signature(flat_chain.tasks[1].options['link'][0]) == signature('link_b')
        assert signature(flat_chain.tasks[1].options['link_error'][0]) == signature('link_ab')

    @pytest.mark.parametrize('options', [{}, {'task_id': 'last-task-id'}])
    def test_group_in_center_of_chain(self, options):
        # With an option, chain() keeps its steps and the group is upgraded
        # in prepare_steps, which must not link the body's result twice.
        t1 = chain(self.add.si(1, 1), group(self.add.si(1, 1), self.add.si(1, 1)),
                   self.add.si(1, 1) | self.add.si(1, 1), **options)
        t2 = chord([self.add.si(1, 1), self.add.si(1, 1)], t1)
        t2.freeze()  # should not raise

    @pytest.mark.parametrize('task_protocol', [2, 1])
    def test_consecutive_groups_in_chain_preserve_group_results_in_as_tuple(self, task_protocol):
        # Regression for #8903: chain(head, mid..., group(G1), group(G2), tail...)
        # must keep GroupResult fan-out in as_tuple(), not collapse to a short
        # parent spine with no group children. Run under both task protocols:
        # protocol 1 enables use_link in prepare_steps().
        self.app.conf.task_protocol = task_protocol
        n = 3
        worker_tasks = [self.add.si(i, i) for i in range(n)]
        post_tasks = [
            chain(self.add.si(i, 0), self.add.si(0, i), app=self.app)
            for i in range(n)
        ]
        canvas = chain(
            self.add.si(0, 0),
            self.add.si(1, 0),
            self.add.si(0, 1),
            group(worker_tasks, app=self.app),
            group(post_tasks, app=self.app),
            self.add.si(2, 0),
            self.add.s(3),
            task_id='last-task-id',
            app=self.app,
        )
        tup = canvas.apply_async().as_tuple()
        restored = result_from_tuple(tup, app=self.app)

        for sizes in (
            _group_result_sizes_in_as_tuple(tup),
            _group_result_sizes_on_spine(restored),
        ):
            assert sizes.count(n) >= 2, sizes

    @pytest.mark.parametrize('task_protocol', [2, 1])
    @pytest.mark.parametrize('method', ['apply_async', 'freeze'])
    @pytest.mark.parametrize('task_id', [None, 'last-task-id'])
    def test_groups_in_chain_as_tuple_holds_each_task_once(self, task_id, method, task_protocol):
        # Regression for #9608: as_tuple() must hold every task of the chain
        # once, with or without a task_id. The task after a group becomes the
        # body of a chord, and the rest of the chain must be linked to the
        # chord's result only, not to the body's result as well.
        self.app.conf.task_protocol = task_protocol
        n = 3
        options = {'task_id': task_id} if task_id else {}
        canvas = chain(
            self.add.si(0, 0),
            group([chain(self.add.si(i, 0), self.add.si(0, i)) for i in range(n)]),
            group([chain(self.add.si(i, 1), self.add.si(1, i)) for i in range(n)]),
            self.add.si(2, 0),
            self.add.s(3),
            **options,
        )
        ids = ids_in_as_tuple(getattr(canvas, method)().as_tuple())

        # The first task, 2 * n tasks and a GroupResult per group, two last tasks.
        assert len(ids) == len(set(ids)) == 1 + 2 * (2 * n + 1) + 2, ids

    @pytest.mark.parametrize('task_protocol', [2, 1])
    def test_group_before_chord_in_chain_as_tuple_holds_each_task_once(self, task_protocol):
        # Regression for #9608: here the rest of the chain is linked to the
        # task after the group through the GroupResult of the next chord.
        self.app.conf.task_protocol = task_protocol
        canvas = chain(
            self.add.si(0, 0),
            group(self.add.si(1, 1), self.add.si(1, 2)),
            self.add.si(2, 2),
            chord([self.add.si(3, 3), self.add.si(3, 4)], self.add.si(4, 4)),
            self.add.si(5, 5),
            task_id='last-task-id',
        )
        ids = ids_in_as_tuple(canvas.apply_async().as_tuple())

        # Eight tasks and two GroupResults.
        assert len(ids) == len(set(ids)) == 10, ids

    def test_upgrade_to_chord_on_chain(self):
        group1 = group(self.add.si(10, 10), self.add.si(10, 10))
        group2 = group(self.xsum.s(), self.xsum.s())
        chord1 = group1 | group2
        chain1 = (self.xsum.si([5]) | self.add.s(1))
        final_task = chain(chord1, chain1)
        assert len(final_task.tasks) == 1 and isinstance(final_task.tasks[0], chord)
        assert isinstance(final_task.tasks[0].body, chord)
        assert final_task.tasks[0].body.body == chain1

    def test_chain_body_gets_id_when_used_as_chord_body(self):
        """Chain used as chord body must have a non-None ID after freeze.

        Regression test for https://github.com/celery/celery/issues/4834
        When chain(chain(group(...), task), task) is frozen, the chord
        body is a chain. Previously, the chain's ID stayed None because
        prepare_steps set self.id = last_task_id (the input parameter,
        None) instead of the last task's actual UUID.
        """
        # Build chord with a chain body: group becomes chord,
        # the two following tasks become the body chain.
        g = group(self.add.si(1, 1), self.add.si(2, 2))
        body_chain = chord(g, self.add.s(10), app=self.app)
        canvas = chain(body_chain, self.add.s(20), app=self.app)
        canvas.freeze()

        # Find the chord
        chords = [t for t in canvas.tasks if isinstance(t, chord)]
        assert chords, "Expected a chord in the frozen chain"
        chord_task = chords[0]

        # The chord body (a chain) must have a non-None ID
        assert chord_task.body.id is not None, (
            "Chord body chain must have an ID after freeze"
        )

    def test_chain_body_id_propagated_to_header_tasks(self):
        """Header tasks must carry the chord body's ID in request.chord.

        Regression test for https://github.com/celery/celery/issues/4834
        The header tasks store a reference to the chord body. After
        freeze, this reference must have a valid task_id so that
        chord_error_from_stack can store the error result.
        """
        g = group(self.add.si(1, 1), self.add.si(2, 2))
        body_chain = chord(g, self.add.s(10), app=self.app)
        canvas = chain(body_chain, self.add.s(20), app=self.app)
        canvas.freeze()

        chords = [t for t in canvas.tasks if isinstance(t, chord)]
        chord_task = chords[0]

        # Every header task's chord option must have the body's ID
        body_id = chord_task.body.id
        for header_task in chord_task.tasks.tasks:
            header_chord = header_task.options.get('chord')
            assert header_chord is not None, "Header task must have chord option"
            assert header_chord.id == body_id, (
                f"Header chord ID {header_chord.id} != body ID {body_id}"
            )

    def test_chain_errbacks_propagated_to_chord_body(self):
        """Errbacks on a chain must propagate to the chord body.

        Regression test for https://github.com/celery/celery/issues/4834
        chord_error_from_stack reads errbacks from the chord body
        (request.chord), not from the chord task. Without propagation,
        link_error handlers set on a chain containing a chord never fire.
        """
        @self.app.task(shared=False)
        def on_error(*args):
            pass

        g = group(self.add.si(1, 1), self.add.si(2, 2))
        body_chord = chord(g, self.add.s(10), app=self.app)
        c = chain(body_chord, self.add.s(20), app=self.app)

        # Simulate what apply_async does: pass link_error to prepare_steps
        errback = on_error.s()
        c.prepare_steps(
            c.args, c.kwargs, c.tasks, app=self.app,
            link_error=[errback], clone=False,
        )

        # The chord body must have the errback
        chords = [t for t in c.tasks if isinstance(t, chord)]
        assert chords
        body_errbacks = chords[0].body.options.get('link_error', [])
        assert len(body_errbacks) >= 1, (
            "Errback must be propagated to chord body"
        )

    def test_chain_id_matches_result_after_freeze(self):
        """Chain.id must equal the returned result ID after freeze.

        After freeze(), a chain's ID should reflect the last task's
        result (since that is what the chain's result represents).
        """
        c = self.add.s(1, 1) | self.add.s(2) | self.add.s(3)
        result = c.freeze()
        assert c.id is not None
        assert c.id == result.id

    def test_chain_id_with_explicit_id_preserved(self):
        """Chain.freeze(explicit_id) must set chain.id to that value."""
        c = self.add.s(1, 1) | self.add.s(2)
        result = c.freeze('my-explicit-id')
        assert c.id == 'my-explicit-id'
        assert result.id == 'my-explicit-id'

    def test_chain_with_empty_group_does_not_crash(self):
        """Empty groups chained after a group must not raise.

        Regression test for https://github.com/celery/celery/issues/9772
        """
        # ``chain(group(...), group(), group())`` folds the empty groups
        # away in ``group.__or__``; build the chain directly so that the
        # empty groups reach ``prepare_steps``.
        g1 = group([self.add.s(2, 2), self.add.s(4, 4)], app=self.app)
        c = _chain(g1, group(app=self.app), group(app=self.app), app=self.app)
        res = c.apply_async()
        assert isinstance(res, GroupResult)
        assert len(res.results) == 2

    def test_chain_empty_group_between_tasks(self):
        """An empty group between tasks in a chain should be skipped."""
        c = chain(self.add.s(2, 2), group(), self.add.s(4, 4))
        res = c.freeze()  # should not raise
        assert isinstance(res, AsyncResult)

    def test_chain_empty_group_first_passes_args(self):
        """When an empty group precedes a real task, partial args must
        be forwarded to the first non-empty step.

        Regression test for issue #9772.
        """
        # Use _chain directly to avoid the chain() constructor converting
        # group() | task into a chord.
        c = _chain(group(), self.add.s(), app=self.app)
        tasks, _ = c.prepare_steps((2, 2), {}, c.tasks)
        # tasks are returned in reverse order; the first logical task
        # (add) is last in the list.
        first_task = tasks[-1]
        assert first_task.args == (2, 2)

    def test_chain_empty_group_first_args_go_to_first_real_task(self):
        """chain(group(), add.s(y))(x) -- args pass through to first real task.

        Regression test for issue #9772.
        """
        c = _chain(group(), self.add.s(10), app=self.app)
        tasks, _ = c.prepare_steps((1, 2), {}, c.tasks)
        # tasks are in reverse order; last element is the first logical task
        first_task = tasks[-1]
        assert first_task.args == (1, 2, 10), (
            f"Expected args (1, 2, 10) on first real task, got {first_task.args}"
        )

    def test_chain_multiple_leading_empty_groups_args(self):
        """chain(group(), group(), add.s(y))(x) -- multiple leading empty groups.

        Regression test for issue #9772.
        """
        c = _chain(group(), group(), self.add.s(10), app=self.app)
        tasks, _ = c.prepare_steps((3,), {}, c.tasks)
        first_task = tasks[-1]
        assert first_task.args == (3, 10), (
            f"Expected args (3, 10) on first real task, got {first_task.args}"
        )

    def test_chain_empty_group_in_middle(self):
        """chain(add.s(x), group(), add.s(y)) -- empty group in middle.

        The empty group should be silently skipped without affecting the chain.
        Regression test for issue #9772.
        """
        c = _chain(self.add.s(1, 2), group(), self.add.s(10), app=self.app)
        tasks, results = c.prepare_steps((), {}, c.tasks)
        # Should produce 2 real tasks, not crash
        assert len(tasks) == 2
        assert len(results) == 2

    def test_chain_trailing_empty_group(self):
        """chain(add.s(x), group()) -- trailing empty group.

        The trailing empty group should be silently dropped.
        Regression test for issue #9772.
        """
        c = _chain(self.add.s(1, 2), group(), app=self.app)
        tasks, results = c.prepare_steps((), {}, c.tasks)
        assert len(tasks) == 1
        assert len(results) == 1

    def test_chain_empty_group_args_reach_correct_task(self):
        """chain(group(), add.s(x), add.s(y))(z) -- z goes to add.s(x), not add.s(y).

        Verifies that partial args are prepended to the chain's *first* real
        task (add.s(x)), not the *last* task (add.s(y)).
        Regression test for issue #9772.
        """
        c = _chain(group(), self.add.s(100), self.add.s(200), app=self.app)
        tasks, _ = c.prepare_steps((5,), {}, c.tasks)
        # tasks is in reverse order: [add.s(200), add.s(100)]
        first_logical_task = tasks[-1]   # add.s(100) with args prepended
        last_logical_task = tasks[0]     # add.s(200) with NO extra args
        assert first_logical_task.args == (5, 100), (
            f"Expected (5, 100) on first task, got {first_logical_task.args}"
        )
        assert last_logical_task.args == (200,), (
            f"Expected (200,) on last task (no extra args), got {last_logical_task.args}"
        )

    def test_chain_only_empty_groups(self):
        """chain(group(), group()) -- chain of only empty groups.

        Every step is a no-op, but the chain must still produce a result,
        so a single empty group is kept rather than dropping every step
        (consistent with how a sole empty group is handled since #10321).
        Regression test for issue #9772.
        """
        c = _chain(group(app=self.app), group(app=self.app), app=self.app)
        tasks, results = c.prepare_steps((), {}, c.tasks)
        assert len(tasks) == 1
        assert isinstance(tasks[0], group)
        assert not tasks[0].tasks
        assert len(results) == 1
        assert isinstance(results[0], GroupResult)

    def test_chain_only_empty_groups_freeze_returns_result(self):
        """chain(group(), group()).freeze() must return a result, not raise.

        Callers rely on freeze() returning an object with .id and .parent.
        Regression test for issue #9772.
        """
        c = _chain(group(app=self.app), group(app=self.app), app=self.app)
        res = c.freeze()
        assert isinstance(res, GroupResult)
        assert res.id is not None

    def test_chain_empty_group_followed_by_empty_chain(self):
        """chain(group(), chain()) -- the step after the empty group is empty too.

        The empty chain is spliced away, so stripping the leading empty
        group would leave no step at all.  The group is kept instead, as
        for a chain made up of empty groups only.
        Regression test for PR #10646.
        """
        c = chain(group(app=self.app), chain(app=self.app), app=self.app)
        tasks, results = c.prepare_steps((), {}, c.tasks)
        assert len(tasks) == 1
        assert isinstance(tasks[0], group)
        assert not tasks[0].tasks
        assert len(results) == 1
        assert isinstance(results[0], GroupResult)

    @pytest.mark.parametrize('trailing', [
        lambda app: [chain(app=app)],
        lambda app: [chain(chain(app=app), app=app)],
        lambda app: [chain(app=app), chain(app=app)],
        lambda app: [group(app=app), chain(app=app)],
    ], ids=[
        'empty_chain', 'nested_empty_chain', 'two_empty_chains',
        'empty_group_then_empty_chain',
    ])
    def test_freeze_empty_group_followed_by_empty_chain(self, trailing):
        """Freezing an empty group followed by empty chains returns a result.

        Regression test for PR #10646, which raised ``IndexError``.
        """
        c = chain(group(app=self.app), *trailing(self.app), app=self.app)
        res = c.freeze()
        assert isinstance(res, GroupResult)
        assert res.get(timeout=1) == []

    def test_apply_async_empty_group_followed_by_empty_chain(self):
        """chain(group(), chain()).apply_async() returns the group's result.

        Regression test for PR #10646, which returned ``None``.
        """
        c = chain(group(app=self.app), chain(app=self.app), app=self.app)
        res = c.apply_async()
        assert isinstance(res, GroupResult)
        assert res.get(timeout=1) == []

    def test_nested_chain_with_leading_empty_group(self):
        """_chain(_chain(group(), add.s(x)), add.s(y)) -- inner empty group stripped.

        A nested chain at the head of the chain is spliced before the
        first task is determined, so the empty group leading it is
        stripped and the partial args still reach ``add.s(x)``.
        Regression test for issue #9772.
        """
        inner = _chain(group(), self.add.s(10), app=self.app)
        outer = _chain(inner, self.add.s(20), app=self.app)
        tasks, results = outer.prepare_steps((5,), {}, outer.tasks)
        # Should produce 2 real tasks: add.s(10) and add.s(20)
        assert len(tasks) == 2
        assert len(results) == 2
        # First logical task (last in reversed list) should get args
        first_task = tasks[-1]
        assert first_task.args == (5, 10), (
            f"Expected (5, 10) on first task, got {first_task.args}"
        )

    def test_nested_chain_multiple_leading_empty_groups_after_splice(self):
        """_chain(_chain(group(), group(), add.s(x)), add.s(y)) -- spliced empty groups.

        After the inner chain is spliced, both leading empty groups must
        be stripped and partial args must still reach the first real task.
        Regression test for issue #9772.
        """
        inner = _chain(group(), group(), self.add.s(10), app=self.app)
        outer = _chain(inner, self.add.s(20), app=self.app)
        tasks, results = outer.prepare_steps((7,), {}, outer.tasks)
        assert len(tasks) == 2
        assert len(results) == 2
        first_task = tasks[-1]
        assert first_task.args == (7, 10), (
            f"Expected (7, 10) on first task, got {first_task.args}"
        )

    def test_nested_chain_only_empty_groups_spliced(self):
        """_chain(_chain(group(), group()), add.s(x)) -- inner chain is all empty groups.

        After splicing, the inner chain contributes no real tasks.
        The outer add.s(x) should still receive partial args correctly.
        Regression test for issue #9772.
        """
        inner = _chain(group(), group(), app=self.app)
        outer = _chain(inner, self.add.s(10), app=self.app)
        tasks, results = outer.prepare_steps((3,), {}, outer.tasks)
        assert len(tasks) == 1
        assert len(results) == 1
        first_task = tasks[-1]
        assert first_task.args == (3, 10), (
            f"Expected (3, 10) on first task, got {first_task.args}"
        )

    def test_nested_chain_trailing_empty_group_after_splice(self):
        """_chain(add.s(x), _chain(add.s(y), group())) -- trailing empty in spliced chain.

        The trailing empty group from the inner chain should be silently
        dropped after splicing.
        Regression test for issue #9772.
        """
        inner = _chain(self.add.s(10), group(), app=self.app)
        outer = _chain(self.add.s(1, 2), inner, app=self.app)
        tasks, results = outer.prepare_steps((), {}, outer.tasks)
        assert len(tasks) == 2
        assert len(results) == 2

    def test_chain_leading_empty_chain_passes_args(self):
        """_chain(_chain(), add.s(x))(y) -- a leading empty chain must not swallow args.

        Regression test for issue #9772.
        """
        c = _chain(_chain(app=self.app), self.add.s(10), app=self.app)
        tasks, results = c.prepare_steps((5,), {}, c.tasks)
        assert len(tasks) == 1
        assert len(results) == 1
        assert tasks[-1].args == (5, 10), (
            f"Expected (5, 10) on first real task, got {tasks[-1].args}"
        )

    def test_chain_leading_empty_group_as_dict_strip(self):
        """Leading empty group passed as a serialized dict should be stripped.

        Exercises the from_dict conversion path in the head normalisation
        of prepare_steps().  (Issue #9772)
        """
        # Serialize an empty group to a dict so it enters the
        # ``not isinstance(head, CallableSignature)`` branch.
        empty_dict = dict(group())
        c = _chain(app=self.app)
        c.tasks = [empty_dict, self.add.s(10)]
        tasks, results = c.prepare_steps((5,), {}, c.tasks)
        assert len(tasks) == 1
        first_task = tasks[-1]
        assert first_task.args == (5, 10), (
            f"Expected (5, 10), got {first_task.args}"
        )

    def test_chain_freeze_nested_chain_leading_empty_group_no_clone(self):
        """freeze() uses clone=False; a nested chain with a leading empty
        group must still forward the chain's partial args in place.
        (Issue #9772)
        """
        inner = _chain(group(), self.add.s(10), app=self.app)
        outer = _chain(inner, self.add.s(20), app=self.app)
        outer.args = (5,)
        res = outer.freeze()
        assert isinstance(res, AsyncResult)
        # freeze() prepares the original signatures in place, so the first
        # real task of the spliced inner chain carries the partial args.
        assert inner.tasks[1].args == (5, 10)


class Test_group(CanvasCase):
    def test_repr(self):
        x = group([self.add.s(2, 2), self.add.s(4, 4)])
        assert repr(x)

    def test_repr_keeps_unrelated_module_names(self):
        x = group([
            signature('app.tasks.a', args=(1,), app=self.app),
            signature('webapp.tasks.b', args=(2,), app=self.app),
            signature('my-app.tasks.c', args=(3,), app=self.app),
        ])
        assert repr(x) == (
            'group([app.tasks.a(1), webapp.tasks.b(2), my-app.tasks.c(3)])'
        )

    def test_repr_empty_group(self):
        x = group([])
        assert repr(x) == 'group(<empty>)'

    def test_reverse(self):
        x = group([self.add.s(2, 2), self.add.s(4, 4)])
        assert isinstance(signature(x), group)
        assert isinstance(signature(dict(x)), group)

    def test_reverse_with_subclass(self):
        x = group_subclass([self.add.s(2, 2), self.add.s(4, 4)])
        assert isinstance(signature(x), group_subclass)
        assert isinstance(signature(dict(x)), group_subclass)

    def test_cannot_link_on_group(self):
        x = group([self.add.s(2, 2), self.add.s(4, 4)])
        with pytest.raises(TypeError):
            x.apply_async(link=self.add.s(2, 2))

    def test_cannot_link_error_on_group(self):
        x = group([self.add.s(2, 2), self.add.s(4, 4)])
        with pytest.raises(TypeError):
            x.apply_async(link_error=self.add.s(2, 2))

    def test_group_with_group_argument(self):
        g1 = group(self.add.s(2, 2), self.add.s(4, 4), app=self.app)
        g2 = group(g1, app=self.app)
        assert g2.tasks is g1.tasks

    def test_maybe_group_sig(self):
        assert _maybe_group(self.add.s(2, 2), self.app) == [self.add.s(2, 2)]

    def test_apply(self):
        x = group([self.add.s(4, 4), self.add.s(8, 8)])
        res = x.apply()
        assert res.get(), [8 == 16]

    def test_apply_async(self):
        x = group([self.add.s(4, 4), self.add.s(8, 8)])
        x.apply_async()

    def test_prepare_with_dict(self):
        x = group([self.add.s(4, 4), dict(self.add.s(8, 8))], app=self.app)
        x.apply_async()

    def test_group_in_group(self):
        g1 = group(self.add.s(2, 2), self.add.s(4, 4), app=self.app)
        g2 = group(self.add.s(8, 8), g1, self.add.s(16, 16), app=self.app)
        g2.apply_async()

    def test_set_immutable(self):
        g1 = group(Mock(name='t1'), Mock(name='t2'), app=self.app)
        g1.set_immutable(True)
        for task in g1.tasks:
            task.set_immutable.assert_called_with(True)

    def test_link(self):
        g1 = group(Mock(name='t1'), Mock(name='t2'), app=self.app)
        sig = Mock(name='sig')
        g1.link(sig)
        # Only the first child signature of a group will be given the callback
        # and it is cloned and made immutable to avoid passing results to it,
        # since that first task can't pass along its siblings' return values
        g1.tasks[0].link.assert_called_with(sig.clone().set(immutable=True))

    def test_link_error(self):
        g1 = group(Mock(name='t1'), Mock(name='t2'), app=self.app)
        sig = Mock(name='sig')
        g1.link_error(sig)
        # We expect that all group children will be given the errback to ensure
        # it gets called
        for child_sig in g1.tasks:
            child_sig.link_error.assert_called_with(sig.clone())

    def test_link_error_with_dict_sig(self):
        g1 = group(Mock(name='t1'), Mock(name='t2'), app=self.app)
        errback = signature('tcb')
        errback_dict = dict(errback)
        g1.link_error(errback_dict)
        # We expect that all group children will be given the errback to ensure
        # it gets called
        for child_sig in g1.tasks:
            child_sig.link_error.assert_called_with(errback.clone())

    def test_link_error_preserves_mutable_errback(self):
        g1 = group(self.add.s(2, 2), self.add.s(4, 4), app=self.app)
        errback = self.add.s()

        linked = g1.link_error(errback)

        assert len(linked) == 2
        for child_sig in g1.tasks:
            assert child_sig.options['link_error'][0].immutable is False

    def test_apply_empty(self):
        x = group(app=self.app)
        x.apply()
        res = x.apply_async()
        assert res
        assert not res.results

    def test_apply_async_with_parent(self):
        _task_stack.push(self.add)
        try:
            self.add.push_request(called_directly=False)
            try:
                assert not self.add.request.children
                x = group([self.add.s(4, 4), self.add.s(8, 8)])
                res = x()
                assert self.add.request.children
                assert res in self.add.request.children
                assert len(self.add.request.children) == 1
            finally:
                self.add.pop_request()
        finally:
            _task_stack.pop()

    @pytest.mark.parametrize('task_protocol', [2, 1])
    def test_group_ending_a_chain_in_a_group_gets_its_own_id(self, task_protocol):
        # group_id names the group a signature belongs to, so the inner
        # group must not adopt the outer group's id as its own.
        self.app.conf.task_protocol = task_protocol
        res = group(
            self.add.si(1, 1),
            chain(self.add.si(2, 2), group(self.add.si(3, 3), self.add.si(4, 4))),
        ).apply_async()
        inner = res.results[1]
        assert isinstance(inner, GroupResult)
        assert inner.id != res.id

    @pytest.mark.parametrize("group_type", (group, group_subclass))
    def test_from_dict(self, group_type):
        x = group_type([self.add.s(2, 2), self.add.s(4, 4)])
        x['args'] = (2, 2)
        value = group_type.from_dict(dict(x))
        assert value and isinstance(value, group_type)
        x['args'] = None
        value = group_type.from_dict(dict(x))
        assert value and isinstance(value, group_type)

    @pytest.mark.parametrize("group_type", (group, group_subclass))
    def test_from_dict_deep_deserialize(self, group_type):
        original_group = group_type([self.add.s(1, 2)] * 42)
        serialized_group = json.loads(json.dumps(original_group))
        deserialized_group = group_type.from_dict(serialized_group)
        assert isinstance(deserialized_group, group_type)
        assert all(
            isinstance(child_task, Signature)
            for child_task in deserialized_group.tasks
        )

    @pytest.mark.parametrize("group_type", (group, group_subclass))
    def test_from_dict_deeper_deserialize(self, group_type):
        inner_group = group_type([self.add.s(1, 2)] * 42)
        outer_group = group_type([inner_group] * 42)
        serialized_group = json.loads(json.dumps(outer_group))
        deserialized_group = group_type.from_dict(serialized_group)
        assert isinstance(deserialized_group, group_type)
        assert all(
            isinstance(child_task, group_type)
            for child_task in deserialized_group.tasks
        )
        assert all(
            isinstance(grandchild_task, Signature)
            for child_task in deserialized_group.tasks
            for grandchild_task in child_task.tasks
        )

    def test_call_empty_group(self):
        x = group(app=self.app)
        assert not len(x())
        x.delay()
        x.apply_async()
        x()

    def test_skew(self):
        g = group([self.add.s(i, i) for i in range(10)])
        g.skew(start=1, stop=10, step=1)
        for i, task in enumerate(g.tasks):
            assert task.options['countdown'] == i + 1

    def test_iter(self):
        g = group([self.add.s(i, i) for i in range(10)])
        assert list(iter(g)) == list(g.keys())

    def test_single_task(self):
        g = group([self.add.s(1, 1)])
        assert isinstance(g, group)
        assert len(g.tasks) == 1
        g = group(self.add.s(1, 1))
        assert isinstance(g, group)
        assert len(g.tasks) == 1

    @staticmethod
    def helper_test_get_delay(result):
        import time
        t0 = time.time()
        while not result.ready():
            time.sleep(0.01)
            if time.time() - t0 > 1:
                return None
        return result.get()

    def test_kwargs_direct(self):
        res = [self.add(x=1, y=1), self.add(x=1, y=1)]
        assert res == [2, 2]

    def test_kwargs_apply(self):
        x = group([self.add.s(), self.add.s()])
        res = x.apply(kwargs={'x': 1, 'y': 1}).get()
        assert res == [2, 2]

    def test_kwargs_apply_async(self):
        self.app.conf.task_always_eager = True
        x = group([self.add.s(), self.add.s()])
        res = self.helper_test_get_delay(
            x.apply_async(kwargs={'x': 1, 'y': 1})
        )
        assert res == [2, 2]

    def test_kwargs_delay(self):
        self.app.conf.task_always_eager = True
        x = group([self.add.s(), self.add.s()])
        res = self.helper_test_get_delay(x.delay(x=1, y=1))
        assert res == [2, 2]

    def test_apply_chain_ending_in_group_skips_result_backend(self):
        # Issue #4405
        self.app.conf.task_always_eager = True
        x = group(
            self.add.si(1, 1),
            chain(self.add.si(2, 2), group(self.add.si(3, 3), self.add.si(4, 4))),
        )
        with patch.object(self.app, '_backend_cache', Mock(name='backend')) as backend:
            res = x.delay()
        assert res.get() == [2, [6, 8]]
        # The eager tracer reports each result with store_result=False.
        assert {(name, args[-1]) for name, args, _ in backend.mock_calls} == {
            ('mark_as_done', False),
        }

    def test_apply_member_runs_under_its_result_id(self):
        @self.app.task(shared=False, bind=True)
        def request_id(self):
            return self.request.id

        res = group(request_id.si().set(task_id='preset'), request_id.si()).apply()
        assert res.results[0].id == 'preset'
        assert [r.get() for r in res.results] == [r.id for r in res.results]

    def test_apply_runs_member_link_and_link_error(self):
        self.app.conf.task_always_eager = True
        calls = []

        @self.app.task(shared=False)
        def record(*args):
            calls.append(args)

        x = group(
            self.add.si(1, 1).set(link=record.s()),
            chain(self.add.si(2, 2), self.div.si(1, 0).set(link_error=record.si('failed'))),
        )
        res = x.apply()
        assert res.results[0].get() == 2
        assert isinstance(res.results[1].result, ZeroDivisionError)
        assert calls == [(2,), ('failed',)]

    def test_apply_chord_member(self):
        self.app.conf.task_always_eager = True
        x = group(
            self.add.si(1, 1),
            chord([self.add.si(2, 2), self.add.si(3, 3)], self.xsum.s()),
        )
        assert x.apply().get() == [2, 10]

    def test_kwargs_delay_partial(self):
        self.app.conf.task_always_eager = True
        x = group([self.add.s(1), self.add.s(x=1)])
        res = self.helper_test_get_delay(x.delay(y=1))
        assert res == [2, 2]

    def test_apply_from_generator(self):
        child_count = 42
        child_sig = self.add.si(0, 0)
        child_sigs_gen = (child_sig for _ in range(child_count))
        group_sig = group(child_sigs_gen)
        with recorded(self.app) as mock_apply_async:
            res_obj = group_sig.apply_async()
        assert mock_apply_async.call_count == child_count
        assert len(res_obj.children) == child_count

    # This needs the current app for some reason not worth digging into
    @pytest.mark.usefixtures('depends_on_current_app')
    def test_apply_from_generator_empty(self):
        empty_gen = (False for _ in range(0))
        group_sig = group(empty_gen)
        with recorded(self.app) as mock_apply_async:
            res_obj = group_sig.apply_async()
        assert mock_apply_async.call_count == 0
        assert len(res_obj.children) == 0

    # In the following tests, getting the group ID is a pain so we just use
    # `ANY` to wildcard it when we're checking on calls made to our mocks
    def test_apply_contains_chord(self):
        gchild_count = 42
        gchild_sig = self.add.si(0, 0)
        gchild_sigs = (gchild_sig,) * gchild_count
        child_chord = chord(gchild_sigs, gchild_sig)
        group_sig = group((child_chord,))
        with patch.object(
            self.app.backend, "set_chord_size",
        ) as mock_set_chord_size, recorded(self.app) as mock_apply_async:
            res_obj = group_sig.apply_async()
        # We only see applies for the header grandchildren because the tasks
        # are never actually run due to our mocking of `apply_async()`
        assert mock_apply_async.call_count == gchild_count
        assert len(res_obj.children) == len(group_sig.tasks)
        # We must have set the chord size for the group of tasks which makes up
        # the header of the `child_chord`, just before we apply the last task.
        mock_set_chord_size.assert_called_once_with(ANY, gchild_count)

    def test_apply_contains_chords_containing_chain(self):
        ggchild_count = 42
        ggchild_sig = self.add.si(0, 0)
        gchild_sig = chain((ggchild_sig,) * ggchild_count)
        child_count = 24
        child_chord = chord((gchild_sig,), ggchild_sig)
        group_sig = group((child_chord,) * child_count)
        with patch.object(
            self.app.backend, "set_chord_size",
        ) as mock_set_chord_size, recorded(self.app) as mock_apply_async:
            res_obj = group_sig.apply_async()
        # We only see applies for the header grandchildren because the tasks
        # are never actually run due to our mocking of `apply_async()`
        assert mock_apply_async.call_count == child_count
        assert len(res_obj.children) == child_count
        # We must have set the chord sizes based on the number of tail tasks of
        # the encapsulated chains - in this case 1 for each child chord
        mock_set_chord_size.assert_has_calls((call(ANY, 1),) * child_count)

    def test_apply_contains_chords_containing_empty_chain(self):
        """A chord whose header contains only empty chains should not hang.

        Empty chains are no-ops; when every header member is an empty chain
        the header group is effectively empty and the chord body should be
        executed immediately.  Regression test for issue #9772.
        """
        gchild_sig = chain(tuple())
        child_count = 24
        child_chord = chord((gchild_sig,), self.add.si(0, 0))
        group_sig = group((child_chord,) * child_count)
        with recorded(self.app) as mock_apply_async:
            # Previously this raised IndexError.  After fixing #9772 the
            # empty chains are stripped from the chord header, so apply_async
            # should not be called for any header tasks (they are all no-ops).
            group_sig.apply_async()
        # No header tasks should be applied -- every chain is empty.
        # The child_count calls we see are the chord bodies being applied
        # (each chord's body is self.add.si(0, 0)).
        assert mock_apply_async.call_count == child_count, (
            f"Expected {child_count} apply_async calls (one per chord body), "
            f"got {mock_apply_async.call_count}"
        )

    def test_apply_contains_chords_containing_chain_with_empty_tail(self):
        ggchild_count = 42
        ggchild_sig = self.add.si(0, 0)
        tail_count = 24
        gchild_sig = chain(
            (ggchild_sig,) * ggchild_count +
            (group((ggchild_sig,) * tail_count), group(tuple()),),
        )
        child_chord = chord((gchild_sig,), ggchild_sig)
        group_sig = group((child_chord,))
        with patch.object(
            self.app.backend, "set_chord_size",
        ) as mock_set_chord_size, recorded(self.app) as mock_apply_async:
            res_obj = group_sig.apply_async()
        # We only see applies for the header grandchildren because the tasks
        # are never actually run due to our mocking of `apply_async()`
        assert mock_apply_async.call_count == 1
        assert len(res_obj.children) == 1
        # We must have set the chord sizes based on the size of the last
        # non-empty task in the encapsulated chains - in this case `tail_count`
        # for the group preceding the empty one in each grandchild chain
        mock_set_chord_size.assert_called_once_with(ANY, tail_count)

    def test_apply_contains_chords_containing_group(self):
        ggchild_count = 42
        ggchild_sig = self.add.si(0, 0)
        gchild_sig = group((ggchild_sig,) * ggchild_count)
        child_count = 24
        child_chord = chord((gchild_sig,), ggchild_sig)
        group_sig = group((child_chord,) * child_count)
        with patch.object(
            self.app.backend, "set_chord_size",
        ) as mock_set_chord_size, recorded(self.app) as mock_apply_async:
            res_obj = group_sig.apply_async()
        # We see applies for all of the header grandchildren because the tasks
        # are never actually run due to our mocking of `apply_async()`
        assert mock_apply_async.call_count == child_count * ggchild_count
        assert len(res_obj.children) == child_count
        # We must have set the chord sizes based on the number of tail tasks of
        # the encapsulated groups - in this case `ggchild_count`
        mock_set_chord_size.assert_has_calls(
            (call(ANY, ggchild_count),) * child_count,
        )

    @pytest.mark.xfail(reason="Invalid canvas setup but poor behaviour")
    def test_apply_contains_chords_containing_empty_group(self):
        gchild_sig = group(tuple())
        child_count = 24
        child_chord = chord((gchild_sig,), self.add.si(0, 0))
        group_sig = group((child_chord,) * child_count)
        with patch.object(
            self.app.backend, "set_chord_size",
        ) as mock_set_chord_size, recorded(self.app) as mock_apply_async:
            res_obj = group_sig.apply_async()
        # We only see applies for the header grandchildren because the tasks
        # are never actually run due to our mocking of `apply_async()`
        assert mock_apply_async.call_count == child_count
        assert len(res_obj.children) == child_count
        # This is actually kind of meaningless because, similar to the empty
        # chain test, this is an invalid setup. However, we should probably
        # expect that the chords are dealt with in some other way the probably
        # being left incomplete forever...
        mock_set_chord_size.assert_has_calls((call(ANY, 0),) * child_count)

    def test_apply_contains_chords_containing_chord(self):
        ggchild_count = 42
        ggchild_sig = self.add.si(0, 0)
        gchild_sig = chord((ggchild_sig,) * ggchild_count, ggchild_sig)
        child_count = 24
        child_chord = chord((gchild_sig,), ggchild_sig)
        group_sig = group((child_chord,) * child_count)
        with patch.object(
            self.app.backend, "set_chord_size",
        ) as mock_set_chord_size, recorded(self.app) as mock_apply_async:
            res_obj = group_sig.apply_async()
        # We see applies for all of the header great-grandchildren because the
        # tasks are never actually run due to our mocking of `apply_async()`
        assert mock_apply_async.call_count == child_count * ggchild_count
        assert len(res_obj.children) == child_count
        # We must have set the chord sizes based on the number of tail tasks of
        # the deeply encapsulated chords' header tasks, as well as for each
        # child chord. This means we have `child_count` interleaved calls to
        # set chord sizes of 1 and `ggchild_count`.
        mock_set_chord_size.assert_has_calls(
            (call(ANY, 1), call(ANY, ggchild_count),) * child_count,
        )

    def test_apply_contains_chords_containing_empty_chord(self):
        gchild_sig = chord(tuple(), self.add.si(0, 0))
        child_count = 24
        child_chord = chord((gchild_sig,), self.add.si(0, 0))
        group_sig = group((child_chord,) * child_count)
        with patch.object(
            self.app.backend, "set_chord_size",
        ) as mock_set_chord_size, recorded(self.app) as mock_apply_async:
            res_obj = group_sig.apply_async()
        # We only see applies for the header grandchildren because the tasks
        # are never actually run due to our mocking of `apply_async()`
        assert mock_apply_async.call_count == child_count
        assert len(res_obj.children) == child_count
        # We must have set the chord sizes based on the number of tail tasks of
        # the encapsulated chains - in this case 1 for each child chord
        mock_set_chord_size.assert_has_calls((call(ANY, 1),) * child_count)

    def test_group_prepared(self):
        # Using both partial and dict based signatures
        sig = group(dict(self.add.s(0)), self.add.s(0))
        _, group_id, root_id = sig._freeze_gid({})
        tasks = sig._prepared(sig.tasks, [42], group_id, root_id, self.app)

        for task, result, group_id in tasks:
            assert isinstance(task, Signature)
            assert task.args[0] == 42
            assert task.args[1] == 0
            assert isinstance(result, AsyncResult)
            assert group_id is not None

    def test_task_replace_with_group_preserves_group_order(self):
        self.app.conf.task_always_eager = True
        sig = self.replace_with_group.s(1, 2)
        res = self.helper_test_get_delay(sig.delay())
        assert res == [3, 2]

    def test_group_prepared_skips_empty_chain(self):
        """_prepared() must skip empty chains that appear as group members.

        An empty chain (``chain()``) in a group is a no-op and cannot be
        frozen, so it must be silently dropped.  (Issue #9772)
        """
        empty_chain = _chain(app=self.app)  # chain with no tasks
        real_task = self.add.s(1, 2)
        g = group(empty_chain, real_task)
        _, group_id, root_id = g._freeze_gid({})
        prepared = list(g._prepared(g.tasks, [], group_id, root_id, self.app))
        # Only the real task should appear; the empty chain is skipped.
        assert len(prepared) == 1
        task, result, gid = prepared[0]
        assert task.args == (1, 2)

    def test_group_freeze_skips_empty_chain(self):
        """freeze() must skip empty chains so the frozen results match the
        tasks that will actually be applied.  (Issue #9772)
        """
        g = group(_chain(app=self.app), self.add.s(1, 2), app=self.app)
        res = g.freeze()
        assert isinstance(res, GroupResult)
        assert len(res.results) == 1
        assert len(g.tasks) == 1
        assert g.tasks[0].args == (1, 2)

    def test_group_freeze_skips_empty_chain_in_generator(self):
        """Generator-backed groups freeze through ``_freeze_tasks``; empty
        chains must be skipped there too.  (Issue #9772)
        """
        def tasks():
            yield _chain(app=self.app)
            yield self.add.s(1, 2)

        g = group(tasks(), app=self.app)
        res = g.freeze()
        assert isinstance(res, GroupResult)
        assert len(res.results) == 1


class Test_chord_header_links(CanvasCase):
    def test_clear_outer_callback_preserves_nested_chord_header(self):
        outer_body = self.xsum.s()
        errback = self.add.s(9)
        body = self.xsum.s().set(queue='callbacks', link_error=[errback])
        nested = chord([self.add.si(1, 2), self.add.si(3, 4)], body, app=self.app)
        result = nested.freeze(chord=outer_body)
        header_before = [(task.id, task.args) for task in nested.tasks.tasks]
        assert nested.body.options['chord'] == outer_body

        _clear_chord_option(nested)

        assert 'chord' not in nested.body.options
        assert nested.body.id == result.id
        assert nested.body.options['queue'] == 'callbacks'
        assert nested.body.options['link_error'] == [errback]
        assert [(task.id, task.args) for task in nested.tasks.tasks] == header_before
        assert all(task.options['chord'] is nested.body for task in nested.tasks.tasks)

    def test_strip_header_links_preserves_chord_without_body(self):
        pending = chord([self.add.si(1, 2), self.add.si(3, 4)], app=self.app)
        pending.freeze()
        before = json.dumps(pending)

        _strip_chord_header_links(pending)

        assert pending.body is None
        assert json.dumps(pending) == before


class Test_chord(CanvasCase):
    def test__get_app_does_not_exhaust_generator(self):
        def build_generator():
            yield self.add.s(1, 1)
            self.second_item_returned = True
            yield self.add.s(2, 2)
            raise pytest.fail("This should never be reached")

        self.second_item_returned = False
        c = chord(build_generator(), self.add.s(3))
        c.app
        # The second task gets returned due to lookahead in `regen()`
        assert self.second_item_returned
        # Access it again to make sure the generator is not further evaluated
        c.app

    @pytest.mark.parametrize("chord_type", [chord, chord_subclass])
    def test_reverse(self, chord_type):
        x = chord_type([self.add.s(2, 2), self.add.s(4, 4)], body=self.mul.s(4))
        assert isinstance(signature(x), chord_type)
        assert isinstance(signature(dict(x)), chord_type)

    def test_clone_clones_body(self):
        x = chord([self.add.s(2, 2), self.add.s(4, 4)], body=self.mul.s(4))
        y = x.clone()
        assert x.kwargs['body'] is not y.kwargs['body']
        y.kwargs.pop('body')
        z = y.clone()
        assert z.kwargs.get('body') is None

    def _assert_header_received_delay(self, canvas, header_size, **delay):
        with recorded(self.app) as mock_apply_async:
            canvas.apply_async(**delay)
        assert mock_apply_async.call_count == header_size
        for apply_call in mock_apply_async.call_args_list:
            for key, value in delay.items():
                assert apply_call.kwargs.get(key) == value

    def test_group_body_does_not_take_the_header_id(self):
        res = chord(
            group(self.add.si(1, 1), self.add.si(2, 2)),
            group(self.add.si(3, 3), self.add.si(4, 4)),
        ).apply_async()
        assert isinstance(res, GroupResult)
        assert res.id != res.parent.id

    def test_group_or_task_apply_async_countdown_delays_header(self):
        """countdown on group|task must delay the header, not only the body.

        Regression for #7851: group | task is a chord, and apply_async(countdown=)
        was bound to chord.run's unlock-retry argument, so the header ran
        immediately and only the callback was delayed.
        """
        canvas = (
            group(self.add.si(1, 2), self.add.si(3, 4), app=self.app)
            | self.add.si(5, 6)
            | self.add.si(7, 8)
            | self.add.si(9, 10)
        )
        assert isinstance(canvas, chord)
        self._assert_header_received_delay(canvas, 2, countdown=10)

    def test_group_or_task_apply_async_eta_delays_header(self):
        eta = sentinel.eta
        canvas = group(self.add.si(1, 2), self.add.si(3, 4), app=self.app) | self.add.si(5, 6)
        self._assert_header_received_delay(canvas, 2, eta=eta)

    def test_group_or_task_set_countdown_delays_header(self):
        canvas = group(self.add.si(1, 2), self.add.si(3, 4), app=self.app) | self.add.si(5, 6)
        canvas.set(countdown=10)
        with recorded(self.app) as mock_apply_async:
            canvas.apply_async()
        assert mock_apply_async.call_count == 2
        for apply_call in mock_apply_async.call_args_list:
            assert apply_call.kwargs.get("countdown") == 10

    def test_argument_is_group(self):
        x = chord(group(self.add.s(2, 2), self.add.s(4, 4), app=self.app))
        assert x.tasks

    def test_app_when_app(self):
        app = Mock(name='app')
        x = chord([self.add.s(4, 4)], app=app)
        assert x.app is app

    def test_app_when_app_in_task(self):
        t1 = Mock(name='t1')
        t2 = Mock(name='t2')
        x = chord([t1, self.add.s(4, 4)])
        assert x.app is x.tasks[0].app
        t1.app = None
        x = chord([t1], body=t2)
        assert x.app is t2._app

    def test_app_when_header_is_empty(self):
        x = chord([], self.add.s(4, 4))
        assert x.app is self.add.app

    def test_app_when_header_has_no_app(self):
        x = chord([signature('h1')], self.add.s(4, 4))
        assert x.app is self.app

    @pytest.mark.parametrize('body', [chain, group, chord])
    def test_app_when_header_has_no_app_and_body_is_canvas(self, body):
        x = chord([signature('h1')], body(self.xsum.s(), self.add.s(1)))
        assert x.body._app is None
        assert x.app is self.app

    @pytest.mark.parametrize('header', [chain, group, chord])
    @pytest.mark.parametrize('body', [None, chain, group, chord])
    def test_app_when_header_and_body_are_canvases(self, header, body):
        # A chain, group or chord built from task signatures has no app of its
        # own but resolves one through its tasks.
        header = header(self.add.s(1, 1), self.add.s(2, 2))
        body = body(self.xsum.s(), self.add.s(1)) if body else None
        x = chord([header], body)
        assert x.tasks[0]._app is None
        assert body is None or x.body._app is None
        assert x.app is self.app

    def test_app_when_header_canvas_has_dict(self):
        # A chain built with options keeps a dict as a task until it is frozen
        # (without them chain() turns it into a signature) and cannot resolve
        # an app through it, so the chord falls back to the body's app.
        x = chord(
            [group([chain(dict(self.add.s(1, 1)), self.add.s(1), task_id='x')])],
            self.xsum.s(),
        )
        assert x.app is self.app

    def test_apply_async_in_another_thread_when_header_and_body_are_chains(self):
        # #6197: a chord whose header starts with a chain and whose body is a
        # chain fell back to the default app of the thread, which has no
        # result backend.
        def apply():
            return chord(
                [chain(self.add.s(1, 1), self.add.s(1))], chain(self.xsum.s(), self.add.s(1)),
            ).apply_async()

        with self.Celery(backend='disabled') as default_app, \
                current_app_in_this_thread(self.app, default=default_app), \
                ThreadPoolExecutor(max_workers=1) as executor:
            result = executor.submit(apply).result()
        assert isinstance(result.parent, GroupResult)

    @pytest.mark.parametrize('options,expected_id,uuid_calls', [
        ({'task_id': 'existing-id'}, 'existing-id', 0),
        ({'task_id': None}, 'generated-id', 1),
        ({}, 'generated-id', 1),
    ])
    def test_apply_async_header_id(self, options, expected_id, uuid_calls):
        workflow = chord([self.add.s(1, 2)], self.xsum.s(), app=self.app).set(**options)
        with patch('fastworker.canvas.uuid', return_value='generated-id') as uuid, \
                patch.object(workflow, 'run') as run:
            workflow.apply_async()

        header = run.call_args.args[0]
        assert header.options['task_id'] == expected_id
        assert uuid.call_count == uuid_calls

    def test_freeze_empty_group_body_returns_result(self):
        """An empty group body still exists and should be frozen.

        This is a defensive check for chains that may upgrade a group into a
        chord whose body is an empty group.
        """
        x = chord(
            group(self.add.s(2, 2), app=self.app),
            group(app=self.app),
            app=self.app,
        )

        result = x.freeze()

        assert isinstance(result, GroupResult)
        assert result.parent is not None

    @pytest.mark.usefixtures('depends_on_current_app')
    def test_app_fallback_to_current(self):
        from fastworker import current_app
        t1 = Mock(name='t1')
        t1.app = t1._app = None
        x = chord([t1], body=t1)
        assert x.app is current_app._get_current_object()

    def test_chord_size_simple(self):
        sig = chord(self.add.s())
        assert sig.__length_hint__() == 1

    def test_chord_size_with_body(self):
        sig = chord(self.add.s(), self.add.s())
        assert sig.__length_hint__() == 1

    def test_chord_size_explicit_group_single(self):
        sig = chord(group(self.add.s()))
        assert sig.__length_hint__() == 1

    def test_chord_size_explicit_group_many(self):
        sig = chord(group([self.add.s()] * 42))
        assert sig.__length_hint__() == 42

    def test_chord_size_implicit_group_single(self):
        sig = chord([self.add.s()])
        assert sig.__length_hint__() == 1

    def test_chord_size_implicit_group_many(self):
        sig = chord([self.add.s()] * 42)
        assert sig.__length_hint__() == 42

    def test_chord_size_chain_single(self):
        sig = chord(chain(self.add.s()))
        assert sig.__length_hint__() == 1

    def test_chord_size_chain_many(self):
        # Chains get flattened into the encapsulating chord so even though the
        # chain would only count for 1, the tasks we pulled into the chord's
        # header and are counted as a bunch of simple signature objects
        sig = chord(chain([self.add.s()] * 42))
        assert sig.__length_hint__() == 42

    def test_chord_size_nested_chain_chain_single(self):
        sig = chord(chain(chain(self.add.s())))
        assert sig.__length_hint__() == 1

    def test_chord_size_nested_chain_chain_many(self):
        # The outer chain will be pulled up into the chord but the lower one
        # remains and will only count as a single final element
        sig = chord(chain(chain([self.add.s()] * 42)))
        assert sig.__length_hint__() == 1

    def test_chord_size_implicit_chain_single(self):
        sig = chord([self.add.s()])
        assert sig.__length_hint__() == 1

    def test_chord_size_implicit_chain_many(self):
        # This isn't a chain object so the `tasks` attribute can't be lifted
        # into the chord - this isn't actually valid and would blow up we tried
        # to run it but it sanity checks our recursion
        sig = chord([[self.add.s()] * 42])
        assert sig.__length_hint__() == 1

    def test_chord_size_nested_implicit_chain_chain_single(self):
        sig = chord([chain(self.add.s())])
        assert sig.__length_hint__() == 1

    def test_chord_size_nested_implicit_chain_chain_many(self):
        sig = chord([chain([self.add.s()] * 42)])
        assert sig.__length_hint__() == 1

    def test_chord_size_nested_chord_body_simple(self):
        sig = chord(chord(tuple(), self.add.s()))
        assert sig.__length_hint__() == 1

    def test_chord_size_nested_chord_body_implicit_group_single(self):
        sig = chord(chord(tuple(), [self.add.s()]))
        assert sig.__length_hint__() == 1

    def test_chord_size_nested_chord_body_implicit_group_many(self):
        sig = chord(chord(tuple(), [self.add.s()] * 42))
        assert sig.__length_hint__() == 42

    # Nested groups in a chain only affect the chord size if they are the last
    # element in the chain - in that case each group element is counted
    def test_chord_size_nested_group_chain_group_head_single(self):
        x = chord(
            group(
                [group(self.add.s()) | self.add.s()] * 42
            ),
            body=self.add.s()
        )
        assert x.__length_hint__() == 42

    def test_chord_size_nested_group_chain_group_head_many(self):
        x = chord(
            group(
                [group([self.add.s()] * 4) | self.add.s()] * 2
            ),
            body=self.add.s()
        )
        assert x.__length_hint__() == 2

    def test_chord_size_nested_group_chain_group_mid_single(self):
        x = chord(
            group(
                [self.add.s() | group(self.add.s()) | self.add.s()] * 42
            ),
            body=self.add.s()
        )
        assert x.__length_hint__() == 42

    def test_chord_size_nested_group_chain_group_mid_many(self):
        x = chord(
            group(
                [self.add.s() | group([self.add.s()] * 4) | self.add.s()] * 2
            ),
            body=self.add.s()
        )
        assert x.__length_hint__() == 2

    def test_chord_size_nested_group_chain_group_tail_single(self):
        x = chord(
            group(
                [self.add.s() | group(self.add.s())] * 42
            ),
            body=self.add.s()
        )
        assert x.__length_hint__() == 42

    def test_chord_size_nested_group_chain_group_tail_many(self):
        x = chord(
            group(
                [self.add.s() | group([self.add.s()] * 4)] * 2
            ),
            body=self.add.s()
        )
        assert x.__length_hint__() == 4 * 2

    def test_chord_size_nested_implicit_group_chain_group_tail_single(self):
        x = chord(
            [self.add.s() | group(self.add.s())] * 42,
            body=self.add.s()
        )
        assert x.__length_hint__() == 42

    def test_chord_size_nested_implicit_group_chain_group_tail_many(self):
        x = chord(
            [self.add.s() | group([self.add.s()] * 4)] * 2,
            body=self.add.s()
        )
        assert x.__length_hint__() == 4 * 2

    def test_chord_size_deserialized_element_single(self):
        child_sig = self.add.s()
        deserialized_child_sig = json.loads(json.dumps(child_sig))
        # We have to break in to be sure that a child remains as a `dict` so we
        # can confirm that the length hint will instantiate a `Signature`
        # object and then descend as expected
        chord_sig = chord(tuple())
        chord_sig.tasks = [deserialized_child_sig]
        with patch(
            "celery.canvas.Signature.from_dict", return_value=child_sig
        ) as mock_from_dict:
            assert chord_sig.__length_hint__() == 1
        mock_from_dict.assert_called_once_with(deserialized_child_sig)

    def test_chord_size_deserialized_element_many(self):
        child_sig = self.add.s()
        deserialized_child_sig = json.loads(json.dumps(child_sig))
        # We have to break in to be sure that a child remains as a `dict` so we
        # can confirm that the length hint will instantiate a `Signature`
        # object and then descend as expected
        chord_sig = chord(tuple())
        chord_sig.tasks = [deserialized_child_sig] * 42
        with patch(
            "celery.canvas.Signature.from_dict", return_value=child_sig
        ) as mock_from_dict:
            assert chord_sig.__length_hint__() == 42
        mock_from_dict.assert_has_calls([call(deserialized_child_sig)] * 42)

    def test_set_immutable(self):
        x = chord([Mock(name='t1'), Mock(name='t2')], app=self.app)
        x.set_immutable(True)

    def test_links_to_body(self):
        x = chord([self.add.s(2, 2), self.add.s(4, 4)], body=self.mul.s(4))
        x.link(self.div.s(2))
        assert not x.options.get('link')
        assert x.kwargs['body'].options['link']

        x.link_error(self.div.s(2))
        assert not x.options.get('link_error')
        assert x.kwargs['body'].options['link_error']

        assert x.tasks
        assert x.body

    @pytest.mark.parametrize('allow_header_errbacks', [False, True])
    @pytest.mark.parametrize('key', ['link', 'link_error'])
    def test_link_option_goes_to_body_not_header(self, key, allow_header_errbacks):
        # Unlike chord.link_error(), the option is not added to the header
        # tasks even with task_allow_error_cb_on_chord_header enabled
        self.app.conf.task_allow_error_cb_on_chord_header = allow_header_errbacks
        callback = self.div.s(2)
        x = chord([self.add.s(2, 2), self.add.s(4, 4)], body=self.mul.s(4))
        with recorded(self.app) as header_apply:
            # The header group used to get the option too, and raise TypeError
            x.apply_async(**{key: callback})
        body = header_apply.call_args.kwargs['chord']
        assert body.options[key] == [callback]
        assert header_apply.call_count == 2
        for header_call in header_apply.call_args_list:
            assert key not in header_call.kwargs

    def _body_to_run(self, x, eager, **options):
        """Apply the chord ``x`` and return the body it was going to run."""
        if eager:
            self.app.conf.task_always_eager = True
            with patch.object(chord, 'apply') as apply:
                x.apply_async(**options)
            return apply.call_args.kwargs['body']
        with recorded(self.app) as send:
            x.apply_async(**options)
        return send.call_args.kwargs['chord']

    @pytest.mark.parametrize('eager', [False, True])
    @pytest.mark.parametrize('key', ['link', 'link_error'])
    def test_link_option_keeps_body_callbacks(self, key, eager):
        own_callback = self.div.s(2)
        callback = self.add.s(1)
        body = self.mul.s(4)
        body.extend_list_option(key, own_callback)
        x = chord([self.add.s(2, 2), self.add.s(4, 4)], body=body)
        body = self._body_to_run(x, eager, **{key: callback})
        assert body.options[key] == [own_callback, callback]
        # The signature of the user is not changed
        assert x.body.options[key] == [own_callback]

    @pytest.mark.parametrize('eager', [False, True])
    def test_link_option_none_keeps_body_callbacks(self, eager):
        body = self.mul.s(4)
        body.link(self.div.s(2))
        body.link_error(self.add.s(1))
        x = chord([self.add.s(2, 2), self.add.s(4, 4)], body=body)
        body = self._body_to_run(x, eager, link=None, link_error=None)
        assert body.options['link'] == [self.div.s(2)]
        assert body.options['link_error'] == [self.add.s(1)]

    @pytest.mark.parametrize('eager', [False, True])
    def test_link_option_replaces_link_set_on_chord(self, eager):
        # As for any signature, the link given to apply_async() wins
        x = chord([self.add.s(2, 2), self.add.s(4, 4)], body=self.mul.s(4))
        x.set(link=[self.div.s(2)])
        body = self._body_to_run(x, eager, link=self.add.s(1))
        assert body.options['link'] == [self.add.s(1)]

    @pytest.mark.parametrize('eager', [False, True])
    def test_link_set_on_chord_goes_to_body(self, eager):
        x = chord([self.add.s(2, 2), self.add.s(4, 4)], body=self.mul.s(4))
        x.set(link=[self.div.s(2)])
        body = self._body_to_run(x, eager)
        assert body.options['link'] == [self.div.s(2)]

    @pytest.mark.parametrize('eager', [False, True])
    def test_link_option_on_group_body_is_like_chord_link(self, eager):
        # chord.link() links a group body once, on its first task
        def make_chord():
            return chord([self.add.s(2, 2)],
                         body=group(self.xsum.s(), self.xsum.s(), app=self.app))

        expected = make_chord()
        expected.link(self.div.si(2))
        x = make_chord()
        body = self._body_to_run(x, eager, link=self.div.si(2))
        assert [task.options.get('link') for task in body.tasks] == [
            task.options.get('link') for task in expected.body.tasks]
        assert not body.options.get('link')
        assert not any(task.options.get('link') for task in x.body.tasks)

    @pytest.mark.parametrize('eager', [False, True])
    def test_link_error_option_on_group_body_is_like_chord_link_error(self, eager):
        # chord.link_error() links each task of a group body, which keeps its
        # own errbacks; the group itself gets none, as it would replace them
        def make_chord():
            failing = self.xsum.s()
            failing.link_error(self.mul.si(4))
            return chord([self.add.s(2, 2)],
                         body=group(failing, self.xsum.s(), app=self.app))

        expected = make_chord()
        expected.link_error(self.div.si(2))
        x = make_chord()
        body = self._body_to_run(x, eager, link_error=self.div.si(2))
        assert [task.options.get('link_error') for task in body.tasks] == [
            [self.mul.si(4), self.div.si(2)], [self.div.si(2)]]
        assert [task.options.get('link_error') for task in body.tasks] == [
            task.options.get('link_error') for task in expected.body.tasks]
        assert not body.options.get('link_error')
        assert [task.options.get('link_error') for task in x.body.tasks] == [
            [self.mul.si(4)], None]

    @pytest.mark.parametrize('eager', [False, True])
    def test_link_error_option_stays_on_chord_body(self, eager):
        # The chord's error handling reads it there when the header fails
        x = chord([self.add.s(2, 2)],
                  body=chord([self.xsum.s(), self.xsum.s()], body=self.xsum.s()))
        body = self._body_to_run(x, eager, link_error=self.div.si(2))
        assert body.options['link_error'] == [self.div.si(2)]
        assert not x.body.options.get('link_error')

    @pytest.mark.parametrize('eager', [False, True])
    @pytest.mark.parametrize('own_is_empty', [False, True])
    def test_link_error_option_on_group_body_with_own_link_error(self, own_is_empty, eager):
        # When the group runs, its tasks get their errbacks from its own
        # link_error, even an empty one, and a chord in it passes them on to
        # its body, so linking them there as well would call them twice
        own = [] if own_is_empty else self.mul.si(4)
        x = chord([self.add.s(2, 2)], body=group(
            self.xsum.s(),
            chord([self.xsum.s()], body=group(self.xsum.s(), self.xsum.s(), app=self.app)),
            app=self.app,
        ).set(link_error=own))
        body = self._body_to_run(x, eager, link_error=self.div.si(2))
        assert body.options['link_error'] == (
            [self.div.si(2)] if own_is_empty else [self.mul.si(4), self.div.si(2)])
        task, member = body.tasks
        assert not task.options.get('link_error')
        assert [t.options.get('link_error') for t in member.body.tasks] == [None, None]
        assert x.body.options['link_error'] == own

    def test_link_error_option_on_group_in_group_body_goes_to_its_tasks(self):
        # A group in the group is flattened before it runs, which drops its
        # own link_error
        x = chord([self.add.s(2, 2)], body=group(
            group(self.xsum.s(), self.xsum.s(), app=self.app).set(link_error=[self.mul.si(4)]),
            self.xsum.s(), app=self.app,
        ))
        body = self._body_to_run(x, False, link_error=self.div.si(2))
        assert [task.options.get('link_error') for task in body.tasks] == [
            [self.div.si(2)], [self.div.si(2)], [self.div.si(2)]]

    @pytest.mark.parametrize('allow_header_errbacks', [False, True])
    def test_link_error_option_on_chord_in_group_body_goes_to_its_body(
            self, allow_header_errbacks, recwarn):
        # As for a chord body, the header of the chord gets none
        self.app.conf.task_allow_error_cb_on_chord_header = allow_header_errbacks
        x = chord([self.add.s(2, 2)], body=group(
            chord([self.xsum.s(), self.xsum.s()], body=self.xsum.s()),
            chord([self.xsum.s()], body=chord([self.xsum.s(), self.xsum.s()],
                                              body=self.xsum.s())),
            self.xsum.s(), app=self.app,
        ))
        body = self._body_to_run(x, False, link_error=self.div.si(2))

        def header_errbacks(c):
            # Freezing the body made the header of each chord a group
            return [task.options.get('link_error') for task in c.tasks.tasks]

        inner, outer, task = body.tasks
        assert inner.body.options['link_error'] == [self.div.si(2)]
        assert header_errbacks(inner) == [None, None]
        assert not inner.options.get('link_error')
        assert outer.body.body.options['link_error'] == [self.div.si(2)]
        assert header_errbacks(outer) == [None]
        assert header_errbacks(outer.body) == [None, None]
        assert not outer.options.get('link_error')
        assert not outer.body.options.get('link_error')
        assert task.options['link_error'] == [self.div.si(2)]
        assert not x.body.tasks[0].body.options.get('link_error')
        assert not x.body.tasks[1].body.body.options.get('link_error')
        assert not [w for w in recwarn
                    if issubclass(w.category, CPendingDeprecationWarning)]

    def test_link_option_on_empty_group_body(self):
        x = chord([self.add.s(2, 2)], body=group([], app=self.app))
        body = self._body_to_run(x, False, link=self.div.si(2))
        assert body.options['link'] == [self.div.si(2)]

    def test_link_option_does_not_change_callback_group(self):
        callback = group(self.div.s(2), self.mul.s(4), app=self.app)
        x = chord([self.add.s(2, 2)],
                  body=group(self.xsum.s(), self.xsum.s(), app=self.app))
        self._body_to_run(x, False, link=callback)
        assert not any(task.immutable for task in callback.tasks)

    @pytest.mark.parametrize('eager', [False, True])
    @pytest.mark.parametrize('make_inner_body', [
        lambda self: self.xsum.s(),
        lambda self: group(self.xsum.s(), self.xsum.s(), app=self.app),
    ], ids=['task', 'group'])
    def test_link_option_on_chord_body_goes_to_its_body(self, make_inner_body, eager):
        # As with chord.link(), the callback goes to the body of the chord
        def make_chord():
            inner = chord([self.xsum.s(), self.xsum.s()], body=make_inner_body(self))
            return chord([self.add.s(2, 2)], body=inner)

        def links(inner_body):
            tasks = inner_body.tasks if isinstance(inner_body, group) else [inner_body]
            return [task.options.get('link') for task in tasks]

        expected = make_chord()
        expected.link(self.div.si(2))
        x = make_chord()
        body = self._body_to_run(x, eager, link=self.div.si(2))
        assert links(body.body) == links(expected.body.body)
        assert not any(links(x.body.body))

    @pytest.mark.parametrize('eager', [False, True])
    def test_link_option_is_not_kept_for_next_call(self, eager):
        x = chord([self.add.s(2, 2)],
                  body=group(self.xsum.s(), self.xsum.s(), app=self.app))
        self._body_to_run(x, eager, link=self.div.si(2))
        body = self._body_to_run(x, eager, link=self.mul.si(4))
        assert body.tasks[0].options['link'] == [self.mul.si(4)]

    def test_chain_link_to_chord_step_keeps_body_callbacks(self):
        own_callback = self.div.s(2)
        chain_callback = self.add.s(1)
        body = self.xsum.s()
        body.link(own_callback)
        c = chain(self.add.s(1, 1),
                  chord([self.add.s(10), self.add.s(20)], body))
        with recorded(self.app) as first_apply:
            c.apply_async(link=chain_callback)
        # The worker deserializes the next step of the chain and applies it
        next_step = first_apply.call_args.kwargs['chain'][-1]
        next_step = Signature.from_dict(json.loads(json.dumps(next_step)),
                                        app=self.app)
        assert isinstance(next_step, chord)
        with recorded(self.app) as header_apply:
            next_step.apply_async((2,))
        body = header_apply.call_args.kwargs['chord']
        assert [cb['task'] for cb in body.options['link']] == [
            own_callback.task, chain_callback.task]
        assert header_apply.call_count == 2
        for header_call in header_apply.call_args_list:
            assert 'link' not in header_call.kwargs

    def test_repr(self):
        x = chord([self.add.s(2, 2), self.add.s(4, 4)], body=self.mul.s(4))
        assert repr(x)
        x.kwargs['body'] = None
        assert 'without body' in repr(x)

    @pytest.mark.parametrize("group_type", [group,  group_subclass])
    def test_freeze_tasks_body_is_group(self, subtests, group_type):
        # Confirm that `group index` values counting up from 0 are set for
        # elements of a chord's body when the chord is encapsulated in a group
        body_elem = self.add.s()
        chord_body = group_type([body_elem] * 42)
        chord_obj = chord(self.add.s(), body=chord_body)
        top_group = group_type([chord_obj])

        # We expect the body to be the signature we passed in before we freeze
        with subtests.test(msg="Validate body type and tasks are retained"):
            assert isinstance(chord_obj.body, group_type)
            assert all(
                embedded_body_elem is body_elem
                for embedded_body_elem in chord_obj.body.tasks
            )
        # We also expect the body to have no initial options - since all of the
        # embedded body elements are confirmed to be `body_elem` this is valid
        assert body_elem.options == {}
        # Freezing the group clones every task it holds and freezes the clone;
        # the frozen chord (now living in ``top_group.tasks``) is where the
        # body is cloned and per-element ``group_index`` options are set.
        top_group.freeze()
        frozen_chord = list(top_group.tasks)[0]
        with subtests.test(
            msg="Validate body group indices count from 0 after freezing"
        ):
            assert isinstance(frozen_chord.body, group_type)

            assert all(
                embedded_body_elem is not body_elem
                for embedded_body_elem in frozen_chord.body.tasks
            )
            assert all(
                embedded_body_elem.options["group_index"] == i
                for i, embedded_body_elem in enumerate(frozen_chord.body.tasks)
            )
        # Freezing a group must not mutate a signature the caller still holds
        # a reference to: the original chord and its body are left untouched.
        with subtests.test(msg="Original chord signature is not mutated by freeze"):
            assert all(
                embedded_body_elem is body_elem
                for embedded_body_elem in chord_obj.body.tasks
            )
            assert body_elem.options == {}

    def test_freeze_tasks_is_not_group(self):
        x = chord([self.add.s(2, 2)], body=self.add.s(), app=self.app)
        x.freeze()
        x.tasks = [self.add.s(2, 2)]
        x.freeze()

    def test_chain_always_eager(self):
        self.app.conf.task_always_eager = True
        from fastworker import result
        from fastworker.app import state as _state

        fixture_task_join_will_block = _state.task_join_will_block
        try:
            _state.task_join_will_block = _state.orig_task_join_will_block
            result.task_join_will_block = _state.orig_task_join_will_block

            @self.app.task(shared=False)
            def finalize(*args):
                pass

            @self.app.task(shared=False)
            def chord_add():
                return chord([self.add.s(4, 4)], finalize.s()).apply_async()

            chord_add.apply_async(throw=True).get()
        finally:
            _state.task_join_will_block = fixture_task_join_will_block
            result.task_join_will_block = fixture_task_join_will_block

    @pytest.mark.parametrize("chord_type", [chord, chord_subclass])
    def test_from_dict(self, chord_type):
        header = self.add.s(1, 2)
        original_chord = chord_type(header=header)
        rebuilt_chord = chord_type.from_dict(dict(original_chord))
        assert isinstance(rebuilt_chord, chord_type)

    @pytest.mark.parametrize("chord_type", [chord, chord_subclass])
    def test_from_dict_with_body(self, chord_type):
        header = body = self.add.s(1, 2)
        original_chord = chord_type(header=header, body=body)
        rebuilt_chord = chord_type.from_dict(dict(original_chord))
        assert isinstance(rebuilt_chord, chord_type)

    def test_from_dict_deep_deserialize(self, subtests):
        header = body = self.add.s(1, 2)
        original_chord = chord(header=header, body=body)
        serialized_chord = json.loads(json.dumps(original_chord))
        deserialized_chord = chord.from_dict(serialized_chord)
        with subtests.test(msg="Verify chord is deserialized"):
            assert isinstance(deserialized_chord, chord)
        with subtests.test(msg="Validate chord header tasks is deserialized"):
            assert all(
                isinstance(child_task, Signature)
                for child_task in deserialized_chord.tasks
            )
        with subtests.test(msg="Verify chord body is deserialized"):
            assert isinstance(deserialized_chord.body, Signature)

    @pytest.mark.parametrize("group_type", [group, group_subclass])
    def test_from_dict_deep_deserialize_group(self, subtests, group_type):
        header = body = group_type([self.add.s(1, 2)] * 42)
        original_chord = chord(header=header, body=body)
        serialized_chord = json.loads(json.dumps(original_chord))
        deserialized_chord = chord.from_dict(serialized_chord)
        with subtests.test(msg="Verify chord is deserialized"):
            assert isinstance(deserialized_chord, chord)
        # A header which is a group gets unpacked into the chord's `tasks`
        with subtests.test(
            msg="Validate chord header tasks are deserialized and unpacked"
        ):
            assert all(
                isinstance(child_task, Signature)
                and not isinstance(child_task, group_type)
                for child_task in deserialized_chord.tasks
            )
        # A body which is a group remains as it we passed in
        with subtests.test(
            msg="Validate chord body is deserialized and not unpacked"
        ):
            assert isinstance(deserialized_chord.body, group_type)
            assert all(
                isinstance(body_child_task, Signature)
                for body_child_task in deserialized_chord.body.tasks
            )

    @pytest.mark.parametrize("group_type", [group, group_subclass])
    def test_from_dict_deeper_deserialize_group(self, subtests, group_type):
        inner_group = group_type([self.add.s(1, 2)] * 42)
        header = body = group_type([inner_group] * 42)
        original_chord = chord(header=header, body=body)
        serialized_chord = json.loads(json.dumps(original_chord))
        deserialized_chord = chord.from_dict(serialized_chord)
        with subtests.test(msg="Verify chord is deserialized"):
            assert isinstance(deserialized_chord, chord)
        # A header which is a group gets unpacked into the chord's `tasks`
        with subtests.test(
            msg="Validate chord header tasks are deserialized and unpacked"
        ):
            assert all(
                isinstance(child_task, group_type)
                for child_task in deserialized_chord.tasks
            )
            assert all(
                isinstance(grandchild_task, Signature)
                for child_task in deserialized_chord.tasks
                for grandchild_task in child_task.tasks
            )
        # A body which is a group remains as it we passed in
        with subtests.test(
            msg="Validate chord body is deserialized and not unpacked"
        ):
            assert isinstance(deserialized_chord.body, group)
            assert all(
                isinstance(body_child_task, group)
                for body_child_task in deserialized_chord.body.tasks
            )
            assert all(
                isinstance(body_grandchild_task, Signature)
                for body_child_task in deserialized_chord.body.tasks
                for body_grandchild_task in body_child_task.tasks
            )

    def test_from_dict_deep_deserialize_chain(self, subtests):
        header = body = chain([self.add.s(1, 2)] * 42)
        original_chord = chord(header=header, body=body)
        serialized_chord = json.loads(json.dumps(original_chord))
        deserialized_chord = chord.from_dict(serialized_chord)
        with subtests.test(msg="Verify chord is deserialized"):
            assert isinstance(deserialized_chord, chord)
        # A header which is a chain gets unpacked into the chord's `tasks`
        with subtests.test(
            msg="Validate chord header tasks are deserialized and unpacked"
        ):
            assert all(
                isinstance(child_task, Signature)
                and not isinstance(child_task, chain)
                for child_task in deserialized_chord.tasks
            )
        # A body which is a chain gets mutatated into the hidden `_chain` class
        with subtests.test(
            msg="Validate chord body is deserialized and not unpacked"
        ):
            assert isinstance(deserialized_chord.body, _chain)

    def test_chord_clone_kwargs(self, subtests):
        """ Test that chord clone ensures the kwargs are the same """

        with subtests.test(msg='Verify chord cloning clones kwargs correctly'):
            c = chord([signature('g'), signature('h')], signature('i'), kwargs={'U': 6})
            c2 = c.clone()
            assert c2.kwargs == c.kwargs

        with subtests.test(msg='Cloning the chord with overridden kwargs'):
            override_kw = {'X': 2}
            c3 = c.clone(args=(1,), kwargs=override_kw)

        with subtests.test(msg='Verify the overridden kwargs were cloned correctly'):
            new_kw = c.kwargs.copy()
            new_kw.update(override_kw)
            assert c3.kwargs == new_kw

    def test_flag_allow_error_cb_on_chord_header(self, subtests):
        header_mock = [Mock(name='t1'), Mock(name='t2')]
        header = group(header_mock)
        body = Mock(name='tbody')
        errback_sig = Mock(name='errback_sig')
        chord_sig = chord(header, body, app=self.app)

        with subtests.test(msg='Verify the errback is not linked'):
            # header
            for child_sig in header_mock:
                child_sig.link_error.assert_not_called()
            # body
            body.link_error.assert_not_called()

        with subtests.test(msg='Verify flag turned off links only the body'):
            self.app.conf.task_allow_error_cb_on_chord_header = False
            chord_sig.link_error(errback_sig)
            # header
            for child_sig in header_mock:
                child_sig.link_error.assert_not_called()
            # body
            body.link_error.assert_called_once_with(errback_sig)

        with subtests.test(msg='Verify flag turned on links the header'):
            self.app.conf.task_allow_error_cb_on_chord_header = True
            chord_sig.link_error(errback_sig)
            # header
            for child_sig in header_mock:
                child_sig.link_error.assert_called_once_with(errback_sig.clone(immutable=True))
            # body
            body.link_error.assert_has_calls([call(errback_sig), call(errback_sig)])

    @pytest.mark.usefixtures('depends_on_current_app')
    def test_flag_allow_error_cb_on_chord_header_various_header_types(self):
        """ Test chord link_error with various header types. """
        self.app.conf.task_allow_error_cb_on_chord_header = True
        headers = [
            signature('t'),
            [signature('t'), signature('t')],
            group(signature('t'), signature('t'))
        ]
        for chord_header in headers:
            c = chord(chord_header, signature('t'), app=self.app)
            sig = signature('t')
            errback = c.link_error(sig)
            assert errback == sig

    @pytest.mark.usefixtures('depends_on_current_app')
    def test_flag_allow_error_cb_on_chord_header_with_dict_callback(self):
        self.app.conf.task_allow_error_cb_on_chord_header = True
        c = chord(group(signature('th1'), signature('th2')), signature('tbody'), app=self.app)
        errback_dict = dict(signature('tcb'))
        errback = c.link_error(errback_dict)
        assert errback == errback_dict

    def test_chord__or__group_of_single_task(self):
        """ Test chaining a chord to a group of a single task. """
        c = chord([signature('header')], signature('body'))
        g = group(signature('t'))
        stil_chord = c | g  # g should be chained with the body of c
        assert isinstance(stil_chord, chord)
        assert isinstance(stil_chord.body, _chain)

    def test_chord_upgrade_on_chaining(self):
        """ Test that chaining a chord with a group body upgrades to a new chord """
        c = chord([signature('header')], group(signature('body')))
        t = signature('t')
        stil_chord = c | t  # t should be chained with the body of c and create a new chord
        assert isinstance(stil_chord, chord)
        assert isinstance(stil_chord.body, chord)

    @pytest.mark.parametrize('header', [
        [signature('s1'), signature('s2')],
        group(signature('s1'), signature('s2'))
    ])
    @pytest.mark.usefixtures('depends_on_current_app')
    def test_link_error_on_chord_header(self, header):
        """ Test that link_error on a chord also links the header """
        self.app.conf.task_allow_error_cb_on_chord_header = True
        c = chord(header, signature('body'), app=self.app)
        err = signature('err')
        errback = c.link_error(err)
        assert errback == err
        for header_task in c.tasks:
            assert header_task.options['link_error'] == [err.clone(immutable=True)]
        assert c.body.options["link_error"] == [err]

    def test_chord_run_ensures_body_has_valid_task_id(self):
        """Test that chord.run() ensures body always gets a valid task ID.

        This is the unit test for the fix to issue #9773. The chord body should always
        be frozen with a valid task ID to prevent "task_id must not be empty" errors.
        """
        # Create a chord with header group and body chain
        header = group([self.add.s(1, 1), self.add.s(2, 2)])
        body = chain(self.add.s(10, 10), self.add.s(20, 20))
        test_chord = chord(header, body)

        # Set up specific IDs for testing
        chord_task_id = "test-chord-id"
        group_task_id = "test-group-id"
        header.options["task_id"] = group_task_id

        # Use patch to spy on body.freeze method
        with patch.object(body, "freeze", wraps=body.freeze) as mock_freeze:
            test_chord.run(header, body, (), task_id=chord_task_id)

            # Assert that body.freeze was called with the provided task_id and group_id
            mock_freeze.assert_called_once_with(
                chord_task_id, group_id=group_task_id, root_id=None
            )

    def test_chord_run_generates_task_id_when_none_provided(self):
        """Test that chord.run() generates a task_id when none is provided."""
        # Create a chord with header group and body chain (no task_id set)
        header = group([self.add.s(1, 1), self.add.s(2, 2)])
        body = chain(self.add.s(10, 10), self.add.s(20, 20))
        test_chord = chord(header, body)

        # Set group ID
        group_id = "test-group-id"
        header.options["task_id"] = group_id

        # Use patch to spy on body.freeze method
        with patch.object(body, "freeze", wraps=body.freeze) as mock_freeze:
            test_chord.run(header, body, (), task_id=None)

            # Assert that body.freeze was called with a generated UUID and group_id
            mock_freeze.assert_called_once()
            args, kwargs = mock_freeze.call_args
            body_task_id = args[0] if args else kwargs.get("_id")
            passed_group_id = kwargs.get("group_id")

            # Body should get a unique task ID (not None, not group_id)
            assert body_task_id is not None
            assert body_task_id != group_id  # Should be different from group_id
            assert passed_group_id == group_id  # But should know its group

    def test_chord_run_does_not_pass_parent_id_to_body(self):
        header = group([self.add.s(1, 1), self.add.s(2, 2)])
        body = self.add.s(10)

        chord(header, body).run(header, body, (), parent_id="caller-id", root_id="root-id")

        assert "parent_id" not in body.options
        assert body.options["root_id"] == "root-id"

    def test_chord_run_body_freeze_prevents_task_id_empty_error(self):
        """Test that proper body.freeze() call prevents 'task_id must not be empty' error.

        This test ensures that when chord body is frozen with a valid task ID,
        subsequent error handling won't encounter the "task_id must not be empty" error.
        """
        # Create chord components
        header = group([self.add.s(1, 1), self.add.s(2, 2)])
        body = chain(self.add.s(10, 10), self.add.s(20, 20))
        test_chord = chord(header, body)

        # Set a group task ID
        group_id = "test-group-12345"
        header.options["task_id"] = group_id

        # Run the chord with external task ID
        external_task_id = "external-task-id"
        result = test_chord.run(header, body, (), task_id=external_task_id)

        # Verify the frozen result has the external task ID, not group_id
        assert result.id == external_task_id
        assert body.id is not None
        assert result.parent is not None

        # Body should know its group but have its own ID
        assert body.options.get('group_id') == group_id or body.id != group_id

    def test_chord_run_body_freeze_with_no_external_task_id(self):
        """Test chord body gets unique ID when no external task_id provided."""
        header = group([self.add.s(1, 1), self.add.s(2, 2)])
        body = chain(self.add.s(10, 10), self.add.s(20, 20))
        test_chord = chord(header, body)

        group_id = "test-group-12345"
        header.options["task_id"] = group_id

        # Run chord without external task ID
        result = test_chord.run(header, body, (), task_id=None)

        # Body should get unique ID, different from group_id
        assert result.id is not None
        assert result.id != group_id
        assert body.id is not None
        assert body.id != group_id

    @pytest.mark.parametrize('task_protocol,use_link', [(1, None), (2, True)])
    def test_link_based_body_keeps_final_result_on_inner_chord(self, task_protocol, use_link):
        self.app.conf.task_protocol = task_protocol
        inner_body = chain(self.add.s(10), self.add.s(100))
        body = _chain(
            self.add.si(0, 0),
            chord([self.add.s(1), self.add.s(2)], inner_body, app=self.app),
            app=self.app, use_link=use_link,
        )
        workflow = chord([self.add.si(1, 1)], body, app=self.app)

        with recorded(self.app) as send:
            result = workflow.apply_async()

        payload = send.call_args.args[2].body
        published_body = (payload if task_protocol == 1 else payload[2])['chord']
        # Link-based chains have no remaining chain field for a failed inner
        # header to traverse, so its body must still identify the final result.
        assert published_body.tasks[1].body.id == result.id

    @pytest.mark.parametrize('serialized', [False, True])
    @pytest.mark.parametrize('nested_chain', [False, True])
    def test_chain_of_implicit_chords_body_message_size_linear(self, serialized, nested_chain):
        sizes = []
        for n_groups in range(2, 6):
            steps = [self.add.s(0, 0)]
            for i in range(n_groups):
                steps.append(group(self.add.si(i, j) for j in range(2)))
                steps.append(self.add.si(i, i))
            body = chain(*steps)
            if nested_chain:
                body = _chain(body, self.add.si(1, 1), app=self.app)
            written_body = json.dumps(body)
            workflow = chord([self.add.si(1, 1), self.add.si(2, 2)], body, app=self.app)
            if serialized:
                workflow = signature(json.loads(json.dumps(workflow)), app=self.app)
            with recorded(self.app) as send:
                workflow.apply_async()

            assert send.call_count == 2
            assert json.dumps(body) == written_body
            sizes.append(len(json.dumps(send.call_args_list[0].args[2].body)))

        assert sizes[-1] < 3 * sizes[0], (
            f"Chord header messages grow geometrically with body groups: {sizes}"
        )

    def test_nested_chord_body_keeps_options_and_links(self):
        callback = self.mul.s(3)
        errback = self.div.s(2)
        inner_body = chain(self.add.s(10), self.add.s(100)).set(queue='q2', priority=7)
        inner_body.link(callback)
        inner_body.link_error(errback)
        body = _chain(
            self.add.si(0, 0),
            chord([self.add.s(1), self.add.s(2)], inner_body, app=self.app),
            app=self.app,
        )
        workflow = chord([self.add.si(1, 1)], body, app=self.app)
        written = json.dumps(body)

        with recorded(self.app) as send:
            workflow.apply_async()

        published_body = send.call_args.args[2].body[2]['chord']
        first, last = published_body.tasks[1].body, published_body.tasks[2]
        assert (first.options['queue'], first.options['priority']) == ('q2', 7)
        assert 'queue' not in last.options
        assert first.options['link_error'] == last.options['link_error'] == [errback]
        assert last.options['link'] == [callback]
        assert json.dumps(body) == written


class Test_maybe_signature(CanvasCase):

    def test_is_None(self):
        assert maybe_signature(None, app=self.app) is None

    def test_is_dict(self):
        assert isinstance(maybe_signature(dict(self.add.s()), app=self.app),
                          Signature)

    def test_when_sig(self):
        s = self.add.s()
        assert maybe_signature(s, app=self.app) is s


class Test_merge_dictionaries(CanvasCase):

    def test_docstring_example(self):
        d1 = {'dict': {'a': 1}, 'list': [1, 2], 'tuple': (1, 2)}
        d2 = {'dict': {'b': 2}, 'list': [3, 4], 'set': {'a', 'b'}}
        _merge_dictionaries(d1, d2)
        assert d1 == {
            'dict': {'a': 1, 'b': 2},
            'list': [1, 2, 3, 4],
            'tuple': (1, 2),
            'set': {'a', 'b'}
        }

    @pytest.mark.parametrize('d1,d2,expected_result', [
        (
            {'None': None},
            {'None': None},
            {'None': [None]}
        ),
        (
            {'None': None},
            {'None': [None]},
            {'None': [[None]]}
        ),
        (
            {'None': None},
            {'None': 'Not None'},
            {'None': ['Not None']}
        ),
        (
            {'None': None},
            {'None': ['Not None']},
            {'None': [['Not None']]}
        ),
        (
            {'None': [None]},
            {'None': None},
            {'None': [None, None]}
        ),
        (
            {'None': [None]},
            {'None': [None]},
            {'None': [None, None]}
        ),
        (
            {'None': [None]},
            {'None': 'Not None'},
            {'None': [None, 'Not None']}
        ),
        (
            {'None': [None]},
            {'None': ['Not None']},
            {'None': [None, 'Not None']}
        ),
    ])
    def test_none_values(self, d1, d2, expected_result):
        _merge_dictionaries(d1, d2)
        assert d1 == expected_result

    @pytest.mark.parametrize('aggregate_duplicates,expected_result', [
        (
            True,
            {'nested': {'shared': [1, 2], 'only_d1': 1, 'only_d2': 2}}
        ),
        (
            False,
            {'nested': {'shared': 1, 'only_d1': 1, 'only_d2': 2}}
        ),
    ])
    def test_nested_dictionaries_honor_aggregate_duplicates(self, aggregate_duplicates, expected_result):
        """aggregate_duplicates must be propagated into nested dictionaries."""
        d1 = {'nested': {'shared': 1, 'only_d1': 1}}
        d2 = {'nested': {'shared': 2, 'only_d2': 2}}
        _merge_dictionaries(d1, d2, aggregate_duplicates=aggregate_duplicates)
        assert d1 == expected_result

    @pytest.mark.parametrize('aggregate_duplicates,expected_value', [
        (True, [1, 2]),
        (False, 1),
    ])
    def test_deeply_nested_dictionaries_honor_aggregate_duplicates(self, aggregate_duplicates, expected_value):
        """aggregate_duplicates must survive more than one level of recursion."""
        d1 = {'level1': {'level2': {'level3': {'shared': 1}}}}
        d2 = {'level1': {'level2': {'level3': {'shared': 2}}}}
        _merge_dictionaries(d1, d2, aggregate_duplicates=aggregate_duplicates)
        assert d1 == {'level1': {'level2': {'level3': {'shared': expected_value}}}}
