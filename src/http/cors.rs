//! Cross-origin requests: which browsers' pages may call. Pure. Requests without an `Origin` are not touched.

use super::answer::Answer;
use crate::core::{Cors, RawRequest, RawResponse};

const METHODS: &str = "DELETE,GET,OPTIONS,POST,PUT,LIST";

/// Always allowed besides what the operator adds.
const HEADERS: &str = "Content-Type,X-Requested-With,X-Vault-AWS-IAM-Server-ID,X-Vault-MFA,X-Vault-No-Request-Forwarding,\
                       X-Vault-Wrap-Format,X-Vault-Wrap-TTL,X-Vault-Policy-Override,Authorization,X-Vault-Token,X-Vault-Namespace";

fn header<'r>(raw: &'r RawRequest, name: &str) -> Option<&'r str> {
    raw.headers.iter().find(|(key, _)| key == name).and_then(|(_, value)| std::str::from_utf8(value).ok())
}

/// `Some`: the whole answer, to a question about what is allowed, or to someone who may not call.
pub fn answer(cors: &Cors, raw: &RawRequest) -> Option<Answer> {
    let origin = header(raw, "origin")?;
    if !cors.allowed_origins.iter().any(|allowed| allowed == "*" || allowed == origin) {
        return Some(Answer::error(403, "origin not allowed"));
    }
    if raw.method != "OPTIONS" {
        return None;
    }
    let asked = header(raw, "access-control-request-method").unwrap_or_default();
    if !METHODS.split(',').any(|method| method == asked) {
        return Some(Answer::errors(405, Vec::new()));
    }
    let headers = cors.allowed_headers.iter().fold(HEADERS.to_owned(), |all, more| format!("{all},{more}"));
    let answer = Answer::empty(200)
        .with_header("access-control-allow-methods", METHODS.to_owned())
        .with_header("access-control-allow-headers", headers)
        .with_header("access-control-max-age", "300".to_owned());
    Some(answer)
}

/// Lets the page read the answer, where its origin is allowed.
pub fn mark(cors: &Cors, origin: &str, response: &mut RawResponse) {
    if cors.allowed_origins.iter().any(|allowed| allowed == "*" || allowed == origin) {
        response.headers.push(("access-control-allow-origin".to_owned(), origin.as_bytes().to_vec()));
        response.headers.push(("vary".to_owned(), b"Origin".to_vec()));
    }
}

/// Where the page that calls comes from.
pub fn origin(raw: &RawRequest) -> Option<String> {
    header(raw, "origin").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &str, origin: &str, asked: &str, status: Option<u16>) {
        let cors =
            Cors { enabled: true, allowed_origins: vec!["https://a.example".to_owned()], allowed_headers: vec!["X-Mine".to_owned()] };
        let headers = [("origin", origin), ("access-control-request-method", asked)];
        let headers = headers.into_iter().filter(|(_, value)| !value.is_empty()).map(|(k, v)| (k.to_owned(), v.as_bytes().to_vec()));
        let raw = RawRequest { method: method.to_owned(), headers: headers.collect(), ..RawRequest::default() };
        assert_eq!(answer(&cors, &raw).map(|answer| answer.status), status, "{method} {origin} {asked}");
    }

    #[test]
    fn only_allowed_origins_may_call() {
        check("GET", "", "", None);
        check("GET", "https://a.example", "", None);
        check("GET", "https://b.example", "", Some(403));
        check("OPTIONS", "https://a.example", "PUT", Some(200));
        check("OPTIONS", "https://a.example", "TRACE", Some(405));
        check("OPTIONS", "https://b.example", "PUT", Some(403));
    }
}
