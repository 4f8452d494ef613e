//! `sys/in-flight-req`: what this node is busy with.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use serde_json::{Map, json};

use crate::barrier::Txn;
use crate::core::SystemEngine;
use crate::engine::{Access, Call, EngineError, Operation, Reply, Request, Route, Writes};
use crate::types::{ApiPath, RequestId, Timestamp};

/// One request that is being served.
struct Flight {
    start: Timestamp,
    remote: String,
    path: ApiPath,
    method: &'static str,
}

/// The requests that are being served.
#[derive(Clone, Default)]
pub struct InFlight(Arc<Mutex<BTreeMap<RequestId, Flight>>>);

/// Takes its request off the list when it is dropped.
pub struct Landing(InFlight, RequestId);

impl InFlight {
    fn flights(&self) -> MutexGuard<'_, BTreeMap<RequestId, Flight>> {
        self.0.lock().expect("no holder of this lock panics")
    }

    /// Puts `request` on the list for as long as the answer is kept.
    pub fn take_off(&self, request: &Request, start: Timestamp) -> Landing {
        let flight = Flight {
            start,
            remote: request.connection.remote.map(|remote| remote.to_string()).unwrap_or_default(),
            path: request.path.clone(),
            method: request.operation.name(),
        };
        self.flights().insert(request.id.clone(), flight);
        Landing(self.clone(), request.id.clone())
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.0.flights().remove(&self.1);
    }
}

static ROUTES: &[Route] = &[Route {
    pattern: "in-flight-req",
    operations: &[Operation::Read],
    access: Access::Policy,
    writes: Writes::Nothing,
    help: "List the requests that are being served.",
}];

#[async_trait]
impl SystemEngine for InFlight {
    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    async fn handle(&self, _: &Call<'_>, _: &mut Txn) -> Result<Reply, EngineError> {
        let flights = self.flights();
        let shown = flights.iter().map(|(id, flight)| {
            let shown = json!({
                "start_time": flight.start.rfc3339(),
                "client_remote_address": flight.remote,
                "request_path": flight.path.as_str(),
                "request_method": flight.method,
                "client_id": "",
            });
            (id.to_string(), shown)
        });
        Ok(Reply::data(shown.collect::<Map<_, _>>()))
    }
}
