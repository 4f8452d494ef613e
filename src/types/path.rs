//! What a client says: the path of an API call, in its one canonical form.

use std::fmt;
use std::sync::Arc;

use super::limits::API_PATH_BYTES_MAX;

/// An API path without its leading `/v1/`, percent-decoded once, and canonical.
///
/// Router, policies, audit and storage all see this one form, so that no two of them can disagree about what was asked
/// (the class of CVE-2026-89322 and CVE-2026-3605). A trailing slash is kept: it means *list* or *a folder*.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ApiPath(Arc<str>);

/// Why a path is refused before anything looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Longer than [`API_PATH_BYTES_MAX`].
    #[error("path is longer than {API_PATH_BYTES_MAX} bytes")]
    TooLong,
    /// An empty part, as in `a//b`.
    #[error("path contains an empty part")]
    EmptyPart,
    /// A part `.` or `..`.
    #[error("path cannot contain parent references")]
    Relative,
    /// A control character.
    #[error("path contains an unprintable character")]
    Unprintable,
}

impl ApiPath {
    /// Checks `text`, already percent-decoded and without `/v1/`.
    ///
    /// # Errors
    /// A client's mistake, or attempt; see [`PathError`].
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let text = text.strip_prefix('/').unwrap_or(text);
        if text.len() > API_PATH_BYTES_MAX {
            return Err(PathError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(PathError::Unprintable);
        }
        let inner = text.strip_suffix('/').unwrap_or(text);
        if !text.is_empty() {
            for part in inner.split('/') {
                match part {
                    "" => return Err(PathError::EmptyPart),
                    "." | ".." if !bug!(29) => return Err(PathError::Relative),
                    _ => {}
                }
            }
        }
        Ok(Self(text.into()))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ApiPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, PathError>) {
        assert_eq!(ApiPath::parse(text).as_ref().map(ApiPath::as_str), expected.as_ref().map(|path| *path), "{text:?}");
    }

    #[test]
    fn only_canonical_paths_pass() {
        check("secret/data/a", Ok("secret/data/a"));
        check("/secret/", Ok("secret/"));
        check("", Ok(""));
        check("a//b", Err(PathError::EmptyPart));
        check("a//", Err(PathError::EmptyPart));
        check("//", Err(PathError::EmptyPart));
        check("a/../b", Err(PathError::Relative));
        check("a/./b", Err(PathError::Relative));
        check("..", Err(PathError::Relative));
        check("a/b\0", Err(PathError::Unprintable));
        check("a/b\nc", Err(PathError::Unprintable));
        check("a/..b", Ok("a/..b"));
    }
}
