//! The Redis broker against a live server, through its public face.
//!
//! The server is `FASTWORKER_TEST_REDIS` (default `redis://127.0.0.1:6379`), databases 11 and 12; every test has a key
//! prefix of its own and removes its keys. Without a server the tests say so and pass, unless `CI=true`.

mod clients;
#[path = "../common/mod.rs"]
mod common;
mod cost;
mod elsewhere;
mod events;
mod fanouts;
mod faults;
mod kombu;
mod layout;
mod leases;
mod permits;
mod servers;
mod settling;
mod suite;
mod support;
