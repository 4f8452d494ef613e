//! The tree of verdicts, from the text that a run leaves: branches that hold are folded, those that do not are open.

use super::svg::escape;

/// A branch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Branch {
    /// `true`, `false` or `unknown`.
    pub valid: String,
    /// Name and sentence.
    pub text: String,
    /// Lines of the history that show it, and what else stands below.
    pub lines: Vec<String>,
    /// Parts.
    pub children: Vec<Branch>,
}

/// Reads the tree. A line that is no verdict belongs to the last one: its witness, or the rest of a long text.
pub fn parse(text: &str) -> Vec<Branch> {
    // Branches that are not yet complete, each the parent of the next.
    let mut open: Vec<Branch> = vec![Branch::default()];
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let words = line.trim_start();
        let indent = line.len() - words.len();
        let verdict = words.split_once("  ").filter(|(valid, _)| matches!(*valid, "true" | "false" | "unknown"));
        match verdict {
            Some((valid, text)) if indent % 2 == 0 && indent / 2 < open.len() => {
                fold(&mut open, indent / 2 + 1);
                open.push(Branch { valid: valid.to_owned(), text: text.to_owned(), ..Branch::default() });
            }
            _ => open.last_mut().expect("the root is never taken").lines.push(line.trim().to_owned()),
        }
    }
    fold(&mut open, 1);
    open.remove(0).children
}

/// Hands finished branches to their parents until so many are open.
fn fold(open: &mut Vec<Branch>, depth: usize) {
    while open.len() > depth.max(1) {
        let done = open.pop().expect("more than one is open");
        open.last_mut().expect("the root is never taken").children.push(done);
    }
}

/// The tree as nested lists that fold.
pub fn draw(branches: &[Branch]) -> String {
    branches.iter().map(|branch| one(branch, 0)).collect()
}

fn one(branch: &Branch, depth: usize) -> String {
    let (name, text) = branch.text.split_once(": ").unwrap_or((&branch.text, ""));
    let valid = escape(&branch.valid);
    let head = format!("<b class=\"valid {valid}\">{valid}</b> <strong>{}</strong> {}", escape(name), escape(text));
    if branch.lines.is_empty() && branch.children.is_empty() {
        return format!("<div class=\"leaf\">{head}</div>");
    }
    let is_open = depth == 0 || branch.valid != "true";
    let lines = if branch.lines.is_empty() { String::new() } else { format!("<pre>{}</pre>", escape(&branch.lines.join("\n"))) };
    let children: String = branch.children.iter().map(|child| one(child, depth + 1)).collect();
    format!("<details{}><summary>{head}</summary>{lines}{children}</details>", if is_open { " open" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;
    use crate::core::{Op, Value};

    #[test]
    fn the_tree_that_a_run_prints_is_read_back() {
        let witness = vec![Op::invoke(3, "read", Value::Nil).on("a1")];
        let broken = Verdict::invalid("restart", "not whole\nthe log says so", Vec::new());
        let register = Verdict::all("register", vec![Verdict::valid("k0", "12 calls"), Verdict::invalid("k1", "stale", witness)]);
        let tree = Verdict::all("run 3 seed 1", vec![register, broken, Verdict::unknown("faults", "too few")]);
        let read = parse(&tree.to_string());
        assert_eq!(read.len(), 1);
        let names: Vec<&str> = read[0].children.iter().map(|child| child.valid.as_str()).collect();
        assert_eq!(names, ["false", "false", "unknown"]);
        let register = &read[0].children[0];
        assert_eq!((register.children.len(), register.children[0].text.as_str()), (2, "k0: 12 calls"));
        assert!(register.children[1].lines[0].contains("invoke read nil  node=a1"), "{:?}", register.children[1].lines);
        assert_eq!(read[0].children[1].lines, ["the log says so"]);
    }

    #[test]
    fn what_holds_is_folded_and_what_does_not_is_open() {
        let page = draw(&parse("false  run: x\n  true  a: y\n    true  b: z\n  false  c: <i>\n    unknown  d: w\n"));
        assert!(page.contains("<details><summary><b class=\"valid true\">true</b> <strong>a</strong>"), "{page}");
        assert!(page.contains("<details open><summary><b class=\"valid false\">false</b> <strong>c</strong> &lt;i&gt;"), "{page}");
    }
}
