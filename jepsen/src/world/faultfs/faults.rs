//! What is wrong with a disk: set while it is mounted.

use std::time::Duration;

/// Of one disk. By default nothing is wrong.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// `fsync` answers well and does nothing.
    pub sync_lies: bool,
    /// `fsync` fails.
    pub sync_fails: bool,
    /// The n-th operation from now fails with EIO, and no other.
    pub fail_in: Option<u64>,
    /// No more bytes than this in all files.
    pub room: Option<u64>,
    /// Each write and `fsync` takes this much longer.
    pub slow: Duration,
    /// One in so many reads has a bit flipped.
    pub flip_every: Option<u64>,
    /// Operations so far, for the above.
    pub count: u64,
}

impl Faults {
    /// Counts an operation; true if it must fail.
    pub fn fails_now(&mut self) -> bool {
        match &mut self.fail_in {
            Some(0 | 1) => {
                self.fail_in = None;
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    /// Damages what is read, when it is its turn.
    pub fn damage(&mut self, bytes: &mut [u8]) {
        self.count += 1;
        let is_due = self.flip_every.is_some_and(|every| every > 0 && self.count.is_multiple_of(every));
        if let (true, false) = (is_due, bytes.is_empty()) {
            let at = usize::try_from(self.count).unwrap_or(0) * 7919 % bytes.len();
            bytes[at] ^= 1 << (self.count % 8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_operation_fails_and_no_other() {
        let mut faults = Faults { fail_in: Some(3), ..Faults::default() };
        assert_eq!([(); 5].map(|()| faults.fails_now()), [false, false, true, false, false]);
    }
}
