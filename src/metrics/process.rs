//! What the system says of this process. Elsewhere than on Linux it says nothing here, and the metrics stay at 0.

use std::fs;

use super::Metric;

/// Memory, open descriptors and their limit, as far as they can be read.
pub(super) fn read() -> Vec<(Metric, f64)> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    // The folder itself is open while it is read.
    let open = fs::read_dir("/proc/self/fd").map(|entries| entries.count().saturating_sub(1) as f64);
    let found = [
        (Metric::ResidentMemory, resident(&status)),
        (Metric::OpenDescriptors, open.ok()),
        (Metric::MaxDescriptors, max_descriptors(&limits)),
    ];
    found.into_iter().filter_map(|(metric, value)| Some((metric, value?))).collect()
}

/// Bytes of `VmRSS`, which the kernel gives in units of 1,024.
fn resident(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<f64>().ok()? * 1024.0)
}

/// The soft limit; infinity where there is none.
fn max_descriptors(limits: &str) -> Option<f64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(f64::INFINITY),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_kernel_are_read() {
        assert_eq!(resident("Name:\tqyvo\nVmRSS:\t   22836 kB\nThreads:\t9\n"), Some(23_384_064.0));
        assert_eq!(resident("Name:\tqyvo\n"), None);
        let limits = "Limit   Soft Limit   Hard Limit   Units\nMax open files   1024   524288   files\n";
        assert_eq!(max_descriptors(limits), Some(1024.0));
        assert_eq!(max_descriptors("Max open files   unlimited   unlimited   files\n"), Some(f64::INFINITY));
        #[cfg(target_os = "linux")]
        assert_eq!(read().len(), 3);
    }
}
