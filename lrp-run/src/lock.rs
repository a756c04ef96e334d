//! One process holds an output folder at a time.
//!
//! The system releases the lock when the process ends, however it ends: the lock of a killed one is taken over.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use lrp::{Complaint, Error};
use serde::{Deserialize, Serialize};

use crate::events::Events;
use crate::files;

/// The file that is locked.
const NAME: &str = ".lrp.lock";

/// Most bytes that are read of it.
const LENGTH: u64 = 4096;

/// A folder that is held.
#[derive(Debug)]
pub struct Lock {
    /// None where the file system has no locks.
    held: Option<(File, PathBuf)>,
}

/// Who holds a folder.
#[derive(Debug, Serialize, Deserialize)]
struct Holder {
    pid: u32,
    host: String,
    /// Seconds since 1970.
    since: u64,
}

impl Lock {
    /// Holds a folder; where the file system has no locks, a note says so.
    ///
    /// # Errors
    /// When another process holds it, and when the lock cannot be made.
    pub fn hold(dir: &Path, events: &dyn Events) -> Result<Self, Error> {
        let path = dir.join(NAME);
        let unwritable = |e: io::Error| files::unwritable(&path, &e);
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
            let mut file = options.open(&path).map_err(unwritable)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(held(dir, &mut file)),
                Err(TryLockError::Error(e)) => {
                    let dir = dir.display();
                    events.note(&format!("'{dir}' cannot be locked ({e}): let no other lrp write there meanwhile"));
                    return Ok(Self { held: None });
                }
            }
            // Whoever held it before may have removed the file in the meantime: then this is the lock of nothing.
            if !is_still_there(&file, &path) {
                continue;
            }
            let holder = Holder { pid: std::process::id(), host: host(), since: now().as_secs() };
            let text = serde_json::to_string(&holder).map_err(|e| Error::Internal(e.to_string()))?;
            file.set_len(0).and_then(|()| file.write_all(text.as_bytes())).map_err(unwritable)?;
            return Ok(Self { held: Some((file, path)) });
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is held: nobody else can have it.
        if let Some((_file, path)) = &self.held {
            let _ = fs::remove_file(path);
        }
    }
}

/// Says who holds a folder.
fn held(dir: &Path, file: &mut File) -> Error {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(LENGTH).read_to_string(&mut text));
    let holder = read.ok().and_then(|_| serde_json::from_str::<Holder>(&text).ok());
    let who = match holder {
        Some(Holder { pid, host, since }) => {
            let host: String = host.chars().filter(|c| !c.is_control()).take(80).collect();
            let since = in_words(now().saturating_sub(Duration::from_secs(since)));
            format!("process {pid} on '{host}' has been writing there for {since}")
        }
        None => "another process is writing there".to_owned(),
    };
    Error::InUse(Complaint::new(
        format!("'{}' is in use: {who}", dir.display()),
        "wait until it is done, or choose another folder with -o",
    ))
}

/// A duration in words, in the largest unit that it has about two of: `90 seconds`, `2 hours`.
fn in_words(duration: Duration) -> String {
    const UNITS: [(&str, f64); 6] = [
        ("year", 31_536_000.0),
        ("week", 604_800.0),
        ("day", 86_400.0),
        ("hour", 3600.0),
        ("minute", 60.0),
        ("second", 1.0),
    ];
    let seconds = duration.as_secs_f64();
    let large_enough = |pair: &&[(&str, f64)]| match pair {
        [(_, unit), (_, next)] => seconds + next / 2.0 >= 1.5 * unit,
        _ => false,
    };
    let (name, count) = match UNITS.windows(2).find(large_enough) {
        Some([(name, unit), ..]) => (*name, (seconds / unit).round().max(2.0)),
        _ => ("second", seconds.round()),
    };
    format!("{count} {name}{}", if count == 1.0 { "" } else { "s" })
}

fn is_still_there(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let same = |a: fs::Metadata, b: fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        file.metadata().and_then(|a| fs::symlink_metadata(path).map(|b| same(a, b))).unwrap_or(false)
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        path.exists()
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The name of this machine.
fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| ["HOSTNAME", "COMPUTERNAME"].into_iter().find_map(|name| std::env::var(name).ok()));
    name.map_or_else(|| "this machine".to_owned(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_once_and_what_is_left_of_a_lock_holds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(NAME), "what a killed process has left").unwrap();
        let lock = Lock::hold(dir.path(), &()).unwrap();
        let refusal = Lock::hold(dir.path(), &()).unwrap_err().to_string();
        assert!(refusal.contains(&format!("process {} on '", std::process::id())), "{refusal}");
        drop(lock);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        drop(Lock::hold(dir.path(), &()).unwrap());
    }

    #[test]
    fn whoever_gets_the_lock_is_alone() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let dir = tempfile::tempdir().unwrap();
        let (inside, most, times) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    for _ in 0..200 {
                        let Ok(_lock) = Lock::hold(dir.path(), &()) else { continue };
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        times.fetch_add(1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 1);
        assert!(times.into_inner() > 0);
    }
}
