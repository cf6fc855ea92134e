//! Whether the kernel's memory killer was at work: it counts its victims, per cgroup and for the whole machine.

use std::fs;
use std::path::{Path, PathBuf};

/// What is known about a process that died of SIGKILL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OomKill {
    /// Our cgroup counted a victim since the last look.
    Certain,
    /// Somebody on this machine was killed since then; a cgroup that counts would have said more.
    Likely,
    /// Nothing is known.
    Possible,
}

/// The counters, as they were at the last look.
pub(crate) struct OomWatch {
    cgroup: Vec<PathBuf>,
    machine: PathBuf,
    cgroup_kills: u64,
    machine_kills: u64,
}

impl OomWatch {
    /// Reads the counters for the first time. `root`: where `/proc` and `/sys` are.
    pub(crate) fn new(root: &Path) -> OomWatch {
        let mut watch = OomWatch {
            cgroup: files_of_cgroup(root),
            machine: root.join("proc/vmstat"),
            cgroup_kills: 0,
            machine_kills: 0,
        };
        watch.look();
        watch
    }

    /// What the counters say about a process that was killed since the last look.
    pub(crate) fn look(&mut self) -> OomKill {
        let cgroup_kills = self.cgroup.iter().filter_map(|file| counter(file)).max().unwrap_or(0);
        let machine_kills = counter(&self.machine).unwrap_or(0);
        let is_ours = cgroup_kills > std::mem::replace(&mut self.cgroup_kills, cgroup_kills);
        let is_near = machine_kills > std::mem::replace(&mut self.machine_kills, machine_kills);
        match (is_ours, is_near) {
            (true, _) => OomKill::Certain,
            (false, true) => OomKill::Likely,
            (false, false) => OomKill::Possible,
        }
    }
}

/// `memory.events` of our cgroup (v2) or `memory.oom_control` (v1), whichever there is.
fn files_of_cgroup(root: &Path) -> Vec<PathBuf> {
    let mounts = root.join("sys/fs/cgroup");
    let own = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut files = Vec::new();
    for line in own.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        // A path that leaves a private namespace says nothing about the mount; its root is ours then.
        let path = if path.contains("..") { "" } else { path.trim_start_matches('/') };
        let (mount, file) = match controllers {
            "" => (mounts.clone(), "memory.events"),
            _ if controllers.split(',').any(|name| name == "memory") => (mounts.join("memory"), "memory.oom_control"),
            _ => continue,
        };
        files.extend([mount.join(path).join(file), mount.join(file)]);
    }
    files.retain(|file| counter(file).is_some());
    files.truncate(1);
    files
}

/// The line `oom_kill N` of a file.
fn counter(file: &Path) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(name: &str, cgroup: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("fastworker-oom-{}-{name}", std::process::id()));
        for directory in ["proc/self", "sys/fs/cgroup/pod/worker", "sys/fs/cgroup/memory/pod"] {
            fs::create_dir_all(root.join(directory)).expect("a temporary directory");
        }
        fs::write(root.join("proc/self/cgroup"), cgroup).expect("written");
        fs::write(root.join("proc/vmstat"), "nr_free_pages 1\noom_kill 7\n").expect("written");
        root
    }

    #[test]
    fn victim_in_our_cgroup_is_certain() {
        let root = machine("v2", "0::/pod/worker\n");
        let events = root.join("sys/fs/cgroup/pod/worker/memory.events");
        fs::write(&events, "low 0\noom 0\noom_kill 0\n").expect("written");
        let mut watch = OomWatch::new(&root);
        assert_eq!(watch.look(), OomKill::Possible);
        fs::write(&events, "low 0\noom 1\noom_kill 1\n").expect("written");
        assert_eq!(watch.look(), OomKill::Certain);
        assert_eq!(watch.look(), OomKill::Possible);
        fs::remove_dir_all(root).expect("removed");
    }

    #[test]
    fn victim_in_our_cgroup_of_version_1_is_certain() {
        let root = machine("v1", "4:cpu:/x\n3:memory:/pod\n");
        let control = root.join("sys/fs/cgroup/memory/pod/memory.oom_control");
        fs::write(&control, "oom_kill_disable 0\noom_kill 2\n").expect("written");
        let mut watch = OomWatch::new(&root);
        fs::write(&control, "oom_kill_disable 0\noom_kill 3\n").expect("written");
        assert_eq!(watch.look(), OomKill::Certain);
        fs::remove_dir_all(root).expect("removed");
    }

    #[test]
    fn victim_somewhere_on_the_machine_is_likely() {
        let root = machine("vmstat", "0::/\n");
        let mut watch = OomWatch::new(&root);
        fs::write(root.join("proc/vmstat"), "oom_kill 8\n").expect("written");
        assert_eq!(watch.look(), OomKill::Likely);
        fs::remove_dir_all(root).expect("removed");
    }
}
