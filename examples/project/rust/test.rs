//! The tests of @NAME@, a guest of their own: TAP on the console, judged by `ring3 run --junit`.
#![no_std]

mod pvguest;
mod sum;

use core::ffi::{c_char, c_int};

#[no_mangle]
pub extern "C" fn main(_cmdline: *const c_char) -> c_int {
    pvguest::test(sum::sum_to(0) == 0, c"nothing adds up to nothing");
    pvguest::test(sum::sum_to(1) == 1, c"one number");
    pvguest::test(sum::sum_to(100) == 5050, c"the sum that Gauss found");
    pvguest::test_finish()
}
