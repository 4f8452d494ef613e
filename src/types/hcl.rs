//! The notation of policies and configuration: HCL as written for the first version of that language, or JSON. Pure.
//!
//! Hand-written, because parsers of today's HCL refuse what files in the wild contain: several attributes on one line, commas
//! between them, quoted keys, `key = {}` for blocks.

use std::iter::Peekable;
use std::str::Chars;

use serde_json::Value;

/// Text that is not well-formed. The text says where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at line {line}: {text}")]
pub struct Malformed {
    /// The first is 1.
    pub line: usize,
    /// What is wrong.
    pub text: String,
}

/// `key "label" … = value`, or a block.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The key and its labels; never empty.
    pub keys: Vec<String>,
    /// What it says.
    pub node: Node,
    /// Where it starts; 0 if that is not known, as in some JSON.
    pub line: usize,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// A body or an object.
    Object(Vec<Line>),
    /// A list.
    List(Vec<Node>),
    /// A text.
    Text(String),
    /// A number, truth value or `null`.
    Other(Value),
}

impl Node {
    /// The same as JSON.
    pub fn into_json(self) -> Value {
        match self {
            Self::Object(lines) => Value::Object(lines.into_iter().map(|line| (line.keys.join("."), line.node.into_json())).collect()),
            Self::List(nodes) => Value::Array(nodes.into_iter().map(Self::into_json).collect()),
            Self::Text(text) => Value::String(text),
            Self::Other(value) => value,
        }
    }
}

/// Deepest nesting: bounds the stack that reading takes.
const DEPTH_MAX: usize = 32;

/// Reads a whole text.
///
/// # Errors
/// If it is neither HCL nor JSON.
pub fn read(text: &str) -> Result<Vec<Line>, Malformed> {
    if text.trim_start().starts_with('{') {
        let value: Value = serde_json::from_str(text).map_err(|error| Malformed { line: error.line(), text: error.to_string() })?;
        // HCL is nearly a superset of JSON, and its reader knows lines. What it does not know of JSON is taken without them.
        let mut reader = Reader { chars: text.chars().peekable(), line: 1, depth: 0 };
        return match (reader.value(), from_json(value)) {
            (Ok(Node::Object(lines)), _) | (Err(_), Node::Object(lines)) => Ok(lines),
            _ => Err(Malformed { line: 1, text: "expected an object".to_owned() }),
        };
    }
    let mut reader = Reader { chars: text.chars().peekable(), line: 1, depth: 0 };
    reader.body(None)
}

fn from_json(value: Value) -> Node {
    match value {
        Value::Object(map) => {
            Node::Object(map.into_iter().map(|(key, value)| Line { keys: vec![key], node: from_json(value), line: 0 }).collect())
        }
        Value::Array(values) => Node::List(values.into_iter().map(from_json).collect()),
        Value::String(text) => Node::Text(text),
        other => Node::Other(other),
    }
}

struct Reader<'t> {
    chars: Peekable<Chars<'t>>,
    line: usize,
    depth: usize,
}

impl Reader<'_> {
    fn wrong<T>(&self, text: impl Into<String>) -> Result<T, Malformed> {
        Err(Malformed { line: self.line, text: text.into() })
    }

    fn next(&mut self) -> Option<char> {
        let next = self.chars.next();
        if next == Some('\n') {
            self.line += 1;
        }
        next
    }

    /// Skips blanks and comments, and looks at what follows.
    fn peek(&mut self) -> Result<Option<char>, Malformed> {
        loop {
            match self.chars.peek().copied() {
                Some(c) if c.is_whitespace() || c == '\u{feff}' => {
                    self.next();
                }
                Some('#') => self.skip_line(),
                Some('/') => {
                    self.next();
                    match self.next() {
                        Some('/') => self.skip_line(),
                        Some('*') => self.skip_comment()?,
                        _ => return self.wrong("expected a comment after '/'"),
                    }
                }
                other => return Ok(other),
            }
        }
    }

    fn skip_line(&mut self) {
        while self.chars.peek().is_some_and(|c| *c != '\n') {
            self.next();
        }
    }

    fn skip_comment(&mut self) -> Result<(), Malformed> {
        let mut before = ' ';
        loop {
            match self.next() {
                Some('/') if before == '*' => return Ok(()),
                Some(c) => before = c,
                None => return self.wrong("comment not terminated"),
            }
        }
    }

    /// Lines up to `end`, which is eaten.
    fn body(&mut self, end: Option<char>) -> Result<Vec<Line>, Malformed> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.wrong("nested too deeply");
        }
        let mut lines = Vec::new();
        loop {
            match self.peek()? {
                None if end.is_none() => break,
                None => return self.wrong("object expected closing RBRACE got: EOF"),
                Some(c) if Some(c) == end => {
                    self.next();
                    break;
                }
                Some(',') if !lines.is_empty() => {
                    self.next();
                }
                Some(_) => lines.push(self.one_line()?),
            }
        }
        self.depth -= 1;
        Ok(lines)
    }

    fn one_line(&mut self) -> Result<Line, Malformed> {
        let line_at = self.line;
        let mut keys = Vec::new();
        loop {
            match self.peek()? {
                Some('"') => keys.push(self.quoted()?),
                Some(c) if is_word(c) => keys.push(self.word()),
                Some('=' | ':') if !keys.is_empty() => {
                    self.next();
                    let equals_at = self.line;
                    // Nothing after the `=` is a mistake of its line, not of the next that has something.
                    if self.peek()?.is_none() {
                        return Err(Malformed { line: equals_at, text: "expected a value".to_owned() });
                    }
                    let node = self.value()?;
                    return Ok(Line { keys, node, line: line_at });
                }
                Some('{') if !keys.is_empty() => {
                    self.next();
                    let node = Node::Object(self.body(Some('}'))?);
                    return Ok(Line { keys, node, line: line_at });
                }
                Some(c) => return self.wrong(format!("unexpected {c:?}")),
                None => return self.wrong("unexpected end of the text"),
            }
        }
    }

    fn value(&mut self) -> Result<Node, Malformed> {
        match self.peek()? {
            Some('"') => Ok(Node::Text(self.quoted()?)),
            Some('{') => {
                self.next();
                Ok(Node::Object(self.body(Some('}'))?))
            }
            Some('[') => self.list(),
            Some('<') => Ok(Node::Text(self.heredoc()?)),
            Some(c) if is_word(c) || c == '-' => {
                let word = self.word();
                match serde_json::from_str(&word) {
                    Ok(value) => Ok(Node::Other(value)),
                    Err(_) => self.wrong(format!("unknown value {word:?}: texts need quotes")),
                }
            }
            _ => self.wrong("expected a value"),
        }
    }

    fn list(&mut self) -> Result<Node, Malformed> {
        self.next();
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.wrong("nested too deeply");
        }
        let mut nodes = Vec::new();
        let mut may_close = true;
        loop {
            match self.peek()? {
                Some(']') => {
                    self.next();
                    self.depth -= 1;
                    return Ok(Node::List(nodes));
                }
                Some(',') if !may_close => {
                    self.next();
                    may_close = true;
                }
                Some(_) if may_close => {
                    nodes.push(self.value()?);
                    may_close = false;
                }
                Some(_) => return self.wrong("error parsing list, expected comma or list end"),
                None => return self.wrong("error parsing list: unexpected end of the text"),
            }
        }
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(c) = self.chars.peek().copied().filter(|c| is_word(*c) || *c == '-') {
            word.push(c);
            self.next();
        }
        word
    }

    fn quoted(&mut self) -> Result<String, Malformed> {
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                Some('"') => return Ok(text),
                Some('\\') => match self.next() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some('u') => {
                        let code: String = (0..4).filter_map(|_| self.next()).collect();
                        match u32::from_str_radix(&code, 16).ok().and_then(char::from_u32) {
                            Some(c) => text.push(c),
                            None => return self.wrong("illegal character escape"),
                        }
                    }
                    Some(c @ ('"' | '\\' | '/')) => text.push(c),
                    _ => return self.wrong("illegal character escape"),
                },
                Some('\n') | None => return self.wrong("literal not terminated"),
                Some(c) => text.push(c),
            }
        }
    }

    fn heredoc(&mut self) -> Result<String, Malformed> {
        let rest_of_line = |reader: &mut Self| {
            let mut line = String::new();
            while let Some(c) = reader.next().filter(|c| *c != '\n') {
                line.push(c);
            }
            line
        };
        let head = rest_of_line(self);
        let Some(end) = head.trim().strip_prefix("<<") else { return self.wrong("expected a heredoc") };
        let end = end.trim_start_matches('-').trim().to_owned();
        let mut text = String::new();
        while self.chars.peek().is_some() {
            let line = rest_of_line(self);
            if line.trim() == end {
                return Ok(text);
            }
            text.push_str(&line);
            text.push('\n');
        }
        self.wrong("heredoc not terminated")
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let json = read(text).map(|lines| Node::Object(lines).into_json().to_string());
        assert_eq!(json.as_deref().unwrap_or_else(|wrong| &wrong.text), expected, "{text}");
    }

    #[test]
    fn the_old_notation_is_read() {
        check("", "{}");
        check("# c\n// d\n/* e\n */\n", "{}");
        check(r#"path "a/*" { capabilities = ["read", "list",] }"#, r#"{"path.a/*":{"capabilities":["read","list"]}}"#);
        check(r#""path" "a" { policy = "read" }"#, r#"{"path.a":{"policy":"read"}}"#);
        check(r#"path "a" { a = 1 b = true, c = "x" }"#, r#"{"path.a":{"a":1,"b":true,"c":"x"}}"#);
        check(r#"path = { "a" = { policy = "deny" } }"#, r#"{"path":{"a":{"policy":"deny"}}}"#);
        check("a = <<EOF\nx\n  y\nEOF\n", r#"{"a":"x\n  y\n"}"#);
        check(r#"a = "\"q\"\u0041""#, r#"{"a":"\"q\"A"}"#);
        check(r#"{"path": {"a": {"capabilities": ["read"]}}}"#, r#"{"path":{"a":{"capabilities":["read"]}}}"#);
        check(r#"{"a": "\ud83d\ude00", "b": [1e+3, null, -2.5]}"#, r#"{"a":"😀","b":[1000.0,null,-2.5]}"#);
        check("a { b { \"c\" = [] } }", r#"{"a":{"b":{"c":[]}}}"#);
    }

    #[test]
    fn what_is_malformed_is_refused() {
        check(r#"path "a" {"#, "object expected closing RBRACE got: EOF");
        check(r#"path "a"#, "literal not terminated");
        check("a = [1 2]", "error parsing list, expected comma or list end");
        check("a = read", "unknown value \"read\": texts need quotes");
        check("}", "unexpected '}'");
        check("a =", "expected a value");
        check("/* x", "comment not terminated");
        assert_eq!(read("\n\na = %").unwrap_err().line, 3);
        assert!(read(&"a { ".repeat(1000)).is_err());
        assert!(read(&format!("a = {}", "[".repeat(1000))).is_err());
    }
}
