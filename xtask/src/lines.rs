//! Turns a stream of bytes into lines. Called by the tasks that read what a guest prints.

/// Calls back for every line; what is left without an end is a line too when this is dropped.
pub(crate) struct Lines<F: FnMut(&str)> {
    held: Vec<u8>,
    on_line: F,
}

impl<F: FnMut(&str)> Lines<F> {
    /// Calls `on_line` with each line, without its end.
    pub(crate) fn new(on_line: F) -> Self {
        Self { held: Vec::new(), on_line }
    }

    /// Takes the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        while let Some(end) = self.held.iter().position(|&byte| byte == b'\n') {
            let rest = self.held.split_off(end + 1);
            let line = std::mem::replace(&mut self.held, rest);
            (self.on_line)(String::from_utf8_lossy(&line[..end]).trim_end_matches('\r'));
        }
    }
}

impl<F: FnMut(&str)> Drop for Lines<F> {
    fn drop(&mut self) {
        if !self.held.is_empty() {
            let line = std::mem::take(&mut self.held);
            (self.on_line)(&String::from_utf8_lossy(&line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;

    #[test]
    fn lines_do_not_depend_on_how_the_stream_is_cut() {
        let stream = b"one\r\n\ntwo\nhalf";
        for size in 1..=stream.len() {
            let mut seen = Vec::new();
            let mut lines = Lines::new(|line: &str| seen.push(line.to_owned()));
            stream.chunks(size).for_each(|chunk| lines.push(chunk));
            drop(lines);
            assert_eq!(seen, ["one", "", "two", "half"], "in pieces of {size}");
        }
    }
}
