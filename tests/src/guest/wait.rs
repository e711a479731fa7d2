//! Patience with a limit: every wait of the guest tests ends, and says what it waited for.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Asks `condition` every 20 ms until it holds.
///
/// # Errors
/// When it does not within `limit`, or when `condition` itself fails.
pub fn wait_for(what: &str, limit: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + limit;
    while !condition()? {
        if Instant::now() >= end {
            bail!("waited {} s in vain: {what}", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vain_wait_says_what_for() {
        let error = wait_for("the moon", Duration::ZERO, || Ok(false)).unwrap_err();
        assert!(error.to_string().contains("the moon"));
    }

    #[test]
    fn a_condition_that_holds_already_is_enough() {
        assert!(wait_for("now", Duration::ZERO, || Ok(true)).is_ok());
    }
}
