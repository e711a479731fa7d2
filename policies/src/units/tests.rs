//! Claims about parsing, showing and rounding quantities.

use super::*;

fn bytes(text: &str) -> Result<u64, String> {
    text.parse::<Bytes>().map(|b| b.0).map_err(|e| e.to_string())
}

#[test]
fn sizes_are_powers_of_1024() {
    assert_eq!(bytes("4096"), Ok(4096));
    assert_eq!(bytes("64M"), Ok(64 << 20));
    assert_eq!(bytes("64MiB"), Ok(64 << 20));
    assert_eq!(bytes("8 G"), Ok(8 << 30));
    // 1.5 × 2^30 = 1 610 612 736.
    assert_eq!(bytes("1.5G"), Ok(1_610_612_736));
    // 0.1 × 1024 = 102.4, rounded down.
    assert_eq!(bytes("0.1K"), Ok(102));
}

#[test]
fn sizes_that_mean_nothing_are_refused_with_the_reason() {
    assert_eq!(bytes(" "), Err("empty text".into()));
    assert_eq!(bytes("-1M"), Err("`-1M` is negative".into()));
    assert_eq!(bytes("lots"), Err("`lots` is not a number with a unit".into()));
    assert_eq!(bytes("1.2.3M"), Err("`1.2.3M` is not a number with a unit".into()));
    assert_eq!(bytes("64MB"), Err("`64MB` has the unknown unit `MB`".into()));
    // 2^64 is one more than a u64 holds; 16384 × 2^50 = 2^64.
    assert_eq!(bytes("18446744073709551615"), Ok(u64::MAX));
    assert_eq!(bytes("18446744073709551616"), Err("`18446744073709551616` is too large".into()));
    assert_eq!(bytes("16384P"), Err("`16384P` is too large".into()));
    assert_eq!(bytes(&"9".repeat(500)), Err(format!("`{}` is too large", "9".repeat(500))));
}

#[test]
fn durations_need_a_unit_and_whole_seconds() {
    let seconds = |text: &str| text.parse::<Seconds>().map(|s| s.0).map_err(|e| e.to_string());
    assert_eq!(seconds("90s"), Ok(90));
    assert_eq!(seconds("1h30m"), Ok(5_400));
    assert_eq!(seconds("0.5h"), Ok(1_800));
    assert_eq!(seconds("10"), Err("`10` has no unit".into()));
    assert_eq!(seconds("10 ms"), Err("`10 ms` has the unknown unit `ms`".into()));
    assert_eq!(seconds("1.5s"), Err("`1.5s` is finer than a second".into()));
}

#[test]
fn shares_end_at_the_whole() {
    let share = |text: &str| text.parse::<Share>().map(|s| s.0).map_err(|e| e.to_string());
    assert_eq!(share("25%"), Ok(250_000));
    assert_eq!(share("0.1%"), Ok(1_000));
    assert_eq!(share("100%"), Ok(1_000_000));
    assert_eq!(share("100.0001%"), Err("`100.0001%` is more than 100%".into()));
    assert_eq!(share("0.00001%"), Err("`0.00001%` is finer than 0.0001%".into()));
    assert_eq!(share("0.25"), Err("`0.25` has no unit".into()));
}

#[test]
fn rates_are_per_second_and_per_minute() {
    assert_eq!("16M/s".parse(), Ok(ByteRate(16 << 20)));
    // 60 MiB a minute is 1 MiB a second.
    assert_eq!("60M/min".parse(), Ok(ByteRate(1 << 20)));
    // 0.2 % is 2 000 ppm; 12 % an hour is 0.2 % a minute.
    assert_eq!("0.2%/min".parse(), Ok(ShareRate(2_000)));
    assert_eq!("12%/h".parse(), Ok(ShareRate(2_000)));
    assert_eq!("16M".parse::<ByteRate>().map_err(|e| e.to_string()), Err("`16M` has no unit".into()));
    assert_eq!(
        "16M/week".parse::<ByteRate>().map_err(|e| e.to_string()),
        Err("`16M/week` has the unknown unit `/week`".into())
    );
}

#[test]
fn quantities_read_well() {
    let shown = |bytes| Bytes(bytes).to_string();
    assert_eq!(shown(1023), "1023 B");
    assert_eq!(shown(64 << 20), "64.0 MiB");
    // 1 048 575 B = 1023.999 KiB, which one decimal shows as the next unit.
    assert_eq!(shown((1 << 20) - 1), "1.0 MiB");
    assert_eq!(shown(u64::MAX), "16.0 EiB");
    assert_eq!(Seconds(5_400).to_string(), "1h 30m");
    assert_eq!(Seconds(600).to_string(), "10m");
    assert_eq!(Seconds(86_405).to_string(), "1d");
    assert_eq!(Seconds(0).to_string(), "0s");
    assert_eq!(Share(1_500).to_string(), "0.15%");
    assert_eq!(Share(250_000).to_string(), "25%");
    assert_eq!(format!("{:>10}", Limit::Max), "       max");
}

#[test]
fn limits_are_what_the_kernel_shows_after_the_write() {
    let page = Bytes(4096);
    let kept = |limit: Limit| limit.as_kernel_keeps_it(page);
    // 10 000 = 2 × 4096 + 1808.
    assert_eq!(kept(Limit::Bytes(Bytes(10_000))), Limit::Bytes(Bytes(8_192)));
    // PAGE_COUNTER_MAX is (2^63 − 1) / 4096 pages; from there on the file reads `max`.
    assert_eq!(kept(Limit::Bytes(Bytes(i64::MAX as u64))), Limit::Max);
    assert_eq!(kept(Limit::Bytes(Bytes((1 << 63) - 4096))), Limit::Max);
    assert_eq!(kept(Limit::Bytes(Bytes((1 << 63) - 8192))), Limit::Bytes(Bytes((1 << 63) - 8192)));
    assert_eq!(kept(Limit::ZERO), Limit::ZERO);
}

#[test]
fn journals_hold_numbers_and_configuration_may_hold_text() {
    let json = serde_json::to_string(&(Bytes(64 << 20), Limit::Max, Limit::Bytes(Bytes(7)))).unwrap();
    assert_eq!(json, r#"[67108864,"max",7]"#);
    let back: (Bytes, Limit, Limit) = serde_json::from_str(r#"["64M","max","7"]"#).unwrap();
    assert_eq!(back, (Bytes(64 << 20), Limit::Max, Limit::Bytes(Bytes(7))));
    let refused = serde_json::from_str::<Bytes>("-1").unwrap_err().to_string();
    assert!(refused.contains("integer `-1`"), "{refused}");
}
