//! What the generator is asked to do: the command line and its sanity. No memory is taken here.

use std::path::PathBuf;

use clap::Parser;

/// Memory with hot, warm and cold parts that verifies its own contents.
///
/// Sizes are original bytes (what the pages hold, not what they compress to): 4096, 64K, 20M, 1G.
/// After the parts are filled it prints `ready`, works until the limit or SIGTERM, touches the cold part,
/// verifies every page and prints one JSON line. Exit code 1 when a page held anything but its contents.
#[derive(Debug, Clone, Parser)]
#[command(name = "swaptier-workload", version)]
pub struct Args {
    /// Part that is touched all the time.
    #[arg(long, value_name = "SIZE", default_value = "20M", value_parser = parse_size)]
    pub hot: u64,
    /// Part of which a fifth is touched in each loop.
    #[arg(long, value_name = "SIZE", default_value = "20M", value_parser = parse_size)]
    pub warm: u64,
    /// Part that is touched at the end only.
    #[arg(long, value_name = "SIZE", default_value = "100M", value_parser = parse_size)]
    pub cold: u64,
    /// Shared memory (memfd) instead of anonymous memory.
    #[arg(long)]
    pub shmem: bool,
    /// Ask for huge pages; without it they are declined, so that counts of pages are exact.
    #[arg(long)]
    pub thp: bool,
    /// Compressed size of an ordinary page, about, in percent of its original size.
    #[arg(long, value_name = "PERCENT", default_value_t = 35, value_parser = clap::value_parser!(u8).range(1..=99))]
    pub compress: u8,
    /// Pages that are all zero, in percent; exact within each hundred pages.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub zero: u8,
    /// Pages that do not compress, in percent; exact within each hundred pages.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub raw: u8,
    /// Touches of the loops that rewrite the whole page with its next generation, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub write: u8,
    /// Write a file of this size and read it in every loop, so that the page cache stays hot.
    #[arg(long, value_name = "SIZE", value_parser = parse_size, requires = "file_dir")]
    pub file_cache: Option<u64>,
    /// Directory for that file, or a block device whose beginning may be overwritten.
    #[arg(long, value_name = "DIR", requires = "file_cache")]
    pub file_dir: Option<PathBuf>,
    /// Two runs with the same seed hold the same pages.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Touches of the hot part in a second; without it as many as the machine gives.
    #[arg(long, value_name = "PAGES", value_parser = clap::value_parser!(u64).range(1..))]
    pub hot_rate: Option<u64>,
    /// Stop after this time.
    #[arg(long, value_name = "N", conflicts_with_all = ["loops", "commands"])]
    pub seconds: Option<u64>,
    /// Stop after this many loops.
    #[arg(long, value_name = "N", conflicts_with = "commands")]
    pub loops: Option<u64>,
    /// No loops of its own: read commands from stdin (`help` lists them), answer each with one JSON line.
    #[arg(long)]
    pub commands: bool,
    /// Create this file when the parts are filled, instead of printing `ready`.
    #[arg(long, value_name = "PATH")]
    pub ready_file: Option<PathBuf>,
}

/// The request cannot be meant: told to the user, exit code 2, nothing allocated.
#[derive(Debug)]
pub struct Nonsense(String);

impl std::fmt::Display for Nonsense {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Nonsense {}

impl Args {
    /// Original bytes of the three parts together.
    ///
    /// # Errors
    /// When the sum does not fit an address space, is nothing, or is more than `available` bytes (RAM that can be
    /// had plus free swap), or when the shares of page kinds exceed the whole.
    pub fn check(&self, available: u64) -> Result<u64, Nonsense> {
        let total =
            [self.hot, self.warm, self.cold].iter().try_fold(0u64, |sum, &part| sum.checked_add(part));
        let Some(total) = total.filter(|&t| t <= i64::MAX as u64) else {
            return Err(Nonsense("--hot, --warm and --cold together exceed any address space".into()));
        };
        if total == 0 {
            return Err(Nonsense("--hot, --warm and --cold are all 0: there is nothing to do".into()));
        }
        if self.zero + self.raw > 100 {
            let (zero, raw) = (self.zero, self.raw);
            return Err(Nonsense(format!("--zero {zero} and --raw {raw} together exceed 100 percent")));
        }
        if total > available {
            let (asked, have) = (mib(total), mib(available));
            return Err(Nonsense(format!(
                "asked for {asked} MiB of memory, but RAM and free swap together have {have} MiB"
            )));
        }
        Ok(total)
    }
}

fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

/// Reads `4096`, `64K`, `20M`, `1G`: multiples of 1024, original bytes.
///
/// # Errors
/// A sentence that shows the accepted forms.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| format!("`{text}` is no size; write bytes or 64K, 20M, 1G (whole numbers)"))?;
    number.checked_mul(1 << shift).ok_or_else(|| format!("`{text}` is more than 64 bits of bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Args {
        let words = std::iter::once("swaptier-workload").chain(line.split_whitespace());
        Args::try_parse_from(words).unwrap()
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(parse_size("20M"), Ok(20 * 1024 * 1024));
        assert_eq!(parse_size("4096"), Ok(4096));
        assert_eq!(parse_size("1g"), Ok(1 << 30));
    }

    #[test]
    fn sizes_that_mean_nothing_are_refused_with_the_accepted_forms() {
        for wrong in ["", "M", "-1", "1.5G", "20MB", "ten"] {
            assert!(parse_size(wrong).unwrap_err().contains("20M"), "{wrong}");
        }
        // 2^34 GiB = 2^64 bytes, one more than fits.
        assert!(parse_size("17179869184G").unwrap_err().contains("64 bits"));
    }

    #[test]
    fn more_memory_than_the_machine_has_is_refused_before_it_is_taken() {
        let error = args("--hot 1G --warm 0 --cold 1G").check(1 << 30).unwrap_err().to_string();
        assert!(error.contains("2048 MiB") && error.contains("1024 MiB"), "{error}");
    }

    #[test]
    fn nonsense_is_named() {
        assert!(args("--hot 0 --warm 0 --cold 0").check(u64::MAX).unwrap_err().0.contains("all 0"));
        assert!(args("--zero 60 --raw 60").check(u64::MAX).unwrap_err().0.contains("100 percent"));
        assert!(
            args("--hot 15000000000G --cold 15000000000G").check(u64::MAX).unwrap_err().0.contains("address")
        );
    }

    #[test]
    fn a_file_cache_needs_a_place() {
        assert!(Args::try_parse_from(["swaptier-workload", "--file-cache", "1M"]).is_err());
    }
}
