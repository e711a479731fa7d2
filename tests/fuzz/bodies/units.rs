//! Quantities: texts with a unit, as policies, `swaptier.toml` and the command line give them.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use serde::de::DeserializeOwned;
use swaptier_policies::units::UnitError;
use swaptier_policies::{ByteRate, Bytes, Limit, Seconds, Share, ShareRate};

/// Reads the text as every quantity, bare and as JSON. Both say the same; what is refused can be told.
pub fn try_one(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    read::<Bytes>(&text);
    read::<Seconds>(&text);
    read::<ByteRate>(&text);
    read::<Limit>(&text);
    read::<ShareRate>(&text);
    if let Some(share) = read::<Share>(&text) {
        assert!(share.0 <= 1_000_000);
        assert_eq!(share.to_string().parse(), Ok(share), "a share is shown exactly");
    }
}

fn read<T>(text: &str) -> Option<T>
where
    T: FromStr<Err = UnitError> + DeserializeOwned + Display + Debug + PartialEq,
{
    let read = text.parse::<T>();
    let quoted = serde_json::to_string(text).expect("a text can be written");
    assert_eq!(
        serde_json::from_str::<T>(&quoted).ok(),
        read.as_ref().ok().map(|_| text.parse().expect("it did before"))
    );
    match read {
        Ok(quantity) => {
            assert!(!quantity.to_string().is_empty());
            Some(quantity)
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let _none_is_fine = error.hint();
            None
        }
    }
}
