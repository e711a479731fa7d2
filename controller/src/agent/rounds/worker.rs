//! The thread that has the write-back engine: one round at a time, as the loop hands them over. The loop never waits for
//! it but when the agent ends.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{
    act::{
        Order,
        writeback::{Course, Engine, Report, RoundError, Scope},
    },
    config::DialectChoice,
    journal::Undo,
    root::Root,
};

/// A round, as the thread is told it.
pub(super) struct Round {
    pub(super) choice: DialectChoice,
    pub(super) order: Order,
    pub(super) scope: Scope,
    pub(super) course: Arc<Course>,
}

/// What came of it.
pub(in crate::agent) type Done = Result<Report, RoundError>;

enum Job {
    Round(Box<Round>),
    /// Gives back what an earlier round could not.
    Tidy,
    /// Starts the pump.
    WarmUp,
}

/// The loop's end. Dropping it ends the pump, after the round that runs.
pub(super) struct Worker {
    /// `None` while it is being ended.
    jobs: Option<mpsc::Sender<Job>>,
    done: UnboundedReceiver<Done>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(super) fn start(root: Root, undo: Arc<Mutex<Undo>>, deadline: Duration) -> io::Result<Self> {
        let (jobs, todo) = mpsc::channel();
        let (tell, done) = unbounded_channel();
        let engine = Engine::new(root, undo, deadline);
        let thread = std::thread::Builder::new().name("rounds".to_owned());
        let thread = thread.spawn(move || work(engine, &todo, &tell))?;
        Ok(Self { jobs: Some(jobs), done, thread: Some(thread) })
    }

    /// Hands over a round. `false`: there is nobody any more.
    pub(super) fn begin(&self, round: Round) -> bool {
        self.say(Job::Round(Box::new(round)))
    }

    pub(super) fn tidy(&self) {
        self.say(Job::Tidy);
    }

    pub(super) fn warm_up(&self) {
        self.say(Job::WarmUp);
    }

    fn say(&self, job: Job) -> bool {
        self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok())
    }

    /// Waits for the end of the round that runs. Cancelled without loss.
    pub(super) async fn done(&mut self) -> Done {
        match self.done.recv().await {
            Some(done) => done,
            // The thread is gone, which it is only once it is being ended: it outlives its jobs' panics.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn work(mut engine: Engine, todo: &mpsc::Receiver<Job>, tell: &UnboundedSender<Done>) {
    while let Ok(job) = todo.recv() {
        // What a job that panics has changed is in the undo log, and the panic has said so. The next ones are done: a round that
        // waited for a thread that is gone would be under way for ever.
        match job {
            Job::Tidy => {
                let _said = catch_unwind(AssertUnwindSafe(|| engine.tidy()));
            }
            Job::WarmUp => {
                if let Ok(Err(error)) = catch_unwind(AssertUnwindSafe(|| engine.warm_up())) {
                    tracing::debug!(%error, "the write-back pump is not started yet: {error}");
                }
            }
            Job::Round(round) => {
                let Round { choice, order, scope, course } = *round;
                let done = catch_unwind(AssertUnwindSafe(|| engine.round(choice, &order, &scope, &course)));
                let done = done.unwrap_or_else(|_| {
                    course.let_go();
                    Err(RoundError::Pump(io::Error::other("the round panicked")))
                });
                if tell.send(done).is_err() {
                    break;
                }
            }
        }
    }
    engine.stop();
}
