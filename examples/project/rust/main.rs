//! @NAME@: a guest kernel in Rust, without the standard library.
#![no_std]

mod pvguest;
mod sum;

use core::ffi::{c_char, c_int, CStr};
use core::fmt::Write;

use pvguest::Console;

#[no_mangle]
pub extern "C" fn main(cmdline: *const c_char) -> c_int {
    let told = unsafe { CStr::from_ptr(cmdline) }.to_str().unwrap_or("?");

    let _ = writeln!(Console, "@NAME@ runs, told '{told}'");
    let _ = writeln!(Console, "the numbers up to 100 add up to {}", sum::sum_to(100));
    0
}
