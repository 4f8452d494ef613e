//! `sys/tools`: random bytes and hashes.

use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::barrier::Txn;
use crate::core::SystemEngine;
use crate::crypto::Entropy;
use crate::engine::{Access, Call, EngineError, Operation, Reply, Route, Writes};

/// Most random bytes of one request.
const BYTES_MAX: i64 = 131_072;

/// `sys/tools`.
pub struct Tools(pub Arc<dyn Entropy>);

const fn tool(pattern: &'static str, help: &'static str) -> Route {
    Route { pattern, operations: &[Operation::Update], access: Access::Policy, writes: Writes::Nothing, help }
}

static ROUTES: &[Route] = &[
    tool("tools/random", "Make random bytes."),
    tool("tools/random/:urlbytes", "Make random bytes."),
    tool("tools/random/:source/:urlbytes", "Make random bytes."),
    tool("tools/hash", "Hash bytes."),
    tool("tools/hash/:urlalgorithm", "Hash bytes."),
];

#[async_trait]
impl SystemEngine for Tools {
    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    async fn handle(&self, call: &Call<'_>, _: &mut Txn) -> Result<Reply, EngineError> {
        if call.route.pattern.starts_with("tools/random") { self.random(call) } else { hash(call) }
    }
}

impl Tools {
    fn random(&self, call: &Call<'_>) -> Result<Reply, EngineError> {
        let data = call.data();
        let (in_path, mut source) = (call.captures.get("urlbytes"), call.captures.get("source").to_owned());
        let is_source = ["platform", "seal", "all"].contains(&in_path);
        if is_source {
            in_path.clone_into(&mut source);
        } else if source.is_empty() {
            source = data.text("source")?.unwrap_or_default();
        }
        if !["", "platform", "seal", "all"].contains(&source.as_str()) {
            let text = format!("unsupported entropy source \"{source}\"; must be \"platform\" or \"seal\", or \"all\"");
            return Err(EngineError::invalid(text));
        }
        let wanted = match in_path {
            "" => data.integer("bytes")?.unwrap_or(32),
            _ if is_source => data.integer("bytes")?.unwrap_or(32),
            text => text.parse().map_err(|_| EngineError::invalid(format!("error parsing url-set byte count: {text}")))?,
        };
        if wanted < 1 {
            return Err(EngineError::invalid("\"bytes\" cannot be less than 1"));
        }
        if wanted > BYTES_MAX {
            return Err(EngineError::invalid("\"bytes\" should be less than 131072"));
        }
        let format = data.text("format")?.unwrap_or_else(|| "base64".to_owned());
        if !["hex", "base64"].contains(&format.as_str()) {
            return Err(EngineError::invalid(format!("unsupported encoding format \"{format}\"; must be \"hex\" or \"base64\"")));
        }
        let mut bytes = vec![0; usize::try_from(wanted).unwrap_or(0)];
        self.0.fill(&mut bytes);
        Ok(Reply::json(json!({ "random_bytes": encode(&format, &bytes) })))
    }
}

fn hash(call: &Call<'_>) -> Result<Reply, EngineError> {
    let data = call.data();
    let input = STANDARD
        .decode(data.text("input")?.unwrap_or_default())
        .map_err(|error| EngineError::invalid(format!("unable to decode input as base64: {error}")))?;
    let format = data.text("format")?.unwrap_or_else(|| "hex".to_owned());
    if !["hex", "base64"].contains(&format.as_str()) {
        return Err(EngineError::invalid(format!("unsupported encoding format {format}; must be \"hex\" or \"base64\"")));
    }
    let named = call.captures.get("urlalgorithm");
    let named = if named.is_empty() { data.text("algorithm")?.unwrap_or_default() } else { named.to_owned() };
    let algorithm = match named.as_str() {
        "" | "sha2-256" => &digest::SHA256,
        "sha2-224" => &digest::SHA224,
        "sha2-384" => &digest::SHA384,
        "sha2-512" => &digest::SHA512,
        "sha3-256" => &digest::SHA3_256,
        "sha3-384" => &digest::SHA3_384,
        "sha3-512" => &digest::SHA3_512,
        other => return Err(EngineError::invalid(format!("unsupported algorithm {other}"))),
    };
    Ok(Reply::json(json!({ "sum": encode(&format, digest::digest(algorithm, &input).as_ref()) })))
}

fn encode(format: &str, bytes: &[u8]) -> String {
    if format == "hex" { hex::encode(bytes) } else { STANDARD.encode(bytes) }
}
