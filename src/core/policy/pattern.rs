//! Patterns of paths, and globs over names: pure.

use std::cmp::Ordering;

/// A path with wildcards, as in `secret/+/team/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// Without the final `*`.
    text: String,
    is_prefix: bool,
    pluses: usize,
    first_wildcard: usize,
}

impl Pattern {
    /// Reads `text`; `None` if it has no wildcard and so names one path.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (body, is_prefix) = text.strip_suffix('*').map_or((text, false), |body| (body, true));
        let pluses = body.split('/').filter(|part| *part == "+").count();
        if pluses == 0 && !is_prefix {
            return None;
        }
        let mut first_wildcard = body.len();
        let mut at = 0;
        for part in body.split('/') {
            if part == "+" {
                first_wildcard = at;
                break;
            }
            at += part.len() + 1;
        }
        Some(Self { text: body.to_owned(), is_prefix, pluses, first_wildcard })
    }

    /// Whether it matches `path`.
    pub(super) fn matches(&self, path: &str) -> bool {
        if self.pluses == 0 {
            return path.starts_with(&self.text);
        }
        let mut rest = path;
        let mut parts = self.text.split('/').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return match (part, self.is_prefix) {
                    ("+", false) => !rest.is_empty() && (!rest.contains('/') || bug!(130)),
                    (literal, true) => rest.starts_with(literal),
                    (literal, false) => rest == literal,
                };
            }
            let Some((head, tail)) = rest.split_once('/') else { return false };
            let fits = if part == "+" { !head.is_empty() } else { head == part };
            if !fits {
                return false;
            }
            rest = tail;
        }
        false
    }

    /// Whether it matches some path that starts with `folder`.
    pub(super) fn reaches(&self, folder: &str) -> bool {
        let mut rest = folder;
        let mut parts = self.text.split('/').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return part == "+" && !rest.contains('/') || part.starts_with(rest) || self.is_prefix && rest.starts_with(part);
            }
            let Some((head, tail)) = rest.split_once('/') else { return part == "+" && !rest.contains('/') || part.starts_with(rest) };
            if part != "+" && head != part {
                return false;
            }
            rest = tail;
        }
        false
    }

    /// The pattern without its final `*`, as clients are shown it.
    pub(super) fn shown(&self) -> &str {
        &self.text
    }

    /// The more specific pattern first.
    pub(super) fn by_priority(&self, other: &Self) -> Ordering {
        let rank = |pattern: &Self| (pattern.first_wildcard, !pattern.is_prefix, usize::MAX - pattern.pluses, pattern.text.len());
        rank(other).cmp(&rank(self)).then_with(|| other.text.cmp(&self.text))
    }
}

/// Whether `text` matches `pattern`, in which every `*` stands for any characters.
pub fn glob(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or("");
    for part in parts {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, path: &str, expected: bool) {
        assert_eq!(Pattern::parse(pattern).unwrap().matches(path), expected, "{pattern} {path}");
    }

    #[test]
    fn patterns_match_as_documented() {
        check("a/b*", "a/b", true);
        check("a/b*", "a/bc", true);
        check("a/b*", "a/b/c", true);
        check("a/b*", "a/", false);
        check("*", "", true);
        check("*", "a/b", true);
        check("a/+/c", "a/b/c", true);
        check("a/+/c", "a//c", false);
        check("a/+/c", "a/b/c/d", false);
        check("a/+/c", "a/b/b/c", false);
        check("a/+/c*", "a/b/cd/e", true);
        check("+/b/*", "x/b/", true);
        check("+/b/*", "x/b", false);
        check("+/b/*", "x/b/c/d", true);
        check("a/+", "a/b", true);
        check("a/+", "a/b/", false);
        check("a/+/", "a/b/", true);
        check("+", "a", true);
        check("+", "a/b", false);
        check("a*b/+", "a*b/c", true);
        check("a*b/+", "axb/c", false);
        check("a/x+y/*", "a/x+y/c", true);
        assert!(Pattern::parse("a/b+").is_none());
        assert!(Pattern::parse("a*b").is_none());
    }

    #[track_caller]
    fn check_order(first: &str, second: &str) {
        let parse = |text| Pattern::parse(text).unwrap();
        assert_eq!(parse(first).by_priority(&parse(second)), Ordering::Less, "{first} before {second}");
    }

    #[test]
    fn the_more_specific_pattern_comes_first() {
        check_order("secret/a/*", "secret/*");
        check_order("secret/a*", "secret/+/b");
        check_order("secret/+/b", "secret/*");
        check_order("secret/+/b", "secret/+/+");
        check_order("secret/+/bc*", "secret/+/b*");
        check_order("secret/+/b*", "secret/+/+/c*");
        check_order("b/*", "a/*");
    }

    #[test]
    fn reach_sees_what_lies_below_a_folder() {
        let reaches = |pattern: &str, folder: &str| Pattern::parse(pattern).unwrap().reaches(folder);
        assert!(reaches("secret/*", "secret/"));
        assert!(reaches("*", "secret/"));
        assert!(reaches("sec*", "secret/"));
        assert!(reaches("secret/data/*", "secret/"));
        assert!(reaches("+/data/*", "secret/"));
        assert!(!reaches("other/*", "secret/"));
        assert!(!reaches("secretx/*", "secret/"));
        assert!(reaches("auth/+/login", "auth/userpass/"));
        assert!(!reaches("auth/+", "auth/userpass/x/"));
    }

    #[test]
    fn globs_match_names() {
        assert!(glob("a*", "abc") && glob("*c", "abc") && glob("*b*", "abc") && glob("abc", "abc") && glob("*", ""));
        assert!(!glob("a*", "b") && !glob("abc", "ab") && !glob("a*a", "a") && !glob("", "a"));
        assert!(glob("a*b*c", "axxbyyc") && !glob("a*b*c", "axxcyyb"));
    }
}
