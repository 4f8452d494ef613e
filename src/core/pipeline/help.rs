//! `?help=1`: what a path is for, from its engine's table of routes.

use serde_json::json;

use crate::core::Response;
use crate::engine::{Raw, Request};

use super::route::Target;

/// The bare answer that `vault path-help` prints.
pub(super) fn answer(request: &Request, target: &Target<'_>) -> Response {
    let route = target.route;
    let operations: Vec<&str> = route.operations.iter().map(|operation| operation.name()).collect();
    let help = format!(
        "Request:        {}\nMatching Route: {}\nOperations:     {}\n\n{}\n",
        target.path,
        route.pattern,
        operations.join(", "),
        route.help
    );
    let body = json!({ "help": help, "see_also": null, "openapi": null });
    let raw = Raw { content_type: "application/json", bytes: format!("{body}\n").into(), is_missing: false };
    Response { request_id: request.id.to_string(), mount_type: target.mounted.row.kind.clone(), raw: Some(raw), ..Response::default() }
}
