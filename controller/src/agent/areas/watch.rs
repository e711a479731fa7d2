//! What the areas did since the last tick, told; and what follows at once.

use swaptier_policies::{Snapshot, Turn};

use crate::{
    agent::Agent,
    serve::events::{EventKind, News},
};

/// Events that wait for the next line of the journal: more is a host on which no decision is carried out.
const EVENTS: usize = 256;

impl Agent {
    /// Tells what happened to the areas, and looks after those of the configuration.
    pub(in crate::agent) async fn watch_areas(&mut self, turn: &Turn, snapshot: &Snapshot) {
        let failed = self.areas.failing.look();
        for event in turn.events.iter().cloned().chain(failed) {
            let news = News::of(EventKind::Area, event.to_string());
            self.tell(News { is_trouble: event.is_trouble(), ..news });
            if self.events.len() < EVENTS {
                self.events.push(event);
            }
        }
        self.refusal = turn.refusal.as_ref().map(ToString::to_string);
        let host = &snapshot.host;
        self.areas.care(&self.root, &host.areas, host.ram, self.session.history(), snapshot.at).await;
    }
}
