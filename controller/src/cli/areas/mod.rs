//! `swaptier ghost` and `swaptier vswap`: swap areas made, grown, emptied, moved, removed, listed. What each word does is
//! `vswap::Operations`'; here are the words, the printing and the exit codes.

mod list;
mod watch;

use std::path::PathBuf;

use clap::Subcommand;
use swaptier_policies::Bytes;

use super::{
    output::{plain, say},
    settings,
};
use crate::{
    exit::{Exit, Failure, Result},
    root::Root,
    vswap::{AreaError, AreaKind, AreaName, AreaSpec, Means, Operations, Owner, Step},
};

/// Swap areas without storage: their pages are in zswap, or stay in memory
#[derive(Debug, Subcommand)]
pub(super) enum Ghost {
    /// Makes an area and switches it on
    Create {
        /// Its name: up to 15 of a-z, 0-9 and _
        name: AreaName,
        /// Original bytes of slots (64G); without it four times the memory
        #[arg(long)]
        size: Option<Bytes>,
        /// What it is made of; without it the best this kernel has, in this order
        #[arg(long)]
        kind: Option<Kind>,
        #[command(flatten)]
        how: How,
    },
    /// Adds slots to an area
    Grow {
        /// Its name
        name: AreaName,
        /// Original bytes of slots to add
        #[arg(long, value_name = "SIZE")]
        slots: Bytes,
        #[command(flatten)]
        how: How,
    },
    #[command(flatten)]
    Shared(Shared),
}

/// What a ghost is made of.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum Kind {
    /// A file of one page whose header claims more: no kernel of today takes it
    Native,
    /// By device-mapper: a page of memory, and nothing behind it
    Dm,
    /// A zram device that refuses to take pages; its table takes memory for each slot
    Zram,
}

/// Swap areas far larger than their disk, which take blocks of it only for pages that are written back
#[derive(Debug, Subcommand)]
pub(super) enum Vswap {
    /// Makes an area and switches it on
    Create(Create),
    /// Adds slots to an area, or a disk to its pool
    Grow {
        /// Its name
        name: AreaName,
        /// Original bytes of slots to add
        #[arg(long, value_name = "SIZE", conflicts_with = "device", required_unless_present = "device")]
        slots: Option<Bytes>,
        /// Disk, partition or file to add to the pool
        #[arg(long, value_name = "PATH")]
        device: Option<PathBuf>,
        /// Makes the file, with so many bytes on disk
        #[arg(long, value_name = "SIZE", requires = "device")]
        file_size: Option<Bytes>,
        /// Takes the disk although it holds something: that is lost
        #[arg(long, requires = "device")]
        wipe: bool,
        #[command(flatten)]
        how: How,
    },
    /// Moves the blocks of one disk of the pool to another, while the area is in use; finishes a move that was left
    Move(Move),
    #[command(flatten)]
    Shared(Shared),
}

/// `vswap create`.
#[derive(Debug, clap::Args)]
pub(super) struct Create {
    /// Its name: up to 15 of a-z, 0-9 and _
    name: AreaName,
    /// Disk, partition or file that pages are written to; may be repeated
    #[arg(long, value_name = "PATH", required = true)]
    device: Vec<PathBuf>,
    /// Makes the file, with so many bytes on disk
    #[arg(long, value_name = "SIZE")]
    file_size: Option<Bytes>,
    /// Original bytes of slots (64G); without it four times the disk
    #[arg(long)]
    size: Option<Bytes>,
    /// Encrypts what is on disk with a key that only the kernel's memory holds
    #[arg(long)]
    encrypt: bool,
    /// An ordinary area: a slot for each page of the device, and no pool
    #[arg(long)]
    plain: bool,
    /// Takes disks although they hold something (file systems, partitions, data): that is lost
    #[arg(long)]
    wipe: bool,
    #[command(flatten)]
    how: How,
}

/// `vswap move`.
#[derive(Debug, clap::Args)]
pub(super) struct Move {
    /// Its name
    name: AreaName,
    /// Disk, partition or file that takes the blocks
    #[arg(long, value_name = "PATH", required_unless_present_any = ["cancel", "finish"])]
    to: Option<PathBuf>,
    /// The disk that is left, where there are several
    #[arg(long, value_name = "PATH", requires = "to")]
    from: Option<PathBuf>,
    /// Makes the file, with so many bytes on disk
    #[arg(long, value_name = "SIZE", requires = "to")]
    file_size: Option<Bytes>,
    /// Takes the disk although it holds something: that is lost
    #[arg(long, requires = "to")]
    wipe: bool,
    /// Gives the move up: everything is still where it was
    #[arg(long, conflicts_with_all = ["to", "finish"])]
    cancel: bool,
    /// Goes on with a move whose command was ended
    #[arg(long, conflicts_with = "to")]
    finish: bool,
    /// Does not wait until all is copied; `--finish` completes it
    #[arg(long)]
    no_wait: bool,
    /// Only prints every step
    #[arg(long)]
    dry_run: bool,
}

/// What both kinds take.
#[derive(Debug, Subcommand)]
pub(super) enum Shared {
    /// Empties an area, if memory has room for it: what is in it comes back, and it is switched off
    Drain {
        /// Its name
        name: AreaName,
        /// Switches it on again instead
        #[arg(long)]
        undo: bool,
        /// Only prints every step
        #[arg(long)]
        dry_run: bool,
    },
    /// Empties an area and removes all that was made for it
    Remove {
        /// Its name
        name: AreaName,
        /// Only prints every step
        #[arg(long)]
        dry_run: bool,
    },
    /// Finishes what a killed command began, and removes devices of ours that are on no list
    Settle,
    /// Shows all areas of swaptier
    List {
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
}

/// How something is made.
#[derive(Debug, clap::Args)]
pub(super) struct How {
    /// Higher is used first: 0 to 32767; without it the kernel chooses
    #[arg(long, value_parser = clap::value_parser!(u16).range(..=32767))]
    priority: Option<u16>,
    /// Only prints every step
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn ghost(root: &Root, command: &Ghost) -> Result {
    match command {
        Ghost::Create { name, size, kind, how } => {
            let (kind, means) = match kind {
                None => (AreaKind::Ghost, None),
                Some(Kind::Native) => (AreaKind::Ghost, Some(Means::Native)),
                Some(Kind::Dm) => (AreaKind::Ghost, Some(Means::Dm)),
                Some(Kind::Zram) => (AreaKind::Zram, Some(Means::Zram)),
            };
            let spec = AreaSpec { size: *size, priority: how.priority, ..AreaSpec::new(name.clone(), kind) };
            done(open(root, how.dry_run)?.create_of(&spec, Owner::Command, means), how.dry_run)
        }
        Ghost::Grow { name, slots, how } => {
            done(open(root, how.dry_run)?.grow_slots(name, *slots, how.priority), how.dry_run)
        }
        Ghost::Shared(shared) => self::shared(root, shared),
    }
}

pub(super) fn vswap(root: &Root, command: &Vswap) -> Result {
    match command {
        Vswap::Create(args) => {
            let kind = if args.plain { AreaKind::Plain } else { AreaKind::Virtual };
            let spec = AreaSpec {
                size: args.size,
                devices: args.device.clone(),
                file_size: args.file_size,
                priority: args.how.priority,
                encrypt: args.encrypt,
                ..AreaSpec::new(args.name.clone(), kind)
            };
            let dry = args.how.dry_run;
            done(open(root, dry)?.wiping(args.wipe).create(&spec, Owner::Command), dry)
        }
        Vswap::Grow { name, slots, device, file_size, wipe, how } => {
            let mut operations = open(root, how.dry_run)?.wiping(*wipe);
            let steps = match (slots, device) {
                (Some(slots), _) => operations.grow_slots(name, *slots, how.priority),
                (None, Some(device)) => operations.grow_disk(name, device, *file_size),
                (None, None) => return Err(Failure::say(Exit::Usage, "what is to be added?")),
            };
            done(steps, how.dry_run)
        }
        Vswap::Move(args) => watch::moves(root, args),
        Vswap::Shared(shared) => self::shared(root, shared),
    }
}

fn shared(root: &Root, command: &Shared) -> Result {
    match command {
        Shared::Drain { name, undo: true, dry_run } => done(open(root, *dry_run)?.switch_on(name), *dry_run),
        Shared::Drain { name, undo: false, dry_run } => watch::drain(root, name, *dry_run),
        Shared::Remove { name, dry_run } => done(open_but(root, *dry_run, name)?.remove(name), *dry_run),
        Shared::Settle => settle(root),
        Shared::List { json } => list::run(root, *json),
    }
}

/// The host's areas, after what a killed command left undone is done. What cannot be done is told, and is no reason against
/// what was asked for.
fn open(root: &Root, is_dry: bool) -> std::result::Result<Operations<'_>, Failure> {
    opened(root, is_dry, None).map(|(operations, _)| operations)
}

/// The same, but for the area that is about to be taken off: to finish making it first helps nobody.
fn open_but<'r>(
    root: &'r Root,
    is_dry: bool,
    name: &AreaName,
) -> std::result::Result<Operations<'r>, Failure> {
    opened(root, is_dry, Some(name)).map(|(operations, _)| operations)
}

fn settle(root: &Root) -> Result {
    let (_works, has_failed) = opened(root, false, None)?;
    Ok(if has_failed { Exit::Failed } else { Exit::Done })
}

fn opened<'r>(
    root: &'r Root,
    is_dry: bool,
    but: Option<&AreaName>,
) -> std::result::Result<(Operations<'r>, bool), Failure> {
    let mut operations = as_they_are(root, is_dry)?;
    let settled = if is_dry { Default::default() } else { operations.settle(but).map_err(failure)? };
    for line in settled.lines().into_iter().chain(operations.take_told()) {
        eprintln!("swaptier: {}", plain(&line));
    }
    Ok((operations, !settled.failed.is_empty()))
}

/// The host's areas, with what was left undone.
fn as_they_are(root: &Root, is_dry: bool) -> std::result::Result<Operations<'_>, Failure> {
    let config = settings::config(root)?;
    Operations::open(root, &settings::state_dir(root, &config), is_dry).map_err(failure)
}

/// Tells what was done, or would be.
fn done(outcome: std::result::Result<Vec<Step>, AreaError>, is_dry: bool) -> Result {
    let steps = outcome.map_err(failure)?;
    let mut text = String::new();
    for step in &steps {
        text += &format!("{}{}\n", if is_dry { "would " } else { "" }, plain(&step.to_string()));
    }
    say(&text)?;
    Ok(if steps.is_empty() { Exit::Nothing } else { Exit::Done })
}

fn failure(error: AreaError) -> Failure {
    let exit = if error.is_permission() { Exit::NotPermitted } else { Exit::Failed };
    match error {
        AreaError::State(error) => settings::of_undo(error),
        error => Failure::new(exit, error),
    }
}
