//! The declarative table behind routing, access and forwarding.

use super::Operation;

/// Who may call a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Whoever a policy allows.
    Policy,
    /// Whoever a policy allows, with the `sudo` capability besides.
    Sudo,
    /// Anyone, without a token. `grep Access::Anyone` lists every unauthenticated path.
    Anyone,
}

/// What a route writes: decides where a performance secondary runs it.
///
/// A wrong declaration loses nothing: `apply` refuses a secondary's shared write, and a request whose transaction
/// turns out to write shared keys is sent to the primary all the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Writes {
    /// Nothing; runs where it is.
    Nothing,
    /// Only what stays in the cluster; runs where it is.
    Local,
    /// What the mount shares; on a shared mount of a secondary it runs on the primary.
    Shared,
    /// The handler decides: it runs where it is, and on the primary if it turns out to write shared keys.
    Depends,
}

/// One line of an engine's table.
#[derive(Debug)]
pub struct Route {
    /// Parts between slashes: a literal; `:name`, one part; or last, `*name`, the rest (also with slashes, or empty).
    pub pattern: &'static str,
    /// The operations it answers. `Update` also answers `Create`.
    pub operations: &'static [Operation],
    /// Who may call it.
    pub access: Access,
    /// What it writes.
    pub writes: Writes,
    /// One line of help.
    pub help: &'static str,
}

impl Route {
    /// Whether this route answers `operation`.
    pub fn answers(&self, operation: Operation) -> bool {
        self.operations.contains(&operation) || operation == Operation::Create && self.operations.contains(&Operation::Update)
    }
}

/// Most placeholders of one pattern. A fixed number, so that no request allocates for them.
const CAPTURES_MAX: usize = 2;

/// What a route's placeholders matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Captures<'p>([(&'static str, &'p str); CAPTURES_MAX]);

impl<'p> Captures<'p> {
    /// What `name` matched; empty if the pattern has no such placeholder.
    pub fn get(&self, name: &str) -> &'p str {
        self.0.iter().find(|(placeholder, _)| *placeholder == name).map_or("", |(_, text)| *text)
    }

    /// Adds what `name` matched; patterns have no more placeholders than there is room for, as no route of one with more is found.
    #[must_use]
    fn add(&mut self, name: &'static str, text: &'p str) -> bool {
        let free = self.0.iter_mut().find(|(placeholder, _)| placeholder.is_empty());
        free.map(|slot| *slot = (name, text)).is_some()
    }

    /// Whether the pattern has such a placeholder.
    pub fn has(&self, name: &str) -> bool {
        !name.is_empty() && self.0.iter().any(|(placeholder, _)| *placeholder == name)
    }
}

/// Why no route was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoRoute {
    /// No pattern matches the path.
    Path,
    /// A pattern matches, but not for this operation.
    Operation,
}

/// The first route that matches `path` and answers `operation`.
///
/// # Errors
/// Which of the two did not match.
pub fn find_route<'p>(routes: &'static [Route], operation: Operation, path: &'p str) -> Result<(&'static Route, Captures<'p>), NoRoute> {
    let mut reason = NoRoute::Path;
    for route in routes {
        let Some(captures) = match_pattern(route.pattern, path) else { continue };
        if route.answers(operation) {
            return Ok((route, captures));
        }
        reason = NoRoute::Operation;
    }
    Err(reason)
}

fn match_pattern<'p>(pattern: &'static str, path: &'p str) -> Option<Captures<'p>> {
    let mut captures = Captures::default();
    let mut rest = path;
    let mut parts = pattern.split('/').peekable();
    while let Some(part) = parts.next() {
        if let Some(name) = part.strip_prefix('*') {
            return captures.add(name, rest).then_some(captures);
        }
        let is_last = parts.peek().is_none();
        let (head, tail) = match rest.split_once('/') {
            Some((head, tail)) if !is_last => (head, tail),
            None if !is_last => {
                // `a/*rest` also matches `a`.
                let rest_is_open = parts.peek().is_some_and(|next| next.starts_with('*'));
                if rest_is_open { (rest, "") } else { return None }
            }
            // A trailing slash after the last part means the same thing.
            _ => (rest.strip_suffix('/').unwrap_or(rest), ""),
        };
        if head.contains('/') {
            return None;
        }
        match part.strip_prefix(':') {
            Some(_) if head.is_empty() => return None,
            Some(name) if captures.add(name, head) => {}
            Some(_) => return None,
            None if part == head => {}
            None => return None,
        }
        rest = tail;
    }
    Some(captures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &'static str, path: &str, expected: Option<&[(&str, &str)]>) {
        let matched = match_pattern(pattern, path);
        let pairs = matched.map(|captures| captures.0.into_iter().filter(|(name, _)| !name.is_empty()).collect::<Vec<_>>());
        assert_eq!(pairs.as_deref(), expected, "{pattern} {path}");
    }

    #[test]
    fn patterns_match_whole_paths() {
        check("config", "config", Some(&[]));
        check("config", "config/", Some(&[]));
        check("config", "config/a", None);
        check("data/*path", "data/a/b", Some(&[("path", "a/b")]));
        check("data/*path", "data/", Some(&[("path", "")]));
        check("data/*path", "data", Some(&[("path", "")]));
        check("data/*path", "dat", None);
        check("users/:name", "users/bob", Some(&[("name", "bob")]));
        check("users/:name", "users/", None);
        check("users/:name/password", "users/bob/password", Some(&[("name", "bob")]));
        check("users/:name/password", "users/bob", None);
        check("*path", "", Some(&[("path", "")]));
        check("*path", "a/b/", Some(&[("path", "a/b/")]));
        check("", "", Some(&[]));
        check("", "a", None);
    }
}
