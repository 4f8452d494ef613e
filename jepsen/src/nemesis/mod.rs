//! What goes wrong meanwhile: one file per kind of fault.
//!
//! `plan` decides everything from a seed before the run begins: which fault, when, for how long, and how its victims are chosen. What
//! was really done is recorded when it is done, as two lines (`start-X`) and two more when it ends (`stop-X`).
//! A plan does not make a run repeatable to the packet: the same seed brings the same pressure, not the same interleaving.

pub mod clock;
pub mod context;
pub mod disk;
pub mod failpoint;
pub mod fault;
pub mod member;
pub mod network;
pub mod packet;
pub mod partition;
pub mod plan;
pub mod power;
pub mod reseed;
pub mod role;
pub mod storage;
pub mod target;
pub mod villain;
