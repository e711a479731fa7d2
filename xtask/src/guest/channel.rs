//! Takes the guest's one output stream apart: what the command printed, and the marks the guest's init puts between.
//! The marks travel in the stream itself, so that when the exit mark is here everything printed before is here too.
//! Pure: bytes in, events out. `guest/mod.rs` feeds it; `init.sh` writes the marks.

/// Opens a mark. Text output holds no NUL, so this does not occur by accident.
const OPEN: &[u8] = b"\0swaptier ";
/// Longest mark body; a longer one is not ours.
const LONGEST: usize = 32;

/// What the stream says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The command printed this.
    Output(Vec<u8>),
    /// The guest's init runs: nothing after this is the boot's fault.
    Init,
    /// The command ended with this exit code.
    Exit(i32),
}

/// Holds back what may become a mark.
#[derive(Default)]
pub(crate) struct Splitter {
    held: Vec<u8>,
}

impl Splitter {
    /// Takes the next bytes and returns what they complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.held.extend_from_slice(bytes);
        let mut events = Vec::new();
        loop {
            let Some(at) = find_mark(&self.held) else {
                emit(&mut events, std::mem::take(&mut self.held));
                return events;
            };
            let rest = self.held.split_off(at);
            emit(&mut events, std::mem::replace(&mut self.held, rest));
            if self.held.len() < OPEN.len() {
                return events;
            }
            let body = &self.held[OPEN.len()..];
            let Some(end) = body.iter().position(|&byte| byte == b'\n') else {
                if body.len() <= LONGEST {
                    return events;
                }
                let tail = self.held.split_off(1);
                emit(&mut events, std::mem::replace(&mut self.held, tail));
                continue;
            };
            let mark = decode(&body[..end]);
            let tail = self.held.split_off(OPEN.len() + end + 1);
            let whole = std::mem::replace(&mut self.held, tail);
            match mark {
                Some(event) => events.push(event),
                None => emit(&mut events, whole),
            }
        }
    }
}

/// Where a mark, or the beginning of one cut off by the end of the buffer, starts.
fn find_mark(bytes: &[u8]) -> Option<usize> {
    (0..bytes.len()).find(|&at| {
        let tail = &bytes[at..];
        let compared = tail.len().min(OPEN.len());
        tail[..compared] == OPEN[..compared]
    })
}

fn decode(body: &[u8]) -> Option<Event> {
    match std::str::from_utf8(body).ok()?.split_once(' ') {
        None if body == b"init" => Some(Event::Init),
        Some(("exit", code)) => code.trim().parse().ok().map(Event::Exit),
        _ => None,
    }
}

fn emit(events: &mut Vec<Event>, bytes: Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    match events.last_mut() {
        Some(Event::Output(before)) => before.extend_from_slice(&bytes),
        _ => events.push(Event::Output(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, Splitter};

    fn output(text: &str) -> Event {
        Event::Output(text.as_bytes().to_vec())
    }

    /// Feeds `bytes` in pieces of `size` and joins neighbouring output.
    fn split(bytes: &[u8], size: usize) -> Vec<Event> {
        let mut splitter = Splitter::default();
        let mut events: Vec<Event> = Vec::new();
        for event in bytes.chunks(size).flat_map(|chunk| splitter.push(chunk)) {
            match (events.last_mut(), event) {
                (Some(Event::Output(before)), Event::Output(more)) => before.extend(more),
                (_, event) => events.push(event),
            }
        }
        events
    }

    #[test]
    fn marks_are_found_however_the_stream_is_cut() {
        let stream = b"\0swaptier init\nhello\nno newline at the end\0swaptier exit 3\n";
        for size in 1..=stream.len() {
            assert_eq!(
                split(stream, size),
                [Event::Init, output("hello\nno newline at the end"), Event::Exit(3)],
                "in pieces of {size}"
            );
        }
    }

    #[test]
    fn output_that_only_resembles_a_mark_is_passed_on() {
        let stream = b"a\0b\0swaptier says something else\nc";
        for size in 1..=stream.len() {
            assert_eq!(split(stream, size), [Event::Output(stream.to_vec())], "in pieces of {size}");
        }
    }

    #[test]
    fn ordinary_output_is_never_held_back() {
        let mut splitter = Splitter::default();
        assert_eq!(splitter.push(b"half a line"), [output("half a line")]);
    }
}
