//! Opening recordings: files or a folder of them, every frame by its number or time, and what is lost where.
//!
//! Opening reads each file once and keeps the place of every whole block, 48 bytes a frame; frames are read when they are
//! asked for. Damage costs what it hit and nothing else, and is told with its byte and frame. Callers: `replay`, `model`,
//! `top --from`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::block::{self, Fault, Head, Kind};
use super::pack::{self, Packed, Parts};
use super::{Frame, Terms};
use crate::serve::events::Event;

/// How the files of a recording end.
pub(super) const SUFFIX: &str = "rec";
/// The longest file that is opened; `[record] file_size` is at most half of it.
const MOST: u64 = 2 << 30;

/// Why there is no recording, or no such frame.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// A file or folder cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be used at all.
    #[error("{}: {fault}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: Fault,
    },
    /// There is no frame in it.
    #[error("{}: there is no whole frame in it", path.display())]
    Empty {
        /// The file or folder.
        path: PathBuf,
    },
    /// One frame cannot be read.
    #[error("{}: frame {number}, at byte {offset}: {fault}", path.display())]
    Frame {
        /// The file.
        path: PathBuf,
        /// The frame's number in the recording, from 0.
        number: usize,
        /// Where its block begins.
        offset: u64,
        /// What is wrong with it.
        fault: Fault,
    },
    /// There are fewer frames.
    #[error("there is no frame {0}")]
    NoFrame(usize),
}

/// Something that could not be read of a recording that otherwise can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The file.
    pub path: PathBuf,
    /// The first byte that is lost.
    pub offset: u64,
    /// How many bytes are.
    pub bytes: u64,
    /// The number in the recording of the next frame that can be read, or how many there are.
    pub before: usize,
    /// How many frames are lost, if the numbers on both sides tell.
    pub frames: Option<u32>,
    /// What is wrong.
    pub fault: Fault,
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Loss { path, offset, bytes, before, frames, fault } = self;
        write!(
            f,
            "{}: byte {offset}, before frame {before}: {fault}; {bytes} bytes are lost",
            path.display()
        )?;
        match frames {
            Some(1) => write!(f, ", 1 frame"),
            Some(frames) => write!(f, ", {frames} frames"),
            None => Ok(()),
        }
    }
}

/// An open recording.
#[derive(Debug, Default)]
pub struct Recording {
    files: Vec<Opened>,
    spots: Vec<Spot>,
    terms: BTreeMap<u32, Terms>,
    losses: Vec<Loss>,
    /// The last key frame that was read: file, offset, parts.
    key: Option<(usize, u64, Parts)>,
}

#[derive(Debug)]
struct Opened {
    path: PathBuf,
    source: Source,
}

#[derive(Debug)]
enum Source {
    File(File),
    Bytes(Vec<u8>),
}

impl Source {
    fn read(&self, offset: u64, len: u32) -> Option<Vec<u8>> {
        match self {
            Source::File(file) => {
                let mut bytes = vec![0; len as usize];
                file.read_exact_at(&mut bytes, offset).ok().map(|()| bytes)
            }
            Source::Bytes(bytes) => {
                let offset = usize::try_from(offset).ok()?;
                bytes.get(offset..offset.checked_add(len as usize)?).map(<[u8]>::to_vec)
            }
        }
    }
}

/// Where a frame is.
#[derive(Debug, Clone, Copy)]
struct Spot {
    file: u32,
    offset: u64,
    /// Where its key frame is.
    key: u64,
    unix_ms: u64,
    len: u32,
    key_len: u32,
}

impl Recording {
    /// Opens a file, or all recordings in a folder.
    ///
    /// # Errors
    /// There is nothing that can be read in it. What is lost of the rest is told by [`Recording::losses`].
    pub fn open(path: &Path) -> Result<Self, RecordingError> {
        Self::open_all(&[path.to_path_buf()])
    }

    /// Opens files and folders of them as one recording, in the order of time.
    ///
    /// # Errors
    /// As [`Recording::open`]; one file that is in another format is enough.
    pub fn open_all(paths: &[PathBuf]) -> Result<Self, RecordingError> {
        let mut recording = Self::default();
        for path in paths {
            for file in files(path)? {
                recording.add(&file)?;
            }
        }
        recording.ordered(paths.first().cloned().unwrap_or_default())
    }

    /// A file that is in memory already. `name` stands for its path in messages.
    ///
    /// # Errors
    /// As [`Recording::open`].
    pub fn of_bytes(name: &Path, bytes: Vec<u8>) -> Result<Self, RecordingError> {
        let mut recording = Self::default();
        recording.add_bytes(name, &bytes, Source::Bytes(Vec::new()))?;
        if let Some(opened) = recording.files.first_mut() {
            opened.source = Source::Bytes(bytes);
        }
        recording.ordered(name.to_path_buf())
    }

    fn ordered(mut self, path: PathBuf) -> Result<Self, RecordingError> {
        // Stable: files are in the order of their names, which are times, and clocks may go back within one.
        let begins = self.begins();
        self.spots.sort_by_key(|spot| (begins.get(&spot.file).copied(), spot.file, spot.offset));
        if self.spots.is_empty() {
            // A file of which nothing is left says why.
            return Err(match self.losses.first() {
                Some(loss) => RecordingError::Unusable { path: loss.path.clone(), fault: loss.fault },
                None => RecordingError::Empty { path },
            });
        }
        Ok(self)
    }

    /// When each file begins.
    fn begins(&self) -> BTreeMap<u32, u64> {
        let mut begins = BTreeMap::new();
        for spot in &self.spots {
            begins.entry(spot.file).or_insert(spot.unix_ms);
        }
        begins
    }

    /// How many frames there are. Never 0.
    #[expect(clippy::len_without_is_empty, reason = "an empty recording does not open")]
    pub fn len(&self) -> usize {
        self.spots.len()
    }

    /// When this frame was, in milliseconds since 1970.
    pub fn unix_ms(&self, index: usize) -> Option<u64> {
        self.spots.get(index).map(|spot| spot.unix_ms)
    }

    /// The last frame at or before this time (milliseconds since 1970); the first if all are later.
    pub fn seek(&self, unix_ms: u64) -> usize {
        self.spots.partition_point(|spot| spot.unix_ms <= unix_ms).saturating_sub(1)
    }

    /// The key frame that this frame rests on, or the frame itself: with it the history of the decisions is known.
    pub fn key_of(&self, index: usize) -> usize {
        let is_key = |spot: &Spot| spot.key == spot.offset;
        let before = self.spots.get(..=index).unwrap_or_default();
        before.iter().rposition(is_key).unwrap_or(0)
    }

    /// What could not be read.
    pub fn losses(&self) -> &[Loss] {
        &self.losses
    }

    /// The frame with this number. Steps forward and back cost the same: two reads, one where the key is at hand.
    ///
    /// # Errors
    /// There is none, or the file has changed since it was opened.
    pub fn frame(&mut self, index: usize) -> Result<Frame, RecordingError> {
        let spot = *self.spots.get(index).ok_or(RecordingError::NoFrame(index))?;
        self.unpack(spot).map(|(frame, _)| frame).map_err(|fault| self.at(index, spot, fault))
    }

    /// The same, with the host, the settings and the policies it was decided by.
    ///
    /// # Errors
    /// As [`Recording::frame`].
    pub fn frame_and_terms(&mut self, index: usize) -> Result<(Frame, &Terms), RecordingError> {
        let spot = *self.spots.get(index).ok_or(RecordingError::NoFrame(index))?;
        let (frame, terms) = self.unpack(spot).map_err(|fault| self.at(index, spot, fault))?;
        match self.terms.get(&terms) {
            Some(terms) => Ok((frame, terms)),
            None => Err(self.at(index, spot, Fault::NoTerms)),
        }
    }

    /// What happened at this frame: without its status, and so without its key.
    ///
    /// # Errors
    /// As [`Recording::frame`].
    pub fn events(&self, index: usize) -> Result<Vec<Event>, RecordingError> {
        let spot = *self.spots.get(index).ok_or(RecordingError::NoFrame(index))?;
        let read = self.read(spot.file as usize, spot.offset, spot.len);
        read.map(|(_, packed)| packed.events()).map_err(|fault| self.at(index, spot, fault))
    }

    fn at(&self, number: usize, spot: Spot, fault: Fault) -> RecordingError {
        let path = self.files[spot.file as usize].path.clone();
        RecordingError::Frame { path, number, offset: spot.offset, fault }
    }

    fn unpack(&mut self, spot: Spot) -> Result<(Frame, u32), Fault> {
        let file = spot.file as usize;
        let is_key = spot.key == spot.offset;
        let key = match &self.key {
            _ if is_key => Parts::default(),
            Some((of, at, parts)) if (*of, *at) == (file, spot.key) => parts.clone(),
            _ => {
                let (head, packed) = self.read(file, spot.key, spot.key_len).map_err(|_| Fault::NoKey)?;
                let (_, parts) = pack::unpack(packed, head.unix_ms, Parts::default())?;
                self.key = Some((file, spot.key, parts.clone()));
                parts
            }
        };
        let (head, packed) = self.read(file, spot.offset, spot.len)?;
        let terms = packed.terms;
        let (frame, parts) = pack::unpack(packed, head.unix_ms, key)?;
        if is_key {
            self.key = Some((file, spot.offset, parts));
        }
        Ok((frame, terms))
    }

    fn read(&self, file: usize, offset: u64, len: u32) -> Result<(Head, Packed), Fault> {
        let bytes = self.files[file].source.read(offset, len).ok_or(Fault::CutOff)?;
        let head = block::head(&bytes)?;
        Ok((head, pack::from_bytes(&head.open(&bytes)?)?))
    }

    /// Finds the blocks of one file.
    fn add(&mut self, path: &Path) -> Result<(), RecordingError> {
        let failed = |source| RecordingError::Io { path: path.to_path_buf(), source };
        let file = File::open(path).map_err(failed)?;
        let meta = file.metadata().map_err(failed)?;
        if !meta.is_file() || meta.len() > MOST {
            return Err(failed(io::Error::other("it is no regular file, or longer than any recording")));
        }
        let bytes = fs::read(path).map_err(failed)?;
        self.add_bytes(path, &bytes, Source::File(file))
    }

    fn add_bytes(&mut self, path: &Path, bytes: &[u8], source: Source) -> Result<(), RecordingError> {
        let unusable = |fault| RecordingError::Unusable { path: path.to_path_buf(), fault };
        let from = match block::check_header(bytes) {
            Ok(()) => block::HEADER,
            Err(fault @ (Fault::NoRecording | Fault::Newer(_) | Fault::Older(_))) => {
                return Err(unusable(fault));
            }
            Err(fault) => {
                let next = block::find(bytes, 0).unwrap_or(bytes.len());
                self.lose(path, 0, next as u64, None, fault);
                next
            }
        };
        let index = self.files.len() as u32;
        self.files.push(Opened { path: path.to_path_buf(), source });
        self.scan(path, index, bytes, from);
        Ok(())
    }

    /// Takes block after block; where there is none, goes on at the next mark.
    fn scan(&mut self, path: &Path, file: u32, bytes: &[u8], mut at: usize) {
        let mut keys: BTreeMap<u32, (u64, u32)> = BTreeMap::new();
        // The number that the next block should have, and whether the one before was found.
        let (mut next, mut lost): (u32, Option<(usize, Fault)>) = (0, None);
        while at < bytes.len() {
            match block::head(&bytes[at..]).and_then(|head| self.take(file, bytes, at, head, &mut keys)) {
                Ok(head) => {
                    if let Some((from, fault)) = lost.take() {
                        self.lose(path, from, (at - from) as u64, head.number.checked_sub(next), fault);
                        // The frame after the loss is in the list already.
                        self.step_back(head.kind);
                    }
                    next = head.number.saturating_add(1);
                    at += head.len();
                }
                Err(fault) => {
                    lost.get_or_insert((at, fault));
                    // A block that is whole but useless is passed over as a whole.
                    let step = block::head(&bytes[at..]).map_or(1, |head| head.len());
                    at = block::find(bytes, at + step).unwrap_or(bytes.len());
                }
            }
        }
        if let Some((from, fault)) = lost {
            self.lose(path, from, (bytes.len() - from) as u64, None, fault);
        }
    }

    /// Keeps one block that is whole, if it is of use.
    fn take(
        &mut self,
        file: u32,
        bytes: &[u8],
        at: usize,
        head: Head,
        keys: &mut BTreeMap<u32, (u64, u32)>,
    ) -> Result<Head, Fault> {
        let (offset, len) = (at as u64, head.len() as u32);
        match head.kind {
            Kind::Terms => {
                let plain = head.open(&bytes[at..])?;
                self.terms.insert(crc32fast::hash(&plain), pack::from_bytes(&plain)?);
                return Ok(head);
            }
            Kind::Key => {
                keys.insert(head.number, (offset, len));
            }
            Kind::Delta => {}
        }
        let base = if head.kind == Kind::Key { head.number } else { head.base };
        let (key, key_len) = *keys.get(&base).ok_or(Fault::NoKey)?;
        self.spots.push(Spot { file, offset, key, unix_ms: head.unix_ms, len, key_len });
        Ok(head)
    }

    fn lose(&mut self, path: &Path, offset: usize, bytes: u64, frames: Option<u32>, fault: Fault) {
        let (path, offset, before) = (path.to_path_buf(), offset as u64, self.spots.len());
        self.losses.push(Loss { path, offset, bytes, before, frames, fault });
    }

    fn step_back(&mut self, kind: Kind) {
        if kind != Kind::Terms
            && let Some(loss) = self.losses.last_mut()
        {
            loss.before = loss.before.saturating_sub(1);
        }
    }
}

/// The files that `path` stands for.
fn files(path: &Path) -> Result<Vec<PathBuf>, RecordingError> {
    let failed = |source| RecordingError::Io { path: path.to_path_buf(), source };
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let entries = fs::read_dir(path).map_err(failed)?;
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.retain(|path| path.extension().is_some_and(|it| it == SUFFIX));
    found.sort();
    if found.is_empty() { Err(RecordingError::Empty { path: path.to_path_buf() }) } else { Ok(found) }
}
