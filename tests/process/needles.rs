//! Texts that must lie nowhere in the clear, and the search for them: as they are, in hexadecimal, and in base64 at any offset.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Shorter forms would be found by chance.
const FORM_BYTES_MIN: usize = 8;

/// What is searched for. Each needle has a name, so that a failure does not print it.
pub struct Needles {
    forms: Vec<(&'static str, Vec<u8>)>,
    /// Whether some form begins with these two bytes: most places are passed over after one look.
    begins: Vec<bool>,
}

impl Needles {
    pub fn new() -> Self {
        Self { forms: Vec::new(), begins: vec![false; 1 << 16] }
    }

    pub fn add(&mut self, name: &'static str, needle: impl AsRef<[u8]>) {
        let needle = needle.as_ref();
        let mut forms = vec![needle.to_vec(), hex::encode(needle).into_bytes(), hex::encode_upper(needle).into_bytes()];
        // Base64 of a text that holds the needle: what it is depends on how many bytes come before, modulo three, except at the ends.
        for before in 0..3 {
            let mut text = vec![0; before];
            text.extend_from_slice(needle);
            for coded in [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                let first = (before * 8).div_ceil(6);
                let last = text.len() * 8 / 6;
                forms.push(coded.as_bytes()[first..last].to_vec());
            }
        }
        for form in forms {
            assert!(form.len() >= FORM_BYTES_MIN, "{name} is too short to be searched for");
            self.begins[usize::from(form[0]) << 8 | usize::from(form[1])] = true;
            self.forms.push((name, form));
        }
    }

    /// The names of those that lie in `bytes`.
    pub fn found_in(&self, bytes: &[u8]) -> Vec<&'static str> {
        let mut found = Vec::new();
        for (at, pair) in bytes.windows(2).enumerate() {
            if self.begins[usize::from(pair[0]) << 8 | usize::from(pair[1])] {
                let here = self.forms.iter().filter(|(_, form)| bytes[at..].starts_with(form));
                found.extend(here.map(|(name, _)| *name));
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Those that lie in a file in or below `folder`, with the file.
    pub fn found_below(&self, folder: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(self.found_below(&path));
            } else if let Ok(bytes) = fs::read(&path) {
                found.extend(self.found_in(&bytes).iter().map(|name| format!("{name} in {}", path.display())));
            }
        }
        found
    }
}

#[test]
fn a_needle_is_found_in_every_form_and_place() {
    let mut needles = Needles::new();
    needles.add("canary", "canary-7f3a9c51d2e8");
    for before in ["", "x", "xy", "xyz", "{\"a\":\""] {
        let text = format!("{before}canary-7f3a9c51d2e8\"}}");
        let forms = [text.clone(), hex::encode(&text), STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)];
        for form in forms {
            assert_eq!(needles.found_in(form.as_bytes()), ["canary"], "{form}");
        }
    }
    assert!(needles.found_in(b"canary-7f3a9c51d2e and others").is_empty());
}
