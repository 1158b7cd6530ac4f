//! What is used here of the guest library, which is C's: the headers in <pvguest/...> have all of it, and the contracts.
#![allow(dead_code)] // each guest uses some

use core::ffi::{c_char, c_int, CStr};
use core::fmt::{self, Write};
use core::panic::PanicInfo;

extern "C" {
    fn pvg_write(bytes: *const u8, len: usize);
    fn pvg_exit(status: u32) -> !;
    fn pvg_clock_ns() -> u64;
    fn pvg_test(passed: bool, format: *const c_char, ...) -> bool;
    fn pvg_test_finish() -> c_int;
}

/// What a guest that panicked ends with: PVG_STATUS_PANIC of <pvguest/start.h>.
const STATUS_PANIC: u32 = 101;

/// The console, for write! and writeln!.
pub struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        unsafe { pvg_write(text.as_ptr(), text.len()) };
        Ok(())
    }
}

/// Nanoseconds since some point near boot.
pub fn clock_ns() -> u64 {
    unsafe { pvg_clock_ns() }
}

/// Reports one check in TAP.
pub fn test(passed: bool, name: &CStr) {
    unsafe { pvg_test(passed, c"%s".as_ptr(), name.as_ptr()) };
}

/// Prints the plan; the exit status of the tests.
pub fn test_finish() -> c_int {
    unsafe { pvg_test_finish() }
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    let _ = writeln!(Console, "{info}");
    unsafe { pvg_exit(STATUS_PANIC) }
}

/// Named by a core library that was built to unwind; nothing unwinds here.
#[no_mangle]
pub extern "C" fn rust_eh_personality() {}
