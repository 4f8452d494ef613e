//! The words shared by all: values, operations, histories and seeds. Pure, and all the simulator needs besides `check`.

mod call;
mod edn;
mod history;
mod json;
mod op;
mod recorder;
mod rng;
mod value;

pub use call::{Call, Malformed, Outcome, calls};
pub use edn::EdnError;
pub use history::{Format, History, HistoryError};
pub use op::{Kind, Op, Process};
pub use recorder::{RecordError, Recorder};
pub use rng::Rng;
pub use value::Value;
