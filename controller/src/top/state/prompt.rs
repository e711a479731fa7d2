//! What is typed: a filter, a time, the order for a round of write-back. Pure; what comes of it is `keys`'.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use swaptier_policies::{Bytes, CgroupPath, Seconds};

use crate::serve::protocol::Ask;

/// Characters one may type.
const LONGEST: usize = 200;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// The filter of the pane; what it was before stands here.
    Filter(String),
    /// A time in the recording.
    Seek(String),
    /// Whether to read the policies anew.
    Reload,
    /// Whether to close the way to disk of a cgroup, or, where it is closed by hand, to open it again.
    Valve {
        /// The cgroup's path.
        cgroup: String,
        /// It is closed by hand now.
        is_closed: bool,
    },
    /// Whether, and how much, to write back.
    Writeback(Order),
}

/// A round of write-back that is being ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The cgroup's path.
    pub cgroup: String,
    /// What was typed: the age, and how much at most.
    pub fields: [String; 2],
    /// Which of them is typed in.
    pub at: usize,
    /// Why it cannot be carried out.
    pub fault: Option<String>,
}

/// What a key in an order means.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It goes on.
    More,
    /// Do it.
    Do(Ask),
    /// Leave it.
    Leave,
}

impl Order {
    /// Begins with the policy's age and all that is cold by it.
    pub fn of(cgroup: &str, older_than: Option<u64>, cold_bytes: Option<u64>) -> Order {
        let age = Seconds(older_than.unwrap_or(0)).to_string().replace(' ', "");
        // 64 MiB, as the shipped policies' rounds, when nobody knows what is cold.
        let most = cold_bytes.filter(|bytes| *bytes > 0).unwrap_or(64 << 20);
        Order {
            cgroup: cgroup.to_owned(),
            fields: [age, format!("{}M", most.div_ceil(1 << 20))],
            at: 0,
            fault: None,
        }
    }

    /// A key.
    pub fn key(&mut self, key: &KeyEvent, page: u64) -> Answer {
        match key.code {
            KeyCode::Esc => return Answer::Leave,
            KeyCode::Enter => match self.ask(page) {
                Ok(ask) => return Answer::Do(ask),
                Err(fault) => self.fault = Some(fault),
            },
            KeyCode::Tab | KeyCode::BackTab | KeyCode::Up | KeyCode::Down => self.at = 1 - self.at,
            _ => {
                self.fault = None;
                typed(&mut self.fields[self.at], key);
            }
        }
        Answer::More
    }

    fn ask(&self, page: u64) -> Result<Ask, String> {
        let [age, most] = &self.fields;
        let age: Seconds = age.trim().parse().map_err(|error| format!("older than: {error} (as in 10m)"))?;
        let most: Bytes = most.trim().parse().map_err(|error| format!("at most: {error} (as in 64M)"))?;
        let pages = most.whole_pages(Bytes(page)).0;
        if pages == 0 {
            return Err("at most: less than a page".to_owned());
        }
        let cgroup = CgroupPath::from_shown(&self.cgroup);
        Ok(Ask::Writeback { cgroup, older_than: age.0, pages, dialect: None, dry_run: false })
    }
}

/// A key into a line of text; `true` when it changed.
pub fn typed(text: &mut String, key: &KeyEvent) -> bool {
    let is_control = key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
    match key.code {
        KeyCode::Char('u') if is_control => text.clear(),
        KeyCode::Char(c) if !is_control && !c.is_control() && text.chars().count() < LONGEST => text.push(c),
        KeyCode::Backspace => {
            text.pop();
        }
        _ => return false,
    }
    true
}

/// `14:05`, `14:05:30`, or seconds since 1970, on the day of `unix_seconds` (UTC).
pub fn time(text: &str, unix_seconds: u64) -> Option<u64> {
    const DAY: u64 = 86_400;
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>()
        && seconds >= DAY
    {
        return Some(seconds);
    }
    let parts: Vec<u64> = text.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let (hours, minutes, seconds) = match parts[..] {
        [hours, minutes] => (hours, minutes, 0),
        [hours, minutes, seconds] => (hours, minutes, seconds),
        _ => return None,
    };
    let is_time = hours < 24 && minutes < 60 && seconds < 60;
    is_time.then(|| unix_seconds / DAY * DAY + hours * 3_600 + minutes * 60 + seconds)
}
