//! A recording's file, as `replay`, `model` and `top --from` open it.
//!
//! Nearly every change of a byte is found by a checksum, and that would be all there is to try: so the input is tried as it
//! is, and again with all checksums put right.

use std::path::Path;

use swaptier::recording::{Recording, replay::Replay};
use swaptier_policies::{PolicySet, SourceFile};

/// Frames that are looked at: each may unpack to much.
const FRAMES: usize = 64;

/// Opens it; what can be read is read in any order, told, and decided again by two sets of policies.
pub fn try_one(input: &[u8]) {
    read(input);
    read(&mended(input));
}

fn read(input: &[u8]) {
    let mut recording = match Recording::of_bytes(Path::new("input.rec"), input.to_vec()) {
        Ok(recording) => recording,
        Err(error) => return assert!(error.to_string().starts_with("input.rec: ")),
    };
    let mut lost = 0;
    for loss in recording.losses() {
        assert!(loss.to_string().starts_with("input.rec: byte "));
        lost += loss.bytes;
    }
    assert!(lost <= input.len() as u64, "{lost} bytes lost of {}", input.len());
    let text = include_str!("../../../policies/batch.toml").to_owned();
    let other = PolicySet::load(&[SourceFile::text("batch.toml", text)]).expect("it is shipped");
    let (mut replay, frames) = (Replay::new(Some(&other)), recording.len().min(FRAMES));
    for n in 0..frames {
        let Ok((frame, terms)) = recording.frame_and_terms(n) else { continue };
        replay.frame(n, &frame, terms);
        assert!(recording.key_of(n) <= n && recording.seek(frame.unix_ms) < recording.len());
    }
    // Backwards the same frames are there.
    for n in (0..frames).rev() {
        let once = recording.frame(n).ok();
        assert_eq!(recording.frame(n).ok(), once);
    }
    let report = replay.finish();
    assert!(report.same + report.different + report.unproven <= report.decisions);
}

/// The same file with every checksum right: the header's, and of each block that ends within the file.
fn mended(input: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    if bytes.len() < 16 {
        return bytes;
    }
    let crc = crc32fast::hash(&bytes[..12]).to_le_bytes();
    bytes[12..16].copy_from_slice(&crc);
    let mut at = 16;
    while at + 40 <= bytes.len() {
        let stored = u32::from_le_bytes(std::array::from_fn(|n| bytes[at + 32 + n])) as usize;
        let Some(end) = (at + 40).checked_add(stored).filter(|end| *end <= bytes.len()) else { break };
        let mut crc = crc32fast::Hasher::new();
        crc.update(&bytes[at + 8..at + 36]);
        crc.update(&bytes[at + 40..end]);
        bytes[at + 36..at + 40].copy_from_slice(&crc.finalize().to_le_bytes());
        at = end;
    }
    bytes
}
