//! The rules of the engine, one sentence a test, through its public face.

mod attempts;
mod batches;
mod company;
mod desk;
mod dispatching;
mod early;
mod fetching;
mod lanes;
mod leases;
mod limits;
mod pool;
mod queues;
mod rates;
mod recall;
mod revoke;
mod shutdown;
mod stuck;
