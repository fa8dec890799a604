//! An agent that was started: what is asked of it, and what it says, all of it bounded
//! in size and time.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::frame::{self, Frame, MARK, MOST_SAID};
use super::protocol::{PROTOCOL, Reply, Request, VERSION, talks};
use super::target::{Place, Target};
use super::{Options, push, ssh, words};
use crate::fail::{Code, Failure};

/// What a host may say before the agent does, in bytes.
pub(super) const BANNER: usize = 64 << 10;
/// What is kept of what it says on stderr, in bytes.
const STDERR: usize = 64 << 10;
/// What recordings of one host may be in all, in bytes.
const TOTAL: usize = 128 << 20;
/// The longest time to the first word of the agent: ssh has ten seconds to connect, and
/// logging in takes its time.
const CONNECT: Duration = Duration::from_secs(30);
/// The same where the program is brought along.
const PUSH: Duration = Duration::from_secs(120);
/// The longest silence: while it records, the agent gives a sign of life every second.
const SILENCE: Duration = Duration::from_secs(15);
/// How long it has to end once its stdin has.
const GRACE: Duration = Duration::from_secs(2);
/// Times that the clock is asked for.
const CLOCK_ROUNDS: usize = 5;

/// What an agent says.
pub(super) enum Heard {
    Reply(Reply),
    /// Bytes of a recording.
    Data(Vec<u8>),
    /// Nothing in the time that was waited.
    Nothing,
}

/// What was read from its stdout.
enum Said {
    /// What it begins with.
    Mark,
    Frame(Frame),
}

/// An agent that was started. Dropped, it is ended, and what it was started with.
pub(super) struct Link {
    name: String,
    options: Options,
    child: Child,
    stdin: Option<ChildStdin>,
    said: Receiver<io::Result<Said>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    /// Bytes of recordings so far.
    received: usize,
    /// When it last said something.
    heard: Instant,
    /// Whether it has said that it is there.
    is_there: bool,
    /// What it said where the agent's first word was to be.
    instead: String,
}

/// What is known of an agent.
pub(super) struct Hello {
    /// Whether it may load BPF programs.
    pub(super) root: bool,
}

impl Link {
    /// Starts an agent where `target` is, and asks who it is.
    ///
    /// # Errors
    /// Why there is none to talk to.
    pub(super) fn open(target: &Target, options: Options) -> Result<(Self, Hello), Failure> {
        let mut link = Self::start(target, options)?;
        // With --push, what is said before would be taken for the program.
        let Heard::Nothing = link.hear(link.patience())? else {
            return Err(link.broken("it does not begin as an agent"));
        };
        if !link.is_there {
            return Err(link.silent());
        }
        let asked = Request::Hello { protocol: PROTOCOL, tool: VERSION.to_owned() };
        link.say(&asked)?;
        match link.reply(link.patience())? {
            Reply::Hello { protocol, tool, root, .. } if protocol == PROTOCOL && talks(VERSION, &tool) => {
                Ok((link, Hello { root }))
            }
            Reply::Hello { tool, .. } => Err(link.skew(&tool)),
            other => Err(link.confused(&other)),
        }
    }

    fn start(target: &Target, options: Options) -> Result<Self, Failure> {
        let options = if target.place == Place::Local { Options::default() } else { options };
        let mut command = ssh::command(&target.place, options);
        let mut child = spawn(&mut command).map_err(|error| words::not_started(&command, &error))?;
        let (stdin, stdout, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let stderr = Arc::new(Mutex::new(Vec::new()));
        if let Some(errors) = errors {
            let kept = Arc::clone(&stderr);
            std::thread::spawn(move || keep(errors, &kept));
        }
        let (to, said) = mpsc::sync_channel(4);
        let uploads = if options.push { stdin.as_ref().and_then(|stdin| dup(stdin).ok()) } else { None };
        if let Some(stdout) = stdout {
            std::thread::spawn(move || {
                let failed = read(stdout, uploads, &mut |said| to.send(Ok(said)).is_ok());
                // Nobody hears it any more where the link was dropped.
                let _ = failed.map_err(|error| to.send(Err(error)));
            });
        }
        Ok(Self {
            name: target.name.clone(),
            options,
            child,
            stdin,
            said,
            stderr,
            received: 0,
            heard: Instant::now(),
            is_there: false,
            instead: String::new(),
        })
    }

    fn patience(&self) -> Duration {
        match (self.is_there, self.options.push) {
            (true, _) => SILENCE,
            (false, true) => PUSH,
            (false, false) => CONNECT,
        }
    }

    /// Asks something.
    ///
    /// # Errors
    /// It is not there any more.
    pub(super) fn say(&mut self, request: &Request) -> Result<(), Failure> {
        let bytes = serde_json::to_vec(request).map_err(|error| self.broken(&error.to_string()))?;
        let frame = Frame::Message(bytes);
        let Some(stdin) = &mut self.stdin else { return Err(self.broken("its stdin is closed")) };
        match frame.write(stdin) {
            Ok(()) => Ok(()),
            // Why is what it said last.
            Err(_) => Err(self.ended()),
        }
    }

    /// Waits for what it says, as long as that.
    ///
    /// # Errors
    /// It has ended, was silent for too long, said too much, or something that is no
    /// reply.
    pub(super) fn hear(&mut self, wait: Duration) -> Result<Heard, Failure> {
        match self.said.recv_timeout(wait) {
            Ok(Ok(said)) => {
                (self.heard, self.is_there) = (Instant::now(), true);
                match said {
                    Said::Mark => Ok(Heard::Nothing),
                    Said::Frame(frame) => self.take(frame),
                }
            }
            Ok(Err(error)) => Err(self.unreadable(error)),
            Err(RecvTimeoutError::Disconnected) => Err(self.ended()),
            Err(RecvTimeoutError::Timeout) if self.heard.elapsed() >= self.patience() => Err(self.silent()),
            Err(RecvTimeoutError::Timeout) => Ok(Heard::Nothing),
        }
    }

    fn unreadable(&mut self, error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                self.instead = if self.is_there { String::new() } else { error.to_string() };
                self.ended()
            }
            // It ended while the program was brought to it.
            io::ErrorKind::BrokenPipe => self.ended(),
            _ => match error.downcast::<Failure>() {
                Ok(failure) => Failure { message: format!("{}: {}", self.name, failure.message), ..failure },
                Err(error) => self.broken(&words::shortened(&error.to_string())),
            },
        }
    }

    fn take(&mut self, frame: Frame) -> Result<Heard, Failure> {
        match frame {
            Frame::Message(bytes) => match serde_json::from_slice(&bytes) {
                Ok(reply) => Ok(Heard::Reply(reply)),
                Err(error) => Err(self.broken(&format!("it said what is no reply: {error}"))),
            },
            Frame::Data(bytes) => {
                self.received += bytes.len();
                if self.received > TOTAL {
                    return Err(self.broken(&format!("it sent more than {} MiB", TOTAL >> 20)));
                }
                Ok(Heard::Data(bytes))
            }
        }
    }

    /// The next reply, at most that far away.
    fn reply(&mut self, within: Duration) -> Result<Reply, Failure> {
        let end = Instant::now() + within;
        loop {
            match self.hear(end.saturating_duration_since(Instant::now()))? {
                Heard::Reply(Reply::Alive) => {}
                Heard::Reply(Reply::Failed { code, message, hint, .. }) => {
                    return Err(words::of_agent(&self.name, code.as_deref(), message, hint));
                }
                Heard::Reply(reply) => return Ok(reply),
                Heard::Data(_) => return Err(self.broken("it sent a recording that nobody asked for")),
                Heard::Nothing if Instant::now() >= end => return Err(self.silent()),
                Heard::Nothing => {}
            }
        }
    }

    /// Its clock minus ours in microseconds, by the quickest of some answers; half of
    /// the time that took is how far off it may be.
    ///
    /// # Errors
    /// Those of [`Self::hear`].
    pub(super) fn clock_offset(&mut self) -> Result<i64, Failure> {
        let mut best: Option<(u64, i64)> = None;
        for _ in 0..CLOCK_ROUNDS {
            let before = super::agent::now_us();
            self.say(&Request::Time)?;
            let Reply::Time { now_us } = self.reply(SILENCE)? else {
                return Err(self.broken("it did not tell the time"));
            };
            let took = super::agent::now_us().saturating_sub(before);
            let middle = i64::try_from(before + took / 2).unwrap_or(i64::MAX);
            let offset = i64::try_from(now_us).unwrap_or(i64::MAX).saturating_sub(middle);
            if best.is_none_or(|(least, _)| took < least) {
                best = Some((took, offset));
            }
        }
        Ok(best.map_or(0, |(_, offset)| offset))
    }

    /// The functions that stand out on it.
    ///
    /// # Errors
    /// Those of [`Self::hear`].
    pub(super) fn busiest(&mut self) -> Result<Vec<crate::record::busiest::Busy>, Failure> {
        self.say(&Request::Busiest)?;
        match self.reply(SILENCE)? {
            Reply::Busiest { functions } => Ok(functions),
            other => Err(self.confused(&other)),
        }
    }

    /// An answer to another question.
    pub(super) fn confused(&self, reply: &Reply) -> Failure {
        let reply = serde_json::to_string(reply).unwrap_or_default();
        self.broken(&format!("it said what nobody asked for: {}", words::shortened(&reply)))
    }

    /// What it says makes no sense.
    pub(super) fn broken(&self, what: &str) -> Failure {
        Failure::new(Code::RemoteFailed, format!("{}: {what}", self.name))
    }

    fn silent(&self) -> Failure {
        let seconds = self.heard.elapsed().as_secs();
        let failure = self.broken(&format!("it has said nothing for {seconds} s"));
        if self.is_there { failure } else { failure.hint(words::by_hand(&self.name)) }
    }

    fn skew(&self, theirs: &str) -> Failure {
        let theirs = words::shortened(theirs);
        let message = format!("{}: hostdiag {theirs} is there, {VERSION} is here", self.name);
        Failure::new(Code::VersionSkew, message)
            .hint("one minor version apart still works; --push brings the one that is here")
    }

    /// Why it ended, from its status and what was said on stderr.
    fn ended(&mut self) -> Failure {
        let status = self.wait(GRACE);
        // The rest of stderr may still be on its way.
        std::thread::sleep(Duration::from_millis(50));
        let stderr = self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let said = format!("{}\n{}", self.instead, String::from_utf8_lossy(&stderr));
        words::ended(&self.name, self.is_there, status.and_then(|status| status.code()), &said)
    }

    /// Waits for the end, with nothing more to say.
    fn wait(&mut self, time: Duration) -> Option<ExitStatus> {
        self.stdin = None;
        let end = Instant::now() + time;
        loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
                Ok(status) => return status,
                Err(_) => return None,
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if self.wait(GRACE).is_none()
            && let Ok(pid) = i32::try_from(self.child.id())
        {
            // With what it has started, as the program of a ProxyCommand.
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// In a group of its own: Ctrl-C is for us, who then ask for the end.
fn spawn(command: &mut Command) -> io::Result<Child> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn()
}

fn dup(stdin: &ChildStdin) -> io::Result<std::fs::File> {
    use std::os::fd::AsFd;
    Ok(stdin.as_fd().try_clone_to_owned()?.into())
}

/// Brings the program where that is wanted, waits for the agent, and reads its frames.
fn read(
    stdout: ChildStdout,
    uploads: Option<std::fs::File>,
    each: &mut dyn FnMut(Said) -> bool,
) -> io::Result<()> {
    let mut input = io::BufReader::with_capacity(1 << 16, stdout);
    if let Some(mut to) = uploads {
        push::send(&mut input, &mut to)?.map_err(io::Error::other)?;
    }
    frame::skip_to(MARK, &mut input, BANNER)?;
    let mut heard = each(Said::Mark);
    while heard && let Some(frame) = Frame::read(&mut input, MOST_SAID)? {
        heard = each(Said::Frame(frame));
    }
    Ok(())
}

/// Keeps the beginning of what is said, and reads on.
fn keep(mut said: impl Read, kept: &Mutex<Vec<u8>>) {
    let mut bytes = [0; 4096];
    while let Ok(length) = said.read(&mut bytes)
        && length > 0
    {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let room = STDERR.saturating_sub(kept.len());
        kept.extend_from_slice(&bytes[..length.min(room)]);
    }
}
