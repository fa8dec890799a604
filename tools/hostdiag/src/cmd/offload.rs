//! `hostdiag offload`: which NIC offloads are lost, in which layer, and why.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::{Args as ClapArgs, ValueEnum};
use hostdiag_model::recording::Data;
use hostdiag_model::{Audit, Device, Namespace, OffloadData, Recording, matrix};
use hostdiag_report::offload as render;

use self::args::FixArgs;
use crate::fail::Status;
use crate::offload::live::{self, Scope};
use crate::offload::{from, rules, select};
use crate::output::{self, Look};

pub mod args;
mod fix;
mod metrics;
mod watch;

/// Show which NIC offloads are lost, in which layer, and why.
///
/// Reads links and features of every device, puts them into their stacks (NIC,
/// bond, VLAN, bridge, ...) and shows one entry for each loss at its root. Needs
/// no root; as root it can also tell a stuck feature from a limit of the driver,
/// and repair what is lost (--fix).
#[derive(Debug, ClapArgs)]
#[command(after_help = "Exit status: 0 no findings; 1 findings (with --strict notes too); 2 wrong usage or \
an error; 3 a repair made something worse and was rolled back; 4 a privilege or kernel feature is missing, \
or a namespace could not be read; 130 a repair was interrupted. --fix: 0 when nothing repairable is left, \
1 when something is.")]
pub struct Args {
    /// Only these interfaces and what lies below them.
    #[arg(value_name = "IFACE")]
    pub interfaces: Vec<String>,
    /// Audit this network namespace instead (a name of `ip netns`).
    #[arg(long, value_name = "NAME", conflicts_with_all = ["all_netns", "from"])]
    pub netns: Option<String>,
    /// Audit every network namespace.
    #[arg(long, conflicts_with = "from")]
    pub all_netns: bool,
    /// A table of features by layer instead of the findings.
    #[arg(long)]
    pub matrix: bool,
    /// Everything: all devices, notes, rows of the matrix.
    #[arg(long)]
    pub all: bool,
    /// Notes in full: what is off on purpose, by hardware, for a good reason.
    #[arg(long)]
    pub notes: bool,
    /// Notes count as findings (exit status 1).
    #[arg(long)]
    pub strict: bool,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Keep the recording in FILE; --from reads it again.
    #[arg(long, value_name = "FILE", value_parser = output::file_name)]
    pub output: Option<PathBuf>,
    /// Also write metrics of the whole audit to FILE, for node_exporter; its name ends with .prom.
    #[arg(long, value_name = "FILE", value_parser = metrics::file,
        conflicts_with_all = ["from", "fix", "undo", "history", "emit"])]
    pub metrics: Option<PathBuf>,
    /// Judge the text of `ethtool -k`, or a recording, of another host (`-`: stdin).
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// The links of that host, as `ip -d -j link` prints them.
    #[arg(long, value_name = "FILE", requires = "from")]
    pub links: Option<PathBuf>,
    /// Rules that make notes of findings [default: /etc/hostdiag/offload.toml].
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Repairs.
    #[command(flatten, next_help_heading = "Repair")]
    pub fix: FixArgs,
}

/// What `--format` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// The recording, as JSON lines.
    Json,
    /// What `ethtool -k` prints, and its exit status: 0.
    Ethtool,
}

/// `from::read` lets no other recording through.
const NO_AUDIT: &str = "not a recording of an audit";

/// Runs it.
pub fn run(args: &Args, look: Look) -> Result<Status> {
    if args.fix.given() {
        if args.format == Format::Ethtool {
            bail!("--format ethtool shows features, not repairs");
        }
        return fix::run(args, look);
    }
    audit(args, look)
}

/// The audit: what was read, judged and shown.
fn audit(args: &Args, look: Look) -> Result<Status> {
    let (mut recording, unread) = match &args.from {
        Some(path) => (from::read(path, args.links.as_deref())?, false),
        None => live(args)?,
    };
    let rules = rules::load(args.policy.as_deref(), args.from.is_none())?;
    let Data::Offload(data, audit) = &mut recording.data else { bail!(NO_AUDIT) };
    for warning in rules.warnings(data) {
        output::warn(&warning);
    }
    *audit = rules.audit(data, recording.started_ms);
    // What is kept is whole: other devices explain those that were asked for.
    if let Some(path) = &args.output {
        output::save(path, |out| recording.write(out))?;
    }
    if let Some(path) = &args.metrics {
        metrics::write(path, &recording, &rules)?;
    }
    let Data::Offload(data, audit) = &mut recording.data else { bail!(NO_AUDIT) };
    let devices = select::only(data, audit, &args.interfaces)?;
    let status = match status(audit, args.strict) {
        _ if args.format == Format::Ethtool => Status::Fine,
        // Nothing was found, but not everything was read.
        Status::Fine if unread => Status::Missing,
        status => status,
    };
    print(args, look, &recording, devices)?;
    Ok(status)
}

fn status(audit: &Audit, strict: bool) -> Status {
    let counts = audit.findings().count() > 0 || strict && audit.notes().any(|note| note.accepted.is_none());
    if counts { Status::Findings } else { Status::Fine }
}

/// `selected`: the namespaces with just the devices that were asked for.
fn print(args: &Args, look: Look, recording: &Recording, selected: Vec<Namespace>) -> Result<()> {
    let Data::Offload(data, audit) = &recording.data else { bail!(NO_AUDIT) };
    let text = match (args.format, args.matrix) {
        (Format::Json, true) => serde_json::to_string(&matrix::matrices(&selected, args.all))? + "\n",
        (Format::Json, false) => return Ok(output::write(|out| recording.write(out))?),
        (Format::Text, true) => render::matrix::text(&matrix::matrices(&selected, args.all), look.style()),
        (Format::Text, false) => {
            let options = render::Options { notes: args.notes, all: args.all, style: look.style() };
            let selected = OffloadData {
                namespaces: selected,
                intents: None,
                intents_incomplete: data.intents_incomplete,
                held: data.held.clone(),
            };
            render::text(recording, &selected, audit, options)
        }
        (Format::Ethtool, _) => look.for_terminal(ethtool(&selected, &args.interfaces)),
    };
    Ok(output::write(|out| out.write_all(text.as_bytes()))?)
}

/// The named devices, without what lies below them; without names all.
fn ethtool(namespaces: &[Namespace], names: &[String]) -> String {
    let devices = namespaces.iter().flat_map(|namespace| &namespace.devices);
    let named = |device: &&Device| {
        let altnames = device.link.as_ref().map(|link| link.altnames.as_slice()).unwrap_or_default();
        names.is_empty() || names.iter().any(|name| device.name == *name || altnames.contains(name))
    };
    render::ethtool::text(&devices.filter(named).collect::<Vec<_>>())
}

/// This host, and whether a namespace that was asked for could not be read.
fn live(args: &Args) -> Result<(Recording, bool)> {
    let (started_ms, clock) = (from::now_ms(), Instant::now());
    let scope = match &args.netns {
        Some(name) => Scope::Named(name.clone()),
        None if args.all_netns => Scope::All,
        None => Scope::Here,
    };
    let (data, unread) = live::data(&scope)?;
    let recording = Recording {
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        command: "offload".to_owned(),
        host: crate::host::this(),
        started_ms,
        elapsed_ms: Some(clock.elapsed().as_millis() as u64),
        side: None,
        loss: Vec::new(),
        data: Data::Offload(data, Audit::default()),
    };
    Ok((recording, unread))
}
