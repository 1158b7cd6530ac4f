//! Something to test, and to step through.

/// 0 + 1 + ... + last.
#[inline(never)]
pub fn sum_to(last: u64) -> u64 {
    (0..=last).sum()
}
