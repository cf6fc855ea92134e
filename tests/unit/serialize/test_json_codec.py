"""The JSON codec writes and reads what kombu does; kombu itself is the oracle."""

from __future__ import annotations

import collections
import decimal
import enum
import fractions
import json
import math
import sys
import threading
import types
import uuid
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta, timezone
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kombu.utils import json as kombu_json

from fastworker._core import dumps, loads, register_type

oracle: Any = kombu_json  # It has no annotations.

BODY = [[2, 3], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Name(str, enum.Enum):
    ADA = "ada"


class LoudInt(int):
    def __repr__(self) -> str:
        return "loud"


class LoudFloat(float):
    def __repr__(self) -> str:
        return "loud"


class LoudStr(str):
    def __str__(self) -> str:
        return "loud"


class Point(NamedTuple):
    x: int
    y: int


class Signature(dict[str, Any]):
    """As Celery's: a dict with an ``items`` of its own."""

    def items(self) -> Any:
        return [("task", "t"), *super().items()]


class BadItems(dict[str, Any]):
    def items(self) -> Any:
        return [("only one",)]


class WithJson:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __json__(self) -> Any:
        return self.value


class Angry:
    def __json__(self) -> Any:
        raise LookupError("no form today")


class Moment(datetime):
    def isoformat(self, *_args: Any, **_kwargs: Any) -> str:
        return "not this one"


class Day(date):
    def isoformat(self) -> str:
        return "2026-01-01"


def outcome(function: Callable[[Any], Any], value: Any) -> tuple[str, Any]:
    """What a call gave: its value, or the class of its error."""
    try:
        result = function(value)
    except Exception as error:
        return "error", type(error)
    if function is oracle.dumps:
        result = result.encode()
    return "value", result


VALUES = [
    None, True, False, 0, -1, 2**63 - 1, -(2**63), 2**63, 2**70, -(2**200), 0.0, -0.0, 1.0, 0.1,
    1e16, 1e-5, 1e22, 123456789012345680.0, 5e-324, 1.7976931348623157e308, math.nan, math.inf,
    -math.inf, "", "a", "é", "\x7f\x80\xff", "\u2028\ufeff", "😀", "\udc80", "\ud83d",
    "\ud83d\ude00", "\ude00\ud83d", 'q"b\\s/\b\f\n\r\t\x00\x1f', "x" * 1000, "x" * 7 + "\n",
    "x" * 8 + "é", [], (), {}, [[]], [1, [2, (3, [])]], {"a": {"b": {}}},
    {0: 1, 2.5: 3, True: 4, None: 5},
    {
        math.nan: 1,
        math.inf: 2,
        2**70: 3,
        Level.HIGH: 4,
        False: 5,
        LoudInt(7): 6,
        LoudFloat(1.5): 7,
        LoudStr("k"): 8,
    }, {(1, 2): 3}, {b"a": 1}, {Colour.RED: 1}, Colour.RED, Level.HIGH, Name.ADA, LoudInt(5),
    LoudInt(2**70), LoudFloat(2.5), LoudFloat(math.nan), LoudStr("x"), Point(1, 2),
    collections.OrderedDict(b=1, a=2), collections.defaultdict(list, a=[1]),
    collections.Counter("ab"), Signature(args=[1]), Signature(), BadItems(a=1), BadItems(),
    types.MappingProxyType({}), collections.UserDict(a=1), collections.deque([1]), range(3),
    {1, 2}, frozenset(), object(), object, WithJson, len, iter([]), 1j, fractions.Fraction(1, 2),
    timedelta(1), timezone.utc, bytearray(b"x"), memoryview(b"x"), WithJson({"a": (1,)}),
    WithJson(WithJson(b"x")), WithJson({1}), Angry(), datetime(2024, 1, 2, 3, 4, 5, 678),
    datetime(2024, 1, 2, tzinfo=timezone.utc),
    datetime(2024, 1, 2, tzinfo=timezone(timedelta(hours=-5, minutes=-30))), datetime.min,
    datetime.max, Moment(2024, 1, 2), date(2024, 1, 2), Day(2024, 1, 2), time(3, 4, 5),
    time(3, 4, 5, 6, tzinfo=timezone.utc), decimal.Decimal("1.10"), decimal.Decimal("NaN"),
    decimal.Decimal("-Infinity"), decimal.Decimal("1E+500"), uuid.UUID(int=5), b"abc", b"",
    "é".encode(), b"\xff\x00", b"\xed\xa0\x80", {"__type__": "x", "__value__": 1}, BODY,
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(
    "wrap", [lambda value: value, lambda value: [{"k": value}, value]], ids=["bare", "nested"]
)
def test_a_value_is_written_as_kombu_writes_it(value: Any, wrap: Callable[[Any], Any]) -> None:
    assert outcome(dumps, wrap(value)) == outcome(oracle.dumps, wrap(value))


TEXTS = [
    "", " ", "null", "nul", "nulll", "true", "false", "NaN", "-NaN", "Infinity", "-Infinity", "+1",
    "-", "0", "-0", "00", "-0.0", "1e400", "-1e400", "1e-400", "0.1", "1E5", "1e", "1.", ".5",
    "12345678901234567890", "9223372036854775807", "-9223372036854775808", "9223372036854775808",
    "1" * 4300, "1" * 4301, "123456789.123456789e-7", "[1,]", "[,]", "[1 2]", '{"a":1,}', "{a:1}",
    '{"a":1 "b":2}', '{"a":1,"b":2,"a":3}', '"\\ud83d\\ude00"', '"\\ud83d"', '"\\ud83dx"',
    '"\\udc80\\u00e9"', '"\\x"', '"\\u12"', '"a\tb"', '"a', '{"a', "[", "]", "1 2", "[1]]",
    "\ufeff1", "\u00a01", "é", "'a'", '"\ud800"', '["\ud83d\ude00", "\\ud83d\ude00"]',
    '{"\ud800": 1}', '"\\/\\b\\f\\n\\r\\t"', '{"": {"": [{}]}}',
    '{"__type__": "nope", "__value__": 1}', '{"__type__": "nope", "__value__": 1, "x": 2}',
    '{"__type__": "uuid"}', '{"__type__": null, "__value__": 1}',
    '{"__type__": [], "__value__": 1}', '{"__type__": "bytes", "__value__": 1}',
    '{"__type__": "bytes", "__value__": "\\u00e9"}',
    '{"__type__": "bytes", "__value__": "\\udc80"}', '{"__type__": "base64", "__value__": "/wA="}',
    '{"__type__": "base64", "__value__": "/wA"}', '{"__type__": "base64", "__value__": "é"}',
    '{"\\u005f_type__": "date", "__value__": "2024-01-02"}',
    '{"__value__": "1.10", "__type__": "decimal"}', '{"__type__": "decimal", "__value__": "x"}',
    '{"__type__": "uuid", "__value__": {"hex": "00000000000000000000000000000005"}}',
    '{"__type__": "uuid", "__value__": {"int": 5}}', '{"__type__": "uuid", "__value__": {}}',
    '{"__type__": "uuid", "__value__": "x"}', '{"__type__": "uuid", "__value__": [["int", 5]]}',
    '{"__type__": "uuid", "__value__": null}',
    '{"__type__": "datetime", "__value__": "2024-01-02T03:04:05+00:00"}',
    '{"__type__": "datetime", "__value__": "x"}', '{"__type__": "datetime", "__value__": 5}',
    '{"__type__": "time", "__value__": "03:04:05"}',
    '{"__type__": "date", "__value__": "x", "__type__": "bytes"}',
    '[{"__type__": "bytes", "__value__": {"__type__": "bytes", "__value__": "x"}}]',
]  # fmt: skip


def same(left: Any, right: Any) -> bool:
    """Equal, of the same types, and NaN equal to itself."""
    return repr(left) == repr(right)


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text)[:40])
def test_a_text_is_read_as_kombu_reads_it(text: str) -> None:
    data: list[Any] = [text]
    if text.isprintable():
        data += [text.encode(), bytearray(text.encode()), memoryview(text.encode())]
    for given_data in data:
        (kind, ours), (oracle_kind, theirs) = (
            outcome(loads, given_data),
            outcome(oracle.loads, given_data),
        )
        assert kind == oracle_kind
        if kind == "value":
            assert same(ours, theirs)
        else:
            assert issubclass(ours, theirs)


@pytest.mark.parametrize("data", [b"\xff", b'"\xed\xa0\x80"', b'"\xc3"'])
def test_bytes_that_are_not_utf8_are_refused(data: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        loads(data)


@pytest.mark.parametrize("data", [None, 1, ["x"]])
def test_only_text_and_bytes_are_read(data: Any) -> None:
    with pytest.raises(TypeError, match="must be str, bytes or bytearray, not"):
        loads(data)


texts = st.text(st.characters(categories=None))
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | texts
    | st.binary()
    | st.datetimes()
    | st.datetimes(timezones=st.just(timezone.utc))
    | st.dates()
    | st.times()
    | st.decimals()
    | st.uuids()
)
keys = texts | st.integers() | st.floats() | st.booleans() | st.none()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(keys, inner),
    max_leaves=20,
)


@given(values)
def test_any_value_crosses_as_with_kombu(value: Any) -> None:
    written = dumps(value)
    assert written == oracle.dumps(value).encode()
    assert outcome(loads, written)[0] == outcome(oracle.loads, written)[0]
    if outcome(loads, written)[0] == "value":
        assert same(loads(written), oracle.loads(written))
        assert same(loads(written.decode()), oracle.loads(written))


@given(values, st.integers(0), st.sampled_from(b'"\\{}[],: 0aenuN-.\n'))
@example([1, 2], 2, 0x20)
def test_damaged_text_is_refused_where_json_refuses_it(value: Any, at: int, byte: int) -> None:
    damaged = bytearray(dumps(value))
    damaged[at % len(damaged)] = byte
    (kind, ours), (oracle_kind, theirs) = (
        outcome(loads, bytes(damaged)),
        outcome(oracle.loads, bytes(damaged)),
    )
    assert kind == oracle_kind
    if kind == "value":
        assert same(ours, theirs)


@given(st.text("0123456789.eE+-", min_size=1))
def test_any_number_is_read_as_json_reads_it(digits: str) -> None:
    (kind, ours), (oracle_kind, theirs) = outcome(loads, digits), outcome(json.loads, digits)
    assert (kind, repr(ours) if kind == "value" else None) == (
        oracle_kind,
        repr(theirs) if kind == "value" else None,
    )


def test_a_value_without_a_form_is_named_with_its_path() -> None:
    with pytest.raises(TypeError) as caught:
        dumps([[1, {"when": {1}}], {}])
    assert str(caught.value) == "Object of type set is not JSON serializable: [0][1]['when']"
    with pytest.raises(
        TypeError, match=r"keys must be str, int, float, bool or None, not tuple: \['a'\]"
    ):
        dumps({"a": {(1, 2): 3}})
    with pytest.raises(TypeError, match=r"^Object of type Colour is not JSON serializable$"):
        dumps(Colour.RED)


def test_a_syntax_error_says_where() -> None:
    with pytest.raises(json.JSONDecodeError) as caught:
        loads('{"é": 1\n "b": 2}'.encode())
    assert (caught.value.lineno, caught.value.colno, caught.value.pos) == (2, 2, 9)
    assert "Expected ',' or '}'" in str(caught.value)


def test_an_error_of_json_method_passes_as_it_is() -> None:
    with pytest.raises(LookupError, match="no form today"):
        dumps([Angry()])


@pytest.mark.parametrize("length", [1, 2, 40, 200])
def test_a_circular_reference_is_refused(length: int) -> None:
    ring: list[Any] = []
    value = ring
    for index in range(length - 1):
        value = [value] if index % 2 else {"k": value}  # type: ignore[assignment]
    ring.append(value)
    with pytest.raises(ValueError, match="Circular reference detected"):
        dumps(ring)


def test_an_object_whose_json_is_itself_is_refused() -> None:
    loop = WithJson(None)
    loop.value = loop
    with pytest.raises(ValueError, match="Circular reference detected"):
        dumps(loop)


def test_the_same_value_twice_is_no_circle() -> None:
    shared = [1]
    deep: Any = [shared, shared]
    for _ in range(100):
        deep = [deep, shared]
    assert dumps(deep) == oracle.dumps(deep).encode()


def in_thread(function: Callable[[], Any]) -> Any:
    """Run on a fresh thread, whose stack is of the usual size and whose recursion depth is
    known.
    """
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(function())
        except RecursionError as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return results[0]


@pytest.fixture
def high_recursion_limit() -> Iterator[None]:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000_000)
    yield
    sys.setrecursionlimit(limit)


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def test_deep_nesting_is_a_recursion_error() -> None:
    assert in_thread(lambda: loads(dumps(nested(500)))) == nested(500)
    assert isinstance(in_thread(lambda: dumps(nested(200_000))), RecursionError)
    assert isinstance(in_thread(lambda: loads("[" * 200_000)), RecursionError)
    assert isinstance(in_thread(lambda: loads('{"a":' * 200_000)), RecursionError)


@pytest.mark.usefixtures("high_recursion_limit")
def test_deep_nesting_does_not_crash_whatever_pythons_limit_is() -> None:
    assert isinstance(in_thread(lambda: dumps(nested(100_000))), RecursionError)
    assert isinstance(in_thread(lambda: loads("[" * 100_000)), RecursionError)


def test_a_container_that_changes_while_it_is_written_is_safe() -> None:
    grown: list[Any] = []

    class Grow:
        def __json__(self) -> Any:
            if len(grown) < 5:
                grown.append(self)
            return len(grown)

    grown.append(Grow())
    assert dumps(grown) == b"[2, 3, 4, 5, 5]"

    shrinking: dict[str, Any] = {}

    class Clear:
        def __json__(self) -> Any:
            shrinking.clear()
            return "x" * 100

    shrinking.update({str(index): Clear() for index in range(100)})
    with pytest.raises(RuntimeError, match="changed size"):
        dumps(shrinking)


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and other.cents == self.cents

    __hash__ = None  # type: ignore[assignment]


class Coin(Money):
    pass


@pytest.fixture
def kombu_registry() -> Iterator[None]:
    """Give kombu's registry back as it was; ours keeps types that no other test uses."""
    encoders, decoders = dict(oracle._encoders), dict(oracle._decoders)
    yield
    oracle._encoders.clear()
    oracle._encoders.update(encoders)
    oracle._decoders.clear()
    oracle._decoders.update(decoders)


@pytest.mark.usefixtures("kombu_registry")
def test_a_registered_type_crosses_as_with_kombu() -> None:
    for register in (register_type, oracle.register_type):
        register(Money, "money", lambda money: {"cents": money.cents}, lambda value: Money(**value))
    value = {"price": [Money(5), Coin(7)]}
    assert dumps(value) == oracle.dumps(value).encode()
    assert loads(dumps(value)) == {"price": [Money(5), Money(7)]}
    for register in (register_type, oracle.register_type):
        register(Coin, None, lambda coin: coin.cents, lambda value: value)
        register(Money, "geld", lambda money: (money.cents,), lambda value: Money(*value))
    assert dumps(value) == oracle.dumps(value).encode()
    assert loads(b'{"__type__": "money", "__value__": {"cents": 1}}') == Money(1)
    assert loads(b'{"__type__": "geld", "__value__": [1]}') == Money(1)


def test_a_decoder_may_itself_decode() -> None:
    class Document:
        pass

    register_type(Document, "document", lambda _value: '{"callbacks": 1}', loads)
    assert loads(dumps([Document(), {"callbacks": 2}])) == [{"callbacks": 1}, {"callbacks": 2}]


def test_djangos_lazy_text_is_written_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    class Promise:
        def __str__(self) -> str:
            return "später"

    module = types.ModuleType("django.utils.functional")
    module.Promise = Promise  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "django.utils.functional", module)
    assert dumps([Promise()]) == b'["sp\\u00e4ter"]'


def test_keys_are_kept_apart_even_when_there_are_many() -> None:
    value = {f"key {index}": {"a\x00": index, "é": index, "x" * 30: index} for index in range(2000)}
    assert loads(dumps(value)) == value
    assert loads(dumps(value)) == value


def test_threads_decode_at_the_same_time() -> None:
    text = dumps([{"name": [index] * 50} for index in range(500)])
    results: list[bool] = []

    def run() -> None:
        results.extend(loads(text)[index]["name"][0] == index for index in range(0, 500, 50))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 80
