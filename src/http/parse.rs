//! From a raw request to an [`engine::Request`](crate::engine::Request): path, operation, headers, query or body. Once, at the edge.
//!
//! Nothing of a body or a token is in an error's text. Not here: reading the body off the wire (`listener`), what is answered locally
//! (`bare`).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::answer::Answer;
use super::body;
use crate::core::RawRequest;
use crate::engine::{Connection, Data, Operation, Request};
use crate::types::limits::TOKEN_BYTES_MAX;
use crate::types::{ApiPath, PathError, RequestId, Secret, Ttl};

/// What the first line of a request says: enough to decide who answers it.
#[derive(Clone, Debug)]
pub struct Head {
    /// Canonical, without `/v1/`; of a listing always with the final slash.
    pub path: ApiPath,
    /// What is wanted.
    pub operation: Operation,
    /// The query, decoded, in order.
    pub query: Vec<(String, String)>,
}

impl Head {
    /// The last value of a query parameter.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Reads method, path and query.
///
/// # Errors
/// With the answer to give: 400, 404, 405, or 307 to the clean path where parts are empty.
pub fn head(raw: &RawRequest) -> Result<Head, Answer> {
    let (path, query) = raw.uri.split_once('?').unwrap_or((&raw.uri, ""));
    let Some(path) = path.strip_prefix("/v1/") else { return Err(Answer::errors(404, Vec::new())) };
    let query = query_pairs(query);
    let text = percent_decode_str(path).decode_utf8().map_err(|_| Answer::error(400, "path is not valid UTF-8"))?;
    let path = match ApiPath::parse(&text) {
        Ok(path) => path,
        Err(PathError::EmptyPart) => return Err(redirect_to_clean(&text, &raw.uri)),
        Err(error) => return Err(Answer::error(400, error.to_string())),
    };
    let listed = match query.iter().rev().find(|(key, _)| key == "list") {
        Some((_, value)) => parse_flag(value).ok_or_else(|| Answer::errors(400, Vec::new()))?,
        None => false,
    };
    let helped = query.iter().any(|(key, value)| key == "help" && parse_flag(value) == Some(true));
    let operation = match raw.method.as_str() {
        _ if helped => Operation::Help,
        "GET" if listed => Operation::List,
        "GET" | "HEAD" => Operation::Read,
        "LIST" => Operation::List,
        "POST" | "PUT" => Operation::Update,
        "PATCH" => Operation::Patch,
        "DELETE" => Operation::Delete,
        _ => return Err(Answer::errors(405, Vec::new())),
    };
    let ends_in_slash = path.as_str().ends_with('/');
    if ends_in_slash && matches!(operation, Operation::Update | Operation::Patch) {
        return Err(Answer::error(400, "cannot write to a path ending in '/'"));
    }
    let path = if operation == Operation::List && !ends_in_slash {
        ApiPath::parse(&format!("{path}/")).map_err(|error| Answer::error(400, error.to_string()))?
    } else {
        path
    };
    Ok(Head { path, operation, query })
}

/// Reads headers and data, and makes the request.
///
/// # Errors
/// With the answer to give.
pub fn request(id: RequestId, head: &Head, raw: &RawRequest) -> Result<Request, Answer> {
    check_namespace(raw)?;
    let data = match head.operation {
        Operation::Read | Operation::List | Operation::Help => query_fields(&head.query),
        Operation::Delete => {
            let mut fields = query_fields(&head.query);
            fields.extend(body::parse(&raw.body).map_err(|error| Answer::error(400, error.to_string()))?);
            fields
        }
        Operation::Patch => {
            let content_type = header(raw, "content-type").unwrap_or_default();
            if content_type.split(';').next().map(str::trim) != Some("application/merge-patch+json") {
                let shown: String = content_type.chars().take(64).collect();
                return Err(Answer::error(415, format!("PATCH requires Content-Type of application/merge-patch+json, provided {shown}")));
            }
            body::parse(&raw.body).map_err(|error| Answer::error(400, error.to_string()))?
        }
        // A snapshot is no JSON, and whoever sends one is to hear that first.
        Operation::Create | Operation::Update if head.path.as_str().starts_with("sys/storage/raft/snapshot") => Map::new(),
        Operation::Create | Operation::Update => body::parse(&raw.body).map_err(|error| Answer::error(400, error.to_string()))?,
    };
    Ok(Request {
        id,
        operation: head.operation,
        path: head.path.clone(),
        data: Data(data),
        token: token(raw)?,
        wrap_ttl: wrap_ttl(raw)?,
        headers: other_headers(raw),
        connection: Connection { remote: raw.remote.parse::<SocketAddr>().ok() },
    })
}

/// The last value of a header, if it is text.
pub fn header<'r>(raw: &'r RawRequest, name: &str) -> Option<&'r str> {
    raw.headers.iter().rev().find(|(key, _)| key == name).and_then(|(_, value)| std::str::from_utf8(value).ok())
}

/// Reads a truth value as Go's `strconv.ParseBool` does.
pub fn parse_flag(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn query_pairs(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}

/// One value gives a text, a repeated key a list; what steers the request itself is left out.
fn query_fields(query: &[(String, String)]) -> Map<String, Value> {
    let mut fields = Map::new();
    for (key, value) in query.iter().filter(|(key, _)| !matches!(key.as_str(), "list" | "help" | "scan")) {
        let value = Value::String(value.clone());
        match fields.get_mut(key) {
            None => {
                fields.insert(key.clone(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    fields
}

fn redirect_to_clean(text: &str, uri: &str) -> Answer {
    let mut clean: String = text.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
    if text.ends_with('/') && !clean.is_empty() {
        clean.push('/');
    }
    if ApiPath::parse(&clean).is_err() {
        return Answer::error(400, "path contains an empty part");
    }
    let encoded = percent_encoding::utf8_percent_encode(&clean, PATH_ESCAPES).to_string();
    let query = uri.split_once('?').map(|(_, query)| format!("?{query}")).unwrap_or_default();
    Answer::empty(307).with_header("location", format!("/v1/{encoded}{query}"))
}

/// What is escaped in the path of a `Location`.
const PATH_ESCAPES: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b':').remove(b'@');

fn check_namespace(raw: &RawRequest) -> Result<(), Answer> {
    match header(raw, "x-vault-namespace").map(|name| name.trim_matches('/')) {
        None | Some("" | "root") => Ok(()),
        Some(_) => Err(Answer::error(404, "namespaces are not supported: leave X-Vault-Namespace empty")),
    }
}

/// The token that a request comes with.
///
/// # Errors
/// If it cannot be one.
pub fn token(raw: &RawRequest) -> Result<Option<Secret<String>>, Answer> {
    let text = match header(raw, "x-vault-token") {
        Some(text) => Some(text),
        None => header(raw, "authorization").and_then(|value| match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Some(token),
            _ => None,
        }),
    };
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.len() > TOKEN_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(Answer::error(403, "permission denied"));
    }
    Ok(Some(Secret::new(text.to_owned())))
}

fn wrap_ttl(raw: &RawRequest) -> Result<Option<Ttl>, Answer> {
    let Some(text) = header(raw, "x-vault-wrap-ttl").filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.starts_with('-') {
        return Err(Answer::error(400, "error parsing X-Vault-Wrap-TTL header: requested wrap ttl cannot be negative"));
    }
    match Ttl::parse(text) {
        Ok(Ttl::ZERO) => Ok(None),
        Ok(ttl) => Ok(Some(ttl)),
        Err(error) => Err(Answer::error(400, format!("error parsing X-Vault-Wrap-TTL header: {error}"))),
    }
}

/// All headers that are no credentials.
fn other_headers(raw: &RawRequest) -> BTreeMap<String, Vec<String>> {
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &raw.headers {
        if matches!(name.as_str(), "x-vault-token" | "cookie" | "proxy-authorization") || name == "authorization" && !bug!(172) {
            continue;
        }
        headers.entry(name.clone()).or_default().push(String::from_utf8_lossy(value).into_owned());
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(method: &str, uri: &str) -> RawRequest {
        RawRequest { method: method.to_owned(), uri: uri.to_owned(), ..RawRequest::default() }
    }

    #[track_caller]
    fn check(method: &str, uri: &str, expected: Result<(Operation, &str), u16>) {
        let got = head(&raw(method, uri));
        match (&got, expected) {
            (Ok(head), Ok((operation, path))) => assert_eq!((head.operation, head.path.as_str()), (operation, path), "{method} {uri}"),
            (Err(answer), Err(status)) => assert_eq!(answer.status, status, "{method} {uri}"),
            _ => panic!("{method} {uri}: {got:?}"),
        }
    }

    #[test]
    fn methods_and_paths_become_operations() {
        check("GET", "/v1/secret/data/a", Ok((Operation::Read, "secret/data/a")));
        check("HEAD", "/v1/sys/health", Ok((Operation::Read, "sys/health")));
        check("GET", "/v1/secret/metadata?list=true", Ok((Operation::List, "secret/metadata/")));
        check("GET", "/v1/secret/metadata/?list=1", Ok((Operation::List, "secret/metadata/")));
        check("GET", "/v1/secret/metadata?list=0", Ok((Operation::Read, "secret/metadata")));
        check("GET", "/v1/secret/metadata?list=maybe", Err(400));
        check("LIST", "/v1/secret/metadata", Ok((Operation::List, "secret/metadata/")));
        check("PUT", "/v1/a", Ok((Operation::Update, "a")));
        check("POST", "/v1/a", Ok((Operation::Update, "a")));
        check("POST", "/v1/a/", Err(400));
        check("PATCH", "/v1/a", Ok((Operation::Patch, "a")));
        check("DELETE", "/v1/a/", Ok((Operation::Delete, "a/")));
        check("GET", "/v1/a?help=1", Ok((Operation::Help, "a")));
        check("TRACE", "/v1/a", Err(405));
        check("GET", "/v2/a", Err(404));
        check("GET", "/v1", Err(404));
    }

    #[test]
    fn paths_are_decoded_once_and_must_be_canonical() {
        check("GET", "/v1/secret/data/a%20b", Ok((Operation::Read, "secret/data/a b")));
        check("GET", "/v1/a/%2e%2e/b", Err(400));
        check("GET", "/v1/a/%252e%252e/b", Ok((Operation::Read, "a/%2e%2e/b")));
        check("GET", "/v1/a/../b", Err(400));
        check("GET", "/v1/a%00", Err(400));
        check("GET", "/v1/a%ff", Err(400));
        check("GET", "/v1/a//b", Err(307));
        check("GET", "/v1//a", Ok((Operation::Read, "a")));
    }

    #[test]
    fn a_doubled_slash_leads_to_the_clean_path() {
        let answer = head(&raw("GET", "/v1/a//b%20c/?x=1")).unwrap_err();
        assert_eq!(answer.header("location"), Some("/v1/a/b%20c/?x=1"));
    }

    fn parsed(method: &str, uri: &str, headers: &[(&str, &str)], body: &str) -> Result<Request, Answer> {
        let mut raw = raw(method, uri);
        raw.headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        raw.body = body.to_owned().into();
        request(RequestId::new("r"), &head(&raw)?, &raw)
    }

    #[test]
    fn a_query_is_the_data_of_a_read() {
        let got = parsed("GET", "/v1/a?version=3&x=1&x=2&list=false&e", &[], "").unwrap();
        assert_eq!(Value::Object(got.data.0).to_string(), r#"{"version":"3","x":["1","2"],"e":""}"#);
    }

    #[test]
    fn headers_that_are_credentials_are_for_nobody_else() {
        let secret = ["x-vault-token", "authorization", "cookie", "proxy-authorization"];
        let headers: Vec<(&str, &str)> = secret.iter().map(|name| (*name, "t")).chain([("x-other", "o")]).collect();
        let got = parsed("GET", "/v1/a", &headers, "").unwrap();
        assert_eq!(got.headers, BTreeMap::from([("x-other".to_owned(), vec!["o".to_owned()])]));
    }

    #[test]
    fn headers_are_read() {
        let token = |headers: &[(&str, &str)]| parsed("GET", "/v1/a", headers, "").unwrap().token.map(|token| token.expose().clone());
        assert_eq!(token(&[]), None);
        assert_eq!(token(&[("x-vault-token", "")]), None);
        assert_eq!(token(&[("x-vault-token", "t"), ("authorization", "Bearer u")]).as_deref(), Some("t"));
        assert_eq!(token(&[("authorization", "bearer u")]).as_deref(), Some("u"));
        assert_eq!(token(&[("authorization", "Basic u")]), None);
        let status = |headers: &[(&str, &str)]| parsed("GET", "/v1/a", headers, "").err().map(|answer| answer.status);
        assert_eq!(status(&[("x-vault-token", "a\tb")]), Some(403));
        assert_eq!(status(&[("x-vault-namespace", "root")]), None);
        assert_eq!(status(&[("x-vault-namespace", "team/")]), Some(404));
        assert_eq!(status(&[("x-vault-wrap-ttl", "60s")]), None);
        assert_eq!(status(&[("x-vault-wrap-ttl", "-1s")]), Some(400));
        assert_eq!(status(&[("x-vault-wrap-ttl", "soon")]), Some(400));
        let kept = parsed("GET", "/v1/a", &[("x-vault-token", "t"), ("x-a", "1"), ("x-a", "2")], "").unwrap().headers;
        assert_eq!(kept.into_iter().collect::<Vec<_>>(), [("x-a".to_owned(), vec!["1".to_owned(), "2".to_owned()])]);
    }

    #[test]
    fn a_patch_must_say_that_it_merges() {
        let patch = |content_type| parsed("PATCH", "/v1/a", &[("content-type", content_type)], "{}").err().map(|answer| answer.status);
        assert_eq!(patch("application/merge-patch+json"), None);
        assert_eq!(patch("application/json"), Some(415));
    }
}
