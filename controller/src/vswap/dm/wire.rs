//! A device-mapper request as it lies in memory (linux/dm-ioctl.h): a header of 312 bytes, then what the command takes,
//! and in the same place what it answers. Pure.

use std::io;
use std::ops::BitOr;

use crate::vswap::found::{DeviceNumber, Target};

/// Bytes of `struct dm_ioctl`: part of every command's number.
const HEADER: usize = 312;
/// Bytes of `struct dm_target_spec`.
const SPEC: usize = 40;
/// Room for an answer at first.
const ROOM: usize = 4096;

// Offsets in `struct dm_ioctl`.
const DATA_SIZE: usize = 12;
const DATA_START: usize = 16;
const TARGET_COUNT: usize = 20;
const FLAGS: usize = 28;
const DEV: usize = 40;
const NAME: usize = 48;
const NAME_LEN: usize = 128;
const UUID: usize = 176;
const UUID_LEN: usize = 129;

/// Numbers of the commands. Resuming is `Suspend` without the flag that asks to suspend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Version = 0,
    List = 2,
    Create = 3,
    Remove = 4,
    Suspend = 6,
    Load = 9,
    Clear = 10,
    Status = 12,
    ListVersions = 13,
    Message = 14,
}

/// Flags of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flags(u32);

impl Flags {
    pub(super) const NONE: Flags = Flags(0);
    pub(super) const STATUS_TABLE: Flags = Flags(1 << 4);
    const BUFFER_FULL: Flags = Flags(1 << 8);
    pub(super) const SKIP_LOCKFS: Flags = Flags(1 << 10);
    pub(super) const NO_FLUSH: Flags = Flags(1 << 11);
    pub(super) const SECURE_DATA: Flags = Flags(1 << 15);
}

impl BitOr for Flags {
    type Output = Flags;

    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// A request, and after the ioctl its answer. In whole words, so that it is aligned.
#[derive(Clone)]
pub(super) struct Request {
    command: Command,
    words: Vec<u64>,
}

impl Drop for Request {
    /// A table may have held a key.
    fn drop(&mut self) {
        self.words.fill(0);
        std::hint::black_box(&self.words);
    }
}

impl Request {
    pub(super) fn new(command: Command) -> Request {
        let mut request = Request { command, words: Vec::new() };
        request.resize(HEADER + ROOM);
        // The version of the interface: the oldest with these commands.
        request.put(0, &4u32.to_ne_bytes());
        request.put(DATA_START, &(HEADER as u32).to_ne_bytes());
        request
    }

    pub(super) fn named(command: Command, name: &str) -> io::Result<Request> {
        if name.is_empty() || name.len() >= NAME_LEN || name.contains('\0') {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no name of a device"));
        }
        let mut request = Request::new(command);
        request.put(NAME, name.as_bytes());
        Ok(request)
    }

    /// Names it once more, by what no other device is called.
    pub(super) fn with_uuid(mut self, uuid: &str) -> io::Result<Request> {
        if uuid.len() >= UUID_LEN || uuid.contains('\0') {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no uuid of a device"));
        }
        self.put(UUID, uuid.as_bytes());
        Ok(self)
    }

    /// The uuid of the device that was asked about. Empty: it has none.
    pub(super) fn uuid(&self) -> String {
        self.text(UUID)
    }

    pub(super) fn flag(mut self, flags: Flags) -> Request {
        let now = self.word(FLAGS) | flags.0;
        self.put(FLAGS, &now.to_ne_bytes());
        self
    }

    /// Puts a table behind the header.
    pub(super) fn with_table(mut self, table: &[Target]) -> io::Result<Request> {
        let mut at = HEADER;
        for target in table {
            if target.kind.len() >= 16 || target.parameters.contains('\0') {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "no line of a table"));
            }
            // The parameters end with a null byte, the next line begins at a whole word.
            let size = (SPEC + target.parameters.len() + 1).next_multiple_of(8);
            if at + size > self.len() {
                self.resize((at + size) * 2);
            }
            self.put(at, &target.start.to_ne_bytes());
            self.put(at + 8, &target.sectors.to_ne_bytes());
            self.put(at + 20, &(size as u32).to_ne_bytes());
            self.put(at + 24, target.kind.as_bytes());
            self.put(at + SPEC, target.parameters.as_bytes());
            at += size;
        }
        self.put(TARGET_COUNT, &(table.len() as u32).to_ne_bytes());
        Ok(self)
    }

    /// Puts a message to the target of the first sector behind the header.
    pub(super) fn with_message(mut self, text: &str) -> io::Result<Request> {
        if text.len() + 9 > ROOM || text.contains('\0') {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no message"));
        }
        self.put(HEADER + 8, text.as_bytes());
        Ok(self)
    }

    /// `_IOWR(0xfd, command, struct dm_ioctl)`.
    pub(super) fn code(&self) -> u32 {
        3 << 30 | (HEADER as u32) << 16 | 0xfd << 8 | self.command as u32
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut u64 {
        self.words.as_mut_ptr()
    }

    /// The answer did not fit.
    pub(super) fn is_cut_off(&self) -> bool {
        self.word(FLAGS) & Flags::BUFFER_FULL.0 != 0
    }

    pub(super) fn grow(&mut self) {
        self.resize(self.len() * 4);
    }

    /// The device that was made or asked about.
    pub(super) fn number(&self) -> DeviceNumber {
        number(self.long(DEV))
    }

    /// The answer to a question for names.
    pub(super) fn names(&self) -> Vec<(String, DeviceNumber)> {
        let mut found = Vec::new();
        let mut at = HEADER;
        while at + 12 < self.len() && self.long(at) != 0 {
            found.push((self.text(at + 12), number(self.long(at))));
            match self.word(at + 8) {
                0 => break,
                next => at += next as usize,
            }
        }
        found
    }

    /// The answer to a question for kinds of targets.
    pub(super) fn versions(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut at = HEADER;
        while at + 16 < self.len() {
            found.push(self.text(at + 16));
            match self.word(at) {
                0 => break,
                next => at += next as usize,
            }
        }
        found.retain(|name| !name.is_empty());
        found
    }

    /// The answer to a question for a table or a status.
    pub(super) fn table(&self) -> Vec<Target> {
        let mut found = Vec::new();
        let mut at = HEADER;
        for _ in 0..self.word(TARGET_COUNT) {
            if at + SPEC > self.len() {
                break;
            }
            found.push(Target {
                start: self.long(at),
                sectors: self.long(at + 8),
                kind: self.text(at + 24),
                parameters: self.text(at + SPEC).trim().to_owned(),
            });
            // Here the next line's place is counted from the first one's.
            at = HEADER + self.word(at + 20) as usize;
        }
        found
    }

    #[cfg(test)]
    fn bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    fn len(&self) -> usize {
        self.words.len() * 8
    }

    fn resize(&mut self, bytes: usize) {
        self.words.resize(bytes.div_ceil(8), 0);
        let size = self.len() as u32;
        self.put(DATA_SIZE, &size.to_ne_bytes());
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        for (index, byte) in (at..).zip(bytes) {
            let mut word = self.words[index / 8].to_ne_bytes();
            word[index % 8] = *byte;
            self.words[index / 8] = u64::from_ne_bytes(word);
        }
    }

    fn byte(&self, at: usize) -> u8 {
        self.words.get(at / 8).map_or(0, |word| word.to_ne_bytes()[at % 8])
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_ne_bytes(std::array::from_fn(|index| self.byte(at + index)))
    }

    fn long(&self, at: usize) -> u64 {
        u64::from_ne_bytes(std::array::from_fn(|index| self.byte(at + index)))
    }

    fn text(&self, at: usize) -> String {
        let bytes: Vec<u8> = (at..self.len()).map(|at| self.byte(at)).take_while(|byte| *byte != 0).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The kernel's way to write a device number into 64 bits (`huge_encode_dev`).
fn number(dev: u64) -> DeviceNumber {
    DeviceNumber { major: rustix::fs::major(dev), minor: rustix::fs::minor(dev) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(start: u64, kind: &str, parameters: &str) -> Target {
        Target { start, sectors: 8, kind: kind.into(), parameters: parameters.into() }
    }

    #[test]
    fn the_header_is_the_kernels() {
        let request = Request::named(Command::Load, "swaptier-a-0").unwrap();
        // _IOWR: direction 3, size 312 = 0x138, type 0xfd, number 9.
        assert_eq!(request.code(), 0xc138_fd09);
        let bytes = request.bytes();
        assert_eq!((bytes.len(), &bytes[..4]), (4408, &[4, 0, 0, 0][..]));
        assert_eq!(&bytes[NAME..NAME + 13], b"swaptier-a-0\0");
        assert_eq!((request.word(DATA_SIZE), request.word(DATA_START)), (4408, 312));
    }

    #[test]
    fn a_table_of_any_length_is_laid_out_line_behind_line() {
        let table: Vec<Target> = (0..300).map(|i| target(i * 8, "linear", &format!("7:{i} 0"))).collect();
        let request = Request::named(Command::Load, "a").unwrap().with_table(&table).unwrap();
        assert_eq!(request.word(TARGET_COUNT), 300);
        // 40 + 6 + the null byte = 47, so 48 to the next.
        assert_eq!((request.word(HEADER + 20), request.text(HEADER + 24)), (48, "linear".to_owned()));
        assert_eq!((request.long(HEADER + 48), request.text(HEADER + 48 + SPEC)), (8, "7:1 0".to_owned()));
        assert_eq!(request.len(), request.word(DATA_SIZE) as usize);
    }

    #[test]
    fn answers_are_read_as_far_as_they_go() {
        let mut answer = Request::new(Command::Status);
        answer.put(TARGET_COUNT, &2u32.to_ne_bytes());
        answer.put(HEADER + 8, &8u64.to_ne_bytes());
        answer.put(HEADER + 20, &64u32.to_ne_bytes());
        answer.put(HEADER + 24, b"linear");
        answer.put(HEADER + SPEC, b"7:0 0 ");
        answer.put(HEADER + 64, &8u64.to_ne_bytes());
        answer.put(HEADER + 72, &8u64.to_ne_bytes());
        answer.put(HEADER + 88, b"error");
        assert_eq!(answer.table(), [target(0, "linear", "7:0 0"), target(8, "error", "")]);
        // More lines than there is room for are not read beyond it.
        answer.put(TARGET_COUNT, &900u32.to_ne_bytes());
        answer.put(HEADER + 20, &100_000u32.to_ne_bytes());
        assert_eq!(answer.table().len(), 1);
    }

    #[test]
    fn names_come_with_their_numbers() {
        let mut answer = Request::new(Command::List);
        assert_eq!(answer.names(), []);
        answer.put(HEADER, &(254u64 << 8 | 3).to_ne_bytes());
        answer.put(HEADER + 12, b"swaptier-a-0\0");
        assert_eq!(answer.names(), [("swaptier-a-0".to_owned(), DeviceNumber { major: 254, minor: 3 })]);
    }

    #[test]
    fn what_the_kernel_could_not_take_is_refused_here() {
        assert!(Request::named(Command::Create, "").is_err());
        assert!(Request::named(Command::Create, &"x".repeat(128)).is_err());
        let request = || Request::named(Command::Load, "a").unwrap();
        assert!(request().with_table(&[target(0, "a-target-of-16-by", "")]).is_err());
        assert!(request().with_message("a\0b").is_err());
    }
}
