//! What is typed to repair, to undo, and to look back.

use std::time::Duration;

use clap::ArgGroup;

use crate::duration;
use crate::offload::fix::emit::Manager;

/// The options of `hostdiag offload` that have to do with repairs.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("action")
    .args(["fix", "undo", "history", "emit", "service", "watch", "hold", "release"])
    .conflicts_with_all(["all_netns", "from", "matrix", "strict"]))]
#[command(group = ArgGroup::new("alone")
    .args(["watch", "hold", "release"])
    .conflicts_with_all(["interfaces", "netns", "output", "format"]))]
// What is required counts as there where a conflict keeps it out, hence both.
#[command(group = ArgGroup::new("change").args(["fix", "undo", "hold"]))]
#[command(group = ArgGroup::new("of_fix")
    .args(["dry_run", "physical"])
    .multiple(true)
    .requires("fix")
    .conflicts_with_all(["undo", "history", "emit", "service", "watch", "hold", "release"]))]
#[command(group = ArgGroup::new("repair").args(["fix", "service", "watch"]))]
#[command(group = ArgGroup::new("of_repair")
    .args(["max_devices", "observe"])
    .multiple(true)
    .requires("repair")
    .conflicts_with_all(["undo", "history", "emit", "hold", "release"]))]
pub struct FixArgs {
    /// Repair lost offloads of VLANs, bonds and teams; shows the plan first.
    #[arg(long)]
    pub fix: bool,
    /// Only show what --fix would do.
    #[arg(long)]
    pub dry_run: bool,
    /// Take a repair back, the last one or that of this ID.
    #[arg(long, value_name = "ID", conflicts_with = "interfaces")]
    pub undo: Option<Option<String>>,
    /// Every repair and undo of this host, the newest last.
    #[arg(long, conflicts_with = "interfaces")]
    pub history: bool,
    /// Persistent configuration for what was repaired, for this network manager.
    #[arg(long, value_enum, value_name = "MANAGER")]
    pub emit: Option<Manager>,
    /// Permit changes of this one physical device.
    #[arg(long, value_name = "IFACE")]
    pub physical: Option<String>,
    /// Refuse a plan that repairs more devices than this.
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub max_devices: usize,
    /// How long each device is watched after its repair: 500ms, 10s, 5m.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration::parse)]
    pub observe: Duration,
    /// Why, for the history.
    #[arg(long, value_name = "TEXT", requires = "change", conflicts_with_all = ["history", "emit", "watch", "release"])]
    pub reason: Option<String>,
    /// What the boot-time unit runs: waits until links have settled, then audits or repairs, as the
    /// policy's mode says.
    #[arg(long, conflicts_with = "interfaces")]
    pub service: bool,
    /// Run on: look whenever links or features change, and report or repair, as the policy's mode says.
    #[arg(long)]
    pub watch: bool,
    /// Have neither the watch nor a --fix that does not name it repair a device.
    #[arg(long, value_name = "IFACE")]
    pub hold: Vec<String>,
    /// How long to hold it: 30m, 2h [default: until it is released].
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse, requires = "hold", conflicts_with_all = ["watch", "release", "history", "emit"])]
    pub for_: Option<Duration>,
    /// Hold a device no longer, nor what somebody switched off there while the watch ran.
    #[arg(long, value_name = "IFACE")]
    pub release: Vec<String>,
}

impl FixArgs {
    /// Whether the audit is not what was asked for.
    pub fn given(&self) -> bool {
        let once = self.fix || self.service || self.undo.is_some() || self.history || self.emit.is_some();
        once || self.watch || !self.hold.is_empty() || !self.release.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::{Cli, Command};

    fn parse(line: &str) -> Result<super::super::Args, clap::Error> {
        let words = ["hostdiag", "offload"].into_iter().chain(line.split_whitespace());
        match Cli::try_parse_from(words)?.command {
            Some(Command::Offload(args)) => Ok(*args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_belongs_together_parses() {
        let fix = parse("--fix --netns blue --observe 500ms --max-devices 3 --reason x vlan10").unwrap().fix;
        assert_eq!((fix.fix, fix.observe.as_millis(), fix.max_devices), (true, 500, 3));
        let fix = parse("--fix --dry-run --policy p --format json --physical eth0").unwrap().fix;
        assert_eq!((fix.observe.as_secs(), fix.max_devices), (5, 32));
        assert_eq!(parse("--undo").unwrap().fix.undo, Some(None));
        assert_eq!(parse("--undo 7 --reason x").unwrap().fix.undo, Some(Some("7".to_owned())));
        assert!(parse("--emit networkd-link vlan10").unwrap().fix.given());
        assert!(parse("--service --observe 1s").unwrap().fix.service);
        assert!(parse("--watch --observe 1s --max-devices 5 --policy p").unwrap().fix.watch);
        let fix = parse("--hold vlan10 --hold vlan20 --for 2h --reason x").unwrap().fix;
        assert_eq!((fix.hold.len(), fix.for_.unwrap().as_secs()), (2, 7200));
        assert_eq!(parse("--release vlan10").unwrap().fix.release, ["vlan10"]);
        assert!(!parse("--all-netns --strict").unwrap().fix.given());
        assert!(parse("--metrics a.prom --all-netns").unwrap().metrics.is_some());
        assert!(parse("--service --metrics /x/a.prom").unwrap().metrics.is_some());
    }

    #[test]
    fn what_contradicts_itself_is_wrong_usage() {
        let lines = [
            "--fix --all-netns",
            "--fix --from x",
            "--fix --matrix",
            "--fix --strict",
            "--fix --undo",
            "--fix --history",
            "--fix --emit ifupdown",
            "--undo --history",
            "--emit ifupdown --undo",
            "--history --emit networkmanager",
            "--dry-run",
            "--undo --dry-run",
            "--emit ifupdown --physical eth0",
            "--history --observe 1s",
            "--emit ifupdown --reason x",
            "--physical eth0",
            "--max-devices 1",
            "--observe 1s",
            "--observe 1d --fix",
            "--fix --service",
            "--fix --watch",
            "--watch --service",
            "--watch vlan10",
            "--watch --netns blue",
            "--watch --format json",
            "--watch --reason x",
            "--hold vlan10 --watch",
            "--hold vlan10 --release vlan10",
            "--hold vlan10 --observe 1s",
            "--release vlan10 --for 2h",
            "--release vlan10 --reason x",
            "--for 2h",
            "--hold",
            "--service --dry-run",
            "--service vlan10",
            "--service --physical eth0",
            "--emit netplan",
            "vlan10 --undo",
            "vlan10 --history",
            "--history --reason x",
            "--reason x",
            "--metrics a.txt",
            "--metrics a.prom.tmp",
            "--metrics .prom",
            "--metrics a.prom --from x",
            "--metrics a.prom --fix",
            "--metrics a.prom --history",
        ];
        for line in lines {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
