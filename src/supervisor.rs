//! A thread beside a run: interrupts SQLite where the run is stopped, and tells how far it is.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, InterruptHandle};

use crate::error::{Error, ErrorKind, Result};
use crate::event::{Ear, Event, Listener};
use crate::held::Progress;
use crate::migration::Version;
use crate::sql::{Position, Script, Statement};
use crate::stop::Stop;

/// How often progress is told: a step is heard of within twice that.
const EVERY: Duration = Duration::from_millis(400);

/// How long a batch of a backfill may go on after a stop.
pub(crate) const GRACE: Duration = Duration::from_millis(250);

/// An interrupt that comes before its statement has begun has no effect, and is repeated.
const REPEAT: Duration = Duration::from_millis(3);

const RUNNING: &str = "running";

/// Supervises the long work of one run. Without a `Stop` and a listener there is nothing to do, and
/// the thread starts with the first work.
pub(crate) struct Supervisor(Option<Supervised>);

struct Supervised {
    desk: Arc<Desk>,
    thread: RefCell<Option<JoinHandle<()>>>,
}

/// What the two threads share.
struct Desk {
    /// The application's, or one that is never used.
    stop: Stop,
    listener: Option<Arc<Listener>>,
    handle: InterruptHandle,
    ended: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    step: Option<Step>,
    /// What may be interrupted. The other thread interrupts with the lock held, and the run clears
    /// this before it goes on: no interrupt reaches anything else.
    work: Option<Work>,
    /// What was first interrupted.
    interrupted: Option<String>,
    /// The listener's.
    panic: Option<Box<dyn Any + Send>>,
}

struct Work {
    grace: Duration,
    /// When it was first seen that it is to end.
    since: Option<Instant>,
    /// Of another connection that the work is done on too.
    also: Option<InterruptHandle>,
}

/// What the run is at.
struct Step {
    version: Option<Version>,
    name: String,
    /// As errors call it.
    label: String,
    since: Instant,
    doing: &'static str,
    file: Option<String>,
    position: Option<Position>,
    /// Which of how many, counted from 1.
    statement: Option<(usize, usize)>,
    done: Option<Progress>,
}

impl Supervisor {
    pub(crate) fn new(
        conn: &Connection,
        stop: Option<&Stop>,
        listener: Option<&Arc<Listener>>,
    ) -> Self {
        if stop.is_none() && listener.is_none() {
            return Supervisor(None);
        }
        let desk = Arc::new(Desk {
            stop: stop.cloned().unwrap_or_default(),
            listener: listener.cloned(),
            handle: conn.get_interrupt_handle(),
            ended: AtomicBool::new(false),
            state: Mutex::default(),
        });
        Supervisor(Some(Supervised { desk, thread: RefCell::default() }))
    }

    /// A step begins: what is done from now on is part of it.
    pub(crate) fn begin(
        &self,
        version: Option<Version>,
        name: &str,
        label: impl FnOnce() -> String,
    ) {
        let Some(Supervised { desk, .. }) = &self.0 else { return };
        desk.state().step = Some(Step {
            version,
            name: name.to_owned(),
            label: label(),
            since: Instant::now(),
            doing: RUNNING,
            file: None,
            position: None,
            statement: None,
            done: None,
        });
    }

    /// No step is being done any more.
    pub(crate) fn end(&self) {
        if let Some(Supervised { desk, .. }) = &self.0 {
            desk.state().step = None;
        }
    }

    fn is_doing(&self, doing: &'static str) {
        if let Some(Supervised { desk, .. }) = &self.0
            && let Some(step) = &mut desk.state().step
        {
            step.doing = doing;
        }
    }

    /// So much of the step is done.
    pub(crate) fn is_at(&self, done: Progress) {
        if let Some(Supervised { desk, .. }) = &self.0
            && let Some(step) = &mut desk.state().step
        {
            step.done = Some(done);
        }
    }

    /// Does work that may be interrupted, unless it is to stop already.
    pub(crate) fn during<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        self.refuse_interrupted()?;
        self.refuse_stopped()?;
        self.work(doing, Duration::ZERO, None, work)
    }

    /// The same, on a connection of our own.
    pub(crate) fn during_on<T>(
        &self,
        conn: &Connection,
        doing: &'static str,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        self.refuse_interrupted()?;
        self.refuse_stopped()?;
        self.work(doing, Duration::ZERO, Some(conn), work)
    }

    /// The same, of the n-th of so many statements.
    pub(crate) fn statement<T>(
        &self,
        script: &Script,
        statement: &Statement,
        nth: (usize, usize),
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let Some(Supervised { desk, .. }) = &self.0 else { return work() };
        if let Some(step) = &mut desk.state().step {
            if step.file.as_deref() != Some(script.file.as_ref()) {
                (step.file, step.position) = (Some(script.file.to_string()), None);
            }
            let from = step.position.filter(|last| last.byte <= statement.start);
            step.position = Some(from.unwrap_or(Position::START).on(&script.text, statement.start));
            step.statement = Some(nth);
        }
        self.during(RUNNING, work)
    }

    /// Lends the work of a function, whose Rust code is not interrupted and whose SQL is. What it
    /// returns is looked at afterwards.
    pub(crate) fn lending<T>(&self, grace: Duration, work: impl FnOnce() -> T) -> T {
        self.work(RUNNING, grace, None, work)
    }

    fn start(&self) {
        if let Some(Supervised { desk, thread }) = &self.0 {
            let mut thread = thread.borrow_mut();
            if thread.is_none() {
                let desk = Arc::clone(desk);
                let named = std::thread::Builder::new().name("landfall".to_owned());
                match named.spawn(move || desk.supervise()) {
                    Ok(started) => *thread = Some(started),
                    Err(error) => log::warn!("long work cannot be stopped or told: {error}"),
                }
            }
        }
    }

    fn work<T>(
        &self,
        doing: &'static str,
        grace: Duration,
        conn: Option<&Connection>,
        work: impl FnOnce() -> T,
    ) -> T {
        let Some(Supervised { desk, .. }) = &self.0 else { return work() };
        let also = conn.map(Connection::get_interrupt_handle);
        desk.enter(doing, Work { grace, since: None, also });
        self.start();
        let leave = Leave(desk);
        let done = work();
        drop(leave);
        desk.pass_on_panic();
        done
    }

    /// What is told between two steps of a copy, which ends there where it is to stop.
    pub(crate) fn copying<'a>(
        &'a self,
        ear: Option<&'a Ear<'a>>,
    ) -> impl Fn(Option<Event<'_>>) -> Result<()> + 'a {
        self.start();
        move |event| {
            if let Some(Event::Backup { done, total } | Event::Restore { done, total }) = event {
                self.is_doing("copying");
                self.is_at(Progress { done, total: Some(total) });
            }
            if let (Some(event), Some(ear)) = (event, ear) {
                ear(&event);
            }
            self.refuse_stopped()
        }
    }

    /// Whether work of this run was interrupted: what it returned is not to be trusted, for a
    /// function can take the error for something else.
    pub(crate) fn has_interrupted(&self) -> bool {
        self.0.as_ref().is_some_and(|it| it.desk.state().interrupted.is_some())
    }

    fn is_stopped(&self) -> bool {
        self.0.as_ref().is_some_and(|it| it.desk.stop.is_stopped())
    }

    /// Refuses to go on once it is to stop.
    pub(crate) fn refuse_stopped(&self) -> Result<()> {
        match &self.0 {
            Some(it) if it.desk.stop.is_stopped() => Err(stopped(it.desk.state().doing())),
            _ => Ok(()),
        }
    }

    /// Refuses to commit what was interrupted.
    pub(crate) fn refuse_interrupted(&self) -> Result<()> {
        let refused = if self.has_interrupted() { self.refuse_stopped() } else { Ok(()) };
        refused.map_err(Error::rolled_back)
    }

    /// Says of an error that follows from an interrupt of ours that the run was stopped.
    pub(crate) fn explain(&self, error: Error) -> Error {
        let Some(it) = &self.0 else { return error };
        match &it.desk.state().interrupted {
            Some(doing) if self.is_stopped() => error.stopped(doing.clone()),
            _ => error,
        }
    }

    /// Ends the thread. A panic of the listener goes on on this one.
    pub(crate) fn close(&self) {
        self.join();
        if let Some(it) = &self.0 {
            it.desk.pass_on_panic();
        }
    }

    fn join(&self) {
        let Some(Supervised { desk, thread }) = &self.0 else { return };
        if let Some(thread) = thread.borrow_mut().take() {
            desk.ended.store(true, Ordering::SeqCst);
            desk.stop.wake();
            let _ = thread.join();
            desk.ended.store(false, Ordering::SeqCst);
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.join();
    }
}

/// A run that was stopped there.
pub(crate) fn stopped(at: impl Into<String>) -> Error {
    ErrorKind::Stopped { at: at.into() }.into()
}

/// Takes the work away from what may be interrupted, also where it panics.
struct Leave<'d>(&'d Desk);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.state().work = None;
    }
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, doing: &'static str, work: Work) {
        let mut state = self.state();
        if let Some(step) = &mut state.step {
            step.doing = doing;
        }
        state.work = Some(work);
    }

    fn pass_on_panic(&self) {
        let panic = self.state().panic.take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// What the thread does until the run has ended.
    fn supervise(&self) {
        let mut told = Instant::now();
        let has_ended = || self.ended.load(Ordering::SeqCst);
        while !has_ended() {
            let mut state = self.state();
            if self.listener.is_some() && told.elapsed() >= EVERY {
                told = Instant::now();
                self.tell(&mut state);
            }
            let is_to_end = state.panic.is_some() || self.stop.is_stopped();
            if is_to_end {
                state.interrupt(&self.handle);
            }
            drop(state);
            let until_next = self.listener.as_ref().map(|_| EVERY.saturating_sub(told.elapsed()));
            match is_to_end {
                true => self.stop.wait_while(Some(REPEAT), |_| !has_ended()),
                false => self.stop.wait_while(until_next, |stopped| !stopped && !has_ended()),
            }
        }
    }

    /// With the lock held, so that nothing is told of a step that has ended.
    fn tell(&self, state: &mut State) {
        let (Some(listener), Some(step), None) = (&self.listener, &state.step, &state.panic) else {
            return;
        };
        let elapsed = step.since.elapsed();
        if elapsed < EVERY {
            return;
        }
        let event = Event::Progress {
            version: step.version,
            name: &step.name,
            doing: step.doing,
            file: step.file.as_deref(),
            position: step.position,
            statement: step.statement,
            done: step.done,
            elapsed,
        };
        state.panic = catch_unwind(AssertUnwindSafe(|| listener(&event))).err();
    }
}

impl State {
    fn interrupt(&mut self, handle: &InterruptHandle) {
        let doing = self.doing();
        let Some(work) = &mut self.work else { return };
        if work.since.get_or_insert_with(Instant::now).elapsed() < work.grace {
            return;
        }
        handle.interrupt();
        if let Some(also) = &work.also {
            also.interrupt();
        }
        self.interrupted.get_or_insert(doing);
    }

    fn doing(&self) -> String {
        let Some(step) = &self.step else { return "before its next step".to_owned() };
        match (&step.file, step.position, step.statement) {
            (Some(file), Some(position), Some((nth, of))) if step.doing == RUNNING => {
                format!("while {RUNNING} statement {nth} of {of} of {file}, {position}")
            }
            _ => format!("while {} {}", step.doing, step.label),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_thread(supervisor: &Supervisor) -> bool {
        supervisor.0.as_ref().is_some_and(|it| it.thread.borrow().is_some())
    }

    #[test]
    fn thread_starts_with_the_first_work_and_ends_with_the_run() -> rusqlite::Result<()> {
        let conn = Connection::open_in_memory()?;
        let idle = Supervisor::new(&conn, None, None);
        idle.lending(GRACE, || ());
        assert!(idle.0.is_none());

        let supervisor = Supervisor::new(&conn, Some(&Stop::new()), None);
        supervisor.begin(None, "step", String::new);
        supervisor.end();
        assert!(!has_thread(&supervisor));
        supervisor.lending(GRACE, || ());
        assert!(has_thread(&supervisor));
        supervisor.close();
        assert!(!has_thread(&supervisor));
        Ok(())
    }
}
