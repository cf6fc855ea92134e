//! Redis and Valkey, in kombu's layout, so that stock Celery workers share the queues.
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `<queue>`, `<queue>\x06\x16<step>` | list | waiting messages of one priority step; pushed left, taken right |
//! | `unacked` | hash | lease tag → `[envelope, exchange, routing key]` |
//! | `unacked_index` | sorted set | lease tag, scored by the second it was taken or last refreshed |
//! | `fastworker:owner:<incarnation>` | string | a worker's heartbeat, and the fence below which its fetches are void |
//! | `fastworker:owners` | sorted set | incarnations that may hold leases |
//! | `fastworker:parked` | sorted set | parked tag, scored by its due time in ms; the message stays in `unacked` |
//! | `fastworker:parked:ids` | sorted set | parked tag, all scored 0: found by the task id with which each begins |
//! | `fastworker:permits` | sorted set | task, NUL, key of a shared rate limit, scored by the time of its next permit in µs |
//! | `fastworker:lanes:shared:<queue>` | sorted set | lanes (task, NUL, key), scored by when they may be drawn from in µs |
//! | `fastworker:lanes:worker:<queue>` | sorted set | lanes (task) of limits per worker, scored by the last look at them in µs |
//! | `fastworker:lane:<queue>\0<lane>`, `…\x06\x16<step>` | list | a lane's messages of one step; pushed left, taken right |
//! | `fastworker:laned` | hash | messages in lanes, by queue |
//! | `fastworker:attempts:<id>` | string | started attempts of a redelivered message |
//! | `fastworker:dead`, `fastworker:dead:index` | hash, sorted set | dead letters by id; their ids by time of death |
//! | `fastworker:revoked` | sorted set | what was revoked, scored by the second of it |
//! | `/<db>.celery.pidbox` | channel | remote control, as kombu has it |
//! | `/<db>.celeryev/<routing key>` | channel | events, as kombu has them |
//! | `<mailbox>.reply.celery.pidbox` | list | replies to one who asked |
//! | `celery-task-meta-<id>` | string | a task's result; published on a channel of the same name |
//!
//! **Tags** say who holds a lease and where it came from: `fw:<incarnation>:<fetch>:<n>:<step>`. The client chooses
//! them, so that after a lost reply it can read back exactly what that fetch took ([`fetch`]), and a recoverer finds a
//! dead worker's leases by prefix ([`recover`]). kombu's own tags are UUIDs. A parked message has a tag of its own
//! ([`park`]).
//!
//! **What is atomic.** A fetch is one Lua script. Plain acknowledgements with SUCCESS results are one MULTI, which costs
//! the server half of what a script would. Everything that may happen only to the holder of the lease is one guarded
//! script per message, in the same write ([`settle`]).
//!
//! **Three connections**: one for fetches, with client tracking as the wake-up call ([`wake`]) and without a response
//! time-out; one that hears broadcasts ([`listen`]); one for all else, so that what it reads is not tracked.

mod bindings;
mod blocking;
mod broker;
mod chord;
mod chord_client;
mod client;
mod connection;
mod control;
mod dead;
mod ending;
mod entry;
mod event;
mod eviction;
mod failure;
mod fanout;
mod fetch;
mod holds;
mod keys;
mod lane;
mod lease;
mod listen;
mod login;
mod options;
mod park;
mod parked;
mod publish;
mod queues;
mod recover;
mod resp;
mod restore;
mod results;
mod script;
mod server;
mod settle;
mod store;
mod sweep;
mod wake;
mod watch;

pub use broker::RedisBroker;
pub use client::RedisClient;
pub use options::{RedisOptions, RedisResults};
pub use results::RedisResultClient;
