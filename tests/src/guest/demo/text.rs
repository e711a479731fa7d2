//! How the demo looks: samples and claims in, text out. Pure.

use super::sample::{CgroupSample, Sample};
use super::verdict::Claim;

/// Lines of [`live`], for moving the cursor back over it.
pub(super) const LIVE_LINES: usize = 4;

/// The block that is printed every second.
pub(super) fn live(sample: &Sample) -> String {
    let older = sample.cold.view.older_than_seconds.map_or_else(|| "?".to_owned(), |s| s.to_string());
    let mut text = format!(
        "{:>4} s  {:<16} {:>24}  {:>10}  {:>14}  {:>7}  {:>13}  {:>6}\n",
        sample.at,
        "cgroup",
        "zswap compr. / original",
        "on disk",
        format!("older than {older} s"),
        "oldest",
        "written back",
        "PSI %"
    );
    for cgroup in [&sample.cold, &sample.hot] {
        text.push_str(&row(cgroup));
    }
    let last = sample.status.rounds.last();
    text.push_str(&last.map_or_else(
        || "        no round yet\n".to_owned(),
        |r| {
            format!(
                "        last round: {} pages asked, {} written by the {} in {:.2} s; ended by {}\n",
                count(r.asked_pages),
                count(r.written_pages),
                r.dialect,
                r.seconds,
                r.ended
            )
        },
    ));
    text
}

fn row(cgroup: &CgroupSample) -> String {
    format!(
        "        {:<16} {:>24}  {:>10}  {:>14}  {:>7}  {:>13}  {:>6}\n",
        cgroup.path,
        format!("{} / {}", mib(cgroup.compressed), mib(cgroup.original)),
        mib(cgroup.view.phys_pages * 4096),
        pages(cgroup.view.cold_pages),
        cgroup.view.oldest_seconds.map_or_else(|| "-".to_owned(), |s| format!("{s} s")),
        pages(cgroup.written_back),
        cgroup.pressure
    )
}

/// The closing table: one line a claim, the figures beside it.
pub(super) fn table(claims: &[Claim]) -> String {
    let mut text = String::new();
    let mut heading = "";
    for claim in claims {
        if claim.heading != heading {
            heading = claim.heading;
            text.push_str(&format!("\n{heading}\n"));
        }
        let mark = match claim.holds {
            Some(true) => "ok",
            Some(false) => "NO",
            None => "",
        };
        text.push_str(&format!("  {mark:<2}  {}\n", line(claim)));
    }
    text
}

/// A claim and its figures.
pub(super) fn line(claim: &Claim) -> String {
    format!("{:<46}  {}", claim.what, claim.figures)
}

/// `37,812 pages`.
pub(super) fn pages(number: u64) -> String {
    format!("{} pages", count(number))
}

/// `37,812`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `51.2 MiB`.
pub(super) fn mib(bytes: u64) -> String {
    // Tenths, rounded down, in whole numbers.
    let tenths = (bytes * 10) >> 20;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_sizes_have_a_tenth() {
        assert_eq!([count(7), count(1234), count(1_234_567)], ["7", "1,234", "1,234,567"]);
        // 1.5 MiB = 1,572,864 bytes.
        assert_eq!([mib(1_572_864), mib(0)], ["1.5 MiB", "0.0 MiB"]);
    }

    #[test]
    fn the_live_block_has_its_lines_and_the_last_round() {
        let mut sample = Sample { at: 12, ..Sample::default() };
        sample.cold.path = "demo.slice/cold".into();
        sample.cold.view.older_than_seconds = Some(5);
        assert_eq!(live(&sample).lines().count(), LIVE_LINES);
        assert!(live(&sample).contains("older than 5 s") && live(&sample).contains("no round yet"));
        let round =
            crate::guest::status::Round { asked_pages: 2000, written_pages: 2004, ..Default::default() };
        sample.status.rounds.push(round);
        assert_eq!(live(&sample).lines().count(), LIVE_LINES);
        assert!(live(&sample).contains("2,000 pages asked, 2,004 written"));
    }
}
