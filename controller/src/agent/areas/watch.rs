//! What the areas did since the last tick, told; and what follows at once.

use swaptier_policies::{Snapshot, asks, is_due, refusal};

use crate::{
    agent::Agent,
    serve::events::{EventKind, News},
};

/// Events that wait for the next line of the journal: more is a host on which no decision is carried out.
const EVENTS: usize = 256;

impl Agent {
    /// Looks at the areas, tells what happened to them, and looks after those of the configuration. Returns whether a
    /// decision cannot wait.
    pub(in crate::agent) async fn watch_areas(&mut self, snapshot: &Snapshot) -> bool {
        let before = asks(&self.history);
        let failed = self.areas.failing.look(&snapshot.host.areas);
        for event in self.history.watch(snapshot).into_iter().chain(failed) {
            let news = News::of(EventKind::Area, event.to_string());
            self.tell(News { is_trouble: event.is_trouble(), ..news });
            if self.events.len() < EVENTS {
                self.events.push(event);
            }
        }
        self.refusal = refusal(snapshot, &self.history).map(|hold| hold.to_string());
        let host = &snapshot.host;
        self.areas.care(&self.root, &host.areas, host.ram, &self.history, snapshot.at).await;
        is_due(snapshot, &self.history) || asks(&self.history) != before
    }
}
