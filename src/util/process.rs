//! What the operating system says about this process, and what it is asked for a thread.
//!
//! Knows where Linux keeps it. Does not know what it is used for.

/// Bytes of memory that are resident now; `None` where the system does not say.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(resident)
}

/// Has the calling thread step back behind the threads that answer requests: for work that takes long by nature. Where the
/// system has no priority of a thread, or allows none, nothing changes.
pub fn step_back() {
    /// A tenth of the share of a thread that competes with it; every idle moment is still its own.
    #[cfg(target_os = "linux")]
    const NICENESS: i32 = 10;
    // On Linux "this process" is the calling thread.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICENESS);
}

/// `VmRSS:     12345 kB`.
fn resident(line: &str) -> Option<u64> {
    let kib = line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim();
    kib.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_line_counts() {
        assert_eq!(resident("VmRSS:\t   12345 kB"), Some(12_641_280));
        assert_eq!(resident("VmHWM:\t   12345 kB"), None);
        assert_eq!(resident("VmRSS:\t   -1 kB"), None);
    }
}
