//! How a command ends when it does not succeed: what is printed, and the exit code.
//!
//! Codes are part of the contract with scripts: 1 is a fault on this side (usage, files, flags), 2 is what the server refused or does not have.
//! Not here: how a server's refusal is worded (`client`).

/// The end of a command that did not simply succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// What is printed, without the last line end; nothing if empty.
    pub text: String,
    /// Whether the text is the answer itself (standard output) and no error.
    pub is_answer: bool,
}

impl Failure {
    /// A fault on this side: exit code 1.
    pub fn local(text: impl Into<String>) -> Self {
        Self { code: 1, text: text.into(), is_answer: false }
    }
    /// The server refused, or has nothing there: exit code 2.
    pub fn remote(text: impl Into<String>) -> Self {
        Self { code: 2, text: text.into(), is_answer: false }
    }
    /// Ends with a code and says nothing more.
    pub fn silent(code: u8) -> Self {
        Self { code, text: String::new(), is_answer: false }
    }
    /// Ends the command early with this answer: exit code 0, on standard output.
    pub fn answer(text: impl Into<String>) -> Self {
        Self { code: 0, text: text.into(), is_answer: true }
    }
    /// The same with what was being done in front: `Error reading secret/app: …`.
    #[must_use]
    pub fn during(mut self, doing: &str) -> Self {
        if !self.is_answer {
            self.text = format!("{doing}: {}", self.text);
        }
        self
    }
}

/// What a command gives back: an exit code that is no failure (mostly 0), or how it failed.
pub type Outcome = Result<u8, Failure>;
