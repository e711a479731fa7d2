//! The blocks a recording's file is made of. Pure: bytes in, bytes out.
//!
//! ```text
//! file   = header, block…
//! header = magic 8, version u32, crc32 u32 of the 12 bytes before        (numbers are little-endian)
//! block  = mark 8, kind u8, three zeros, number u32, unix_ms u64, base u32, plain u32, stored u32, crc32 u32, payload
//! ```
//!
//! The crc covers everything between the mark and itself, and the payload. The payload is `plain` bytes of MessagePack as
//! one lz4 block of `stored` bytes. A block that is damaged costs itself: the next one is found by its mark.

/// Version of the blocks. What is in them names its fields, so a type that gets another field (with `#[serde(default)]`) or
/// loses one is no new version; the committed recording of the first program with this version is read by all later ones.
pub const VERSION: u32 = 5;

/// The first bytes of a file. As in PNG: no text, and changed by whatever changes line ends.
const MAGIC: [u8; 8] = *b"\x89swtrec\n";
/// The length of a file's header.
pub(super) const HEADER: usize = 16;
/// What a block begins with. Its last byte is the version, so that no block of another version is taken for one of ours.
const MARK: [u8; 8] = [0xf5, b's', b'w', b't', b'b', b'l', b'k', VERSION as u8];
/// The length of a block before its payload.
pub(super) const HEAD: usize = 40;
/// Most bytes a payload may have once it is unpacked: a hundred times those of a tick with 10,000 cgroups.
const MOST_PLAIN: usize = 256 << 20;

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The host, the settings and the policies: [`super::Terms`].
    Terms,
    /// A frame by itself.
    Key,
    /// A frame, as what differs from the key frame `base`.
    Delta,
}

/// A block as it stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    /// Blocks are numbered in the file from 0.
    pub(super) number: u32,
    /// Milliseconds since 1970.
    pub(super) unix_ms: u64,
    /// Number of the key frame that it rests on; its own for others.
    pub(super) base: u32,
    plain: u32,
    pub(super) stored: u32,
    crc: u32,
}

/// What is wrong with bytes of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It does not begin as a recording does.
    #[error("this is no recording of swaptier: it does not begin with its magic bytes")]
    NoRecording,
    /// The header's own checksum is wrong.
    #[error("the file's header is damaged")]
    Header,
    /// Written by a later swaptier.
    #[error(
        "it is in format {0}, and this swaptier reads format {VERSION}: use the swaptier that wrote it, or a newer one"
    )]
    Newer(u32),
    /// Written by an earlier swaptier.
    #[error("it is in format {0}, and this swaptier reads format {VERSION}: use the swaptier that wrote it")]
    Older(u32),
    /// The file ends within a block: the writer died, or is writing now.
    #[error("the file ends within a block")]
    CutOff,
    /// These bytes are not a block.
    #[error("no block begins here")]
    NoBlock,
    /// The block is not as it was written.
    #[error("a block's checksum is wrong")]
    Checksum,
    /// The checksum is right and the contents make no sense.
    #[error("a block's contents cannot be unpacked")]
    Contents,
    /// The key frame of this frame is damaged.
    #[error("the key frame that it rests on is lost")]
    NoKey,
    /// The settings and policies of this frame are damaged.
    #[error("the settings and policies it was decided by are lost")]
    NoTerms,
}

/// The header of a file.
pub(super) fn header() -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let crc = crc32fast::hash(&header[..12]);
    header[12..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// Checks a file's header. `Newer`, `Older` and `NoRecording` end the reading; after any other fault blocks are looked for.
pub(super) fn check_header(bytes: &[u8]) -> Result<(), Fault> {
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        let is_begun = bytes.starts_with(&MAGIC) || (MAGIC.starts_with(bytes) && !bytes.is_empty());
        return Err(if is_begun { Fault::CutOff } else { Fault::NoRecording });
    };
    let is_whole = crc32fast::hash(&header[..12]) == number(header, 12);
    match (header.starts_with(&MAGIC), is_whole, number(header, 8)) {
        (true, true, VERSION) => Ok(()),
        (true, true, version) if version > VERSION => Err(Fault::Newer(version)),
        (true, true, version) => Err(Fault::Older(version)),
        (true, false, _) => Err(Fault::Header),
        (false, _, _) if find(bytes, 0).is_some() => Err(Fault::Header),
        (false, _, _) => Err(Fault::NoRecording),
    }
}

/// A block as it is written.
pub(super) fn seal(kind: Kind, number: u32, unix_ms: u64, base: u32, plain: &[u8]) -> Option<Vec<u8>> {
    if plain.len() > MOST_PLAIN {
        return None;
    }
    let mut block = vec![0; HEAD + lz4_flex::block::get_maximum_output_size(plain.len())];
    let stored = lz4_flex::block::compress_into(plain, &mut block[HEAD..]).ok()?;
    block.truncate(HEAD + stored);
    block[..8].copy_from_slice(&MARK);
    block[8] = kind as u8;
    let lengths = [plain.len() as u32, stored as u32];
    block[12..16].copy_from_slice(&number.to_le_bytes());
    block[16..24].copy_from_slice(&unix_ms.to_le_bytes());
    block[24..28].copy_from_slice(&base.to_le_bytes());
    block[28..32].copy_from_slice(&lengths[0].to_le_bytes());
    block[32..36].copy_from_slice(&lengths[1].to_le_bytes());
    let crc = checksum(&block[8..36], &block[HEAD..]);
    block[36..40].copy_from_slice(&crc.to_le_bytes());
    Some(block)
}

/// The block at the beginning of `bytes`, and whether it is as it was written.
pub(super) fn head(bytes: &[u8]) -> Result<Head, Fault> {
    let known = bytes.len().min(MARK.len());
    if bytes[..known] != MARK[..known] {
        return Err(Fault::NoBlock);
    }
    let Some(fixed) = bytes.first_chunk::<HEAD>() else { return Err(Fault::CutOff) };
    let kind = match fixed[8] {
        0 => Kind::Terms,
        1 => Kind::Key,
        2 => Kind::Delta,
        _ => return Err(Fault::Checksum),
    };
    let unix_ms = u64::from_le_bytes(*fixed[16..].first_chunk().unwrap_or(&[0; 8]));
    let head = Head {
        kind,
        number: number(fixed, 12),
        unix_ms,
        base: number(fixed, 24),
        plain: number(fixed, 28),
        stored: number(fixed, 32),
        crc: number(fixed, 36),
    };
    let Some(payload) = bytes.get(HEAD..HEAD + head.stored as usize) else { return Err(Fault::CutOff) };
    if checksum(&fixed[8..36], payload) != head.crc {
        return Err(Fault::Checksum);
    }
    Ok(head)
}

impl Head {
    /// Bytes of the block in the file.
    pub(super) fn len(&self) -> usize {
        HEAD + self.stored as usize
    }

    /// Unpacks the payload of the block in `bytes`.
    pub(super) fn open(&self, bytes: &[u8]) -> Result<Vec<u8>, Fault> {
        let payload = bytes.get(HEAD..self.len()).ok_or(Fault::CutOff)?;
        let plain = self.plain as usize;
        // lz4 packs 255 bytes into one at most: what promises more would only take memory.
        if plain > MOST_PLAIN || plain > payload.len().saturating_mul(255) + 64 {
            return Err(Fault::Contents);
        }
        let opened = lz4_flex::block::decompress(payload, plain).map_err(|_| Fault::Contents)?;
        if opened.len() == plain { Ok(opened) } else { Err(Fault::Contents) }
    }
}

/// Where the next block begins, from `from` on.
pub(super) fn find(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(MARK.len()).position(|window| window == MARK).map(|at| from + at)
}

fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(head);
    crc.update(payload);
    crc.finalize()
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |four| u32::from_le_bytes(*four))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(plain: &[u8]) -> Vec<u8> {
        seal(Kind::Delta, 7, 1_700_000_000_123, 5, plain).unwrap()
    }

    #[test]
    fn a_block_is_read_as_it_was_sealed() {
        let bytes = [block(b"what a tick saw"), block(b"more")].concat();
        let head = head(&bytes).unwrap();
        assert_eq!((head.kind, head.number, head.unix_ms, head.base), (Kind::Delta, 7, 1_700_000_000_123, 5));
        assert_eq!(head.open(&bytes).unwrap(), b"what a tick saw");
        assert_eq!(find(&bytes, 1), Some(head.len()));
    }

    #[test]
    fn no_flipped_bit_passes_for_the_block() {
        let whole = block(&[7; 64]);
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(head(&bytes).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn every_shorter_block_is_cut_off() {
        let whole = block(b"abc");
        for len in 0..whole.len() {
            assert_eq!(head(&whole[..len]), Err(Fault::CutOff), "{len}");
        }
    }

    #[test]
    fn a_promise_of_much_memory_is_not_believed() {
        let mut bytes = block(b"abc");
        bytes[28..32].copy_from_slice(&(200u32 << 20).to_le_bytes());
        let crc = checksum(&bytes[8..36], &bytes[HEAD..]);
        bytes[36..40].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(head(&bytes).unwrap().open(&bytes), Err(Fault::Contents));
    }

    #[test]
    fn headers_say_what_they_are() {
        assert_eq!(check_header(&header()), Ok(()));
        let of_version = |version: u32| {
            let mut header = header();
            header[8..12].copy_from_slice(&version.to_le_bytes());
            let crc = crc32fast::hash(&header[..12]);
            header[12..].copy_from_slice(&crc.to_le_bytes());
            check_header(&header)
        };
        assert_eq!(of_version(VERSION + 1), Err(Fault::Newer(VERSION + 1)));
        assert_eq!(of_version(0), Err(Fault::Older(0)));
        assert_eq!(check_header(b"PNG or what"), Err(Fault::NoRecording));
        assert_eq!(check_header(b""), Err(Fault::NoRecording));
        assert_eq!(check_header(&header()[..9]), Err(Fault::CutOff));
        let mut bytes = [header().as_slice(), &block(b"x")].concat();
        bytes[0] ^= 1;
        assert_eq!(check_header(&bytes), Err(Fault::Header), "a block behind it says what it was");
    }
}
