//! One request from raw bytes to raw bytes: the same way on the node it came to and on the active node it was handed to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::answer::Answer;
use super::forward::Handed;
use super::intake::Intake;
use super::parse::{self, Head};
use super::{bare, cors, forward, metrics, render, status};
use crate::core::outage::{Outage, outlasts_failover};
use crate::core::{Core, RawRequest, RawResponse, Refused, Serve, Standing};
use crate::types::limits::{FAILOVER_LOOK_AGAIN, FAILOVER_PATIENCE};
use crate::types::{NodeId, RequestId};

/// Settings of the API.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether there is a web interface.
    pub ui: bool,
    /// Longest a request may take.
    pub max_request_duration: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { ui: false, max_request_duration: Duration::from_secs(90) }
    }
}

/// Where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client, at one of our listeners.
    Client {
        /// Whether `sys/metrics` needs no token there.
        unauthenticated_metrics: bool,
    },
    /// A standby that handed it on: it is never handed on again.
    Node,
}

/// The HTTP API of one node. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    core: Arc<Core>,
    options: Arc<Options>,
    intake: Intake,
    /// Of the node that should serve.
    outage: Arc<Outage<Option<NodeId>>>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Api")
    }
}

impl Api {
    /// The API in front of `core`.
    pub fn new(core: Arc<Core>, options: Options) -> Self {
        Self { core, options: Arc::new(options), intake: Intake::default(), outage: Arc::default() }
    }

    /// Where bodies are taken in.
    pub(super) fn intake(&self) -> &Intake {
        &self.intake
    }

    /// Answers one request. Once begun it is carried through, even if the client goes away meanwhile.
    pub(super) async fn answer(&self, raw: RawRequest, origin: Origin) -> RawResponse {
        let started = Instant::now();
        let api = self.clone();
        let limit = self.options.max_request_duration;
        let task = tokio::spawn(async move {
            match tokio::time::timeout(limit, api.route_across_origins(raw, origin)).await {
                Ok(response) => response,
                Err(_) => {
                    Answer::error(500, "the request took too long: its outcome is not known, it may or may not have happened").into_raw()
                }
            }
        });
        let response = task.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a request was cut short");
            Answer::error(500, "internal error").into_raw()
        });
        metrics::answered(response.status, started.elapsed());
        response
    }

    /// Answers a client whose request did not come over HTTP: the simulator's.
    #[cfg(feature = "sim")]
    pub async fn serve_client(&self, request: RawRequest) -> RawResponse {
        self.answer(request, Origin::Client { unauthenticated_metrics: false }).await
    }

    /// What a standby hands on was looked at by the standby.
    async fn route_across_origins(&self, raw: RawRequest, origin: Origin) -> RawResponse {
        let page = cors::origin(&raw).filter(|_| origin != Origin::Node);
        let Some((page, rules)) = page.zip(self.core.settings().cors()) else { return self.route(raw, origin).await };
        let mut response = match cors::answer(&rules, &raw) {
            Some(answer) => answer.into_raw(),
            None => self.route(raw, origin).await,
        };
        cors::mark(&rules, &page, &mut response);
        response
    }

    async fn route(&self, raw: RawRequest, origin: Origin) -> RawResponse {
        if !raw.uri.starts_with("/v1/") {
            return self.outside(&raw).into_raw();
        }
        let head = match parse::head(&raw) {
            Ok(head) => head,
            Err(answer) => return answer.into_raw(),
        };
        if let Some(answer) = bare::local(&self.core, &head, &raw, origin).await {
            return answer.into_raw();
        }
        let deadline = Instant::now() + FAILOVER_PATIENCE;
        loop {
            let mut lasts = false;
            let not_yet = match self.core.standing() {
                Standing::Uninitialized | Standing::Sealed | Standing::Removed => return bare::while_sealed(&head).into_raw(),
                Standing::Standby { .. } if origin == Origin::Node => status::answer(&Refused::NoActive, false).into_raw(),
                Standing::Standby { active } => match bare::on_standby(&head) {
                    Some(answer) => return answer.into_raw(),
                    None => match forward::hand_on(&self.core, active.as_ref(), raw.clone()).await {
                        Handed::Answered(response) => {
                            self.outage.ends();
                            return response;
                        }
                        Handed::NotYet(response) => {
                            lasts = match active {
                                None => outlasts_failover(self.core.lifecycle().without_active_for()),
                                Some(active) => self.outage.lasts(Some(active.id), Instant::now()),
                            };
                            response
                        }
                    },
                },
                Standing::Active => match bare::on_active(&self.core, &head, &raw).await {
                    Some(answer) => return answer.into_raw(),
                    None => match self.serve_here(&head, &raw).await {
                        Handed::Answered(response) => {
                            self.outage.ends();
                            return response;
                        }
                        Handed::NotYet(response) => {
                            lasts = self.outage.lasts(None, Instant::now());
                            response
                        }
                    },
                },
            };
            // Nothing happened so far. While another node takes over, the client waits here instead of trying again itself; not so
            // where nobody has taken over for longer than that takes.
            if lasts || Instant::now() >= deadline {
                return not_yet;
            }
            tokio::time::sleep(FAILOVER_LOOK_AGAIN).await;
        }
    }

    async fn serve_here(&self, head: &Head, raw: &RawRequest) -> Handed {
        let id = RequestId::new(uuid::Uuid::new_v4().to_string());
        let request = match parse::request(id, head, raw) {
            Ok(request) => request,
            Err(answer) => return Handed::Answered(answer.into_raw()),
        };
        let has_token = request.token.is_some();
        match self.core.serve(request).await {
            Ok(response) => Handed::Answered(render::answer(head.operation, head.path.as_str(), response).into_raw()),
            Err(refused) => {
                let answer = status::answer(&refused, has_token).into_raw();
                if refused.is_for_another_leader() { Handed::NotYet(answer) } else { Handed::Answered(answer) }
            }
        }
    }

    /// Whatever is not the API.
    fn outside(&self, raw: &RawRequest) -> Answer {
        let path = raw.uri.split('?').next().unwrap_or_default();
        match path {
            "/" if self.options.ui => Answer::empty(307).with_header("location", "/ui/".to_owned()),
            "/robots.txt" => Answer::bytes(200, "text/plain", "User-agent: *\nDisallow: /\n"),
            _ if self.options.ui && (path == "/ui" || path.starts_with("/ui/")) => {
                Answer::bytes(404, "text/plain; charset=utf-8", "This build has no web interface.\n")
            }
            _ => Answer::errors(404, Vec::new()),
        }
    }
}

#[async_trait]
impl Serve for Api {
    async fn serve(&self, request: RawRequest) -> RawResponse {
        self.answer(request, Origin::Node).await
    }
}
