//! A guest in Rust: formatting, slices and strings, and so all functions that the compiler calls by name.
#![no_std]

#[path = "../../../examples/project/rust/pvguest.rs"]
mod pvguest;

use core::ffi::{c_char, c_int, CStr};
use core::fmt::Write;

use pvguest::Console;

#[derive(Clone, Copy, PartialEq)]
struct Large([u8; 512]);

#[inline(never)]
fn changed(mut large: Large) -> Large {
    large.0[511] = 7;
    large.0.copy_within(500..512, 100);
    large
}

#[no_mangle]
pub extern "C" fn main(cmdline: *const c_char) -> c_int {
    let told = unsafe { CStr::from_ptr(cmdline) };
    let before = Large([0; 512]);
    let after = changed(before);
    let mut numbers = [3, 1, 2];

    numbers.sort_unstable();
    let _ = writeln!(Console, "sorted {numbers:?}, {:#x}", 0xdead_u32);
    pvguest::test(!told.to_bytes().is_empty(), c"the command line arrives");
    pvguest::test(before != after && after.0[111] == 7, c"large values are copied and compared");
    pvguest::test("ring3".contains("ng") && "ring3" < "ring4", c"strings are searched and compared");
    pvguest::test(pvguest::clock_ns() <= pvguest::clock_ns(), c"the clock goes on");
    if told.to_bytes().ends_with(b"panic") {
        let index = told.to_bytes().len();
        return numbers[index];
    }
    pvguest::test_finish()
}
