//! The agent: does what it is asked on stdin, and ends when that ends.

use std::io::{self, Read, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use hostdiag_model::{Data, Recording, Trace};
use nix::time::{ClockId, clock_gettime};

use super::frame::{CHUNK, Frame, MARK, MOST_ASKED};
use super::protocol::{PROTOCOL, Reply, Request, VERSION, talks};
use crate::fail::{Code, Failure};
use crate::host;
use crate::kernel::caps::{Capabilities, Capability};
use crate::record::{self, Control, Next, Order, Tool, busiest};
use crate::stop::Stop;

/// Time between two signs of life.
const ALIVE: Duration = Duration::from_secs(1);
/// The longest step, and the longest that a start may lie ahead.
const LONGEST: Duration = Duration::from_secs(3600);
/// Functions that it tells of.
const TOLD: usize = 24;

/// Serves until stdin ends or a signal comes.
///
/// # Errors
/// Nobody takes what it says any more; what it was asked is no request.
pub fn serve(input: impl Read + Send + 'static, out: &mut dyn Write) -> Result<()> {
    let stop = Stop::new()?;
    out.write_all(MARK)?;
    out.flush()?;
    let mut agent = Agent { requests: requests(input), out, stop, profile: None, spoken: Instant::now() };
    loop {
        match agent.request(ALIVE)? {
            Asked::Nothing => {}
            Asked::End => return Ok(()),
            Asked::Request(request) => agent.answer(request)?,
        }
    }
}

/// Reads requests, on a thread of its own that ends with the process.
fn requests(mut input: impl Read + Send + 'static) -> Receiver<io::Result<Request>> {
    let (to, from) = mpsc::sync_channel(16);
    std::thread::spawn(move || {
        loop {
            let request = match Frame::read(&mut input, MOST_ASKED) {
                Ok(None) => return,
                Ok(Some(Frame::Message(bytes))) => serde_json::from_slice(&bytes).map_err(io::Error::from),
                Ok(Some(Frame::Data(_))) => Err(io::Error::other("a frame of data is no request")),
                Err(error) => Err(error),
            };
            let failed = request.is_err();
            if to.send(request).is_err() || failed {
                return;
            }
        }
    });
    from
}

/// What there was on stdin.
enum Asked {
    Nothing,
    End,
    Request(Request),
}

struct Agent<'a> {
    requests: Receiver<io::Result<Request>>,
    out: &'a mut dyn Write,
    stop: Stop,
    /// The last profile that was recorded.
    profile: Option<Trace>,
    /// When it last said something.
    spoken: Instant,
}

impl Agent<'_> {
    fn request(&self, wait: Duration) -> Result<Asked> {
        if self.stop.requested() {
            return Ok(Asked::End);
        }
        match self.requests.recv_timeout(wait) {
            Ok(request) => request.map(Asked::Request).map_err(|error| anyhow!(error).context("bad request")),
            Err(RecvTimeoutError::Timeout) => Ok(Asked::Nothing),
            Err(RecvTimeoutError::Disconnected) => Ok(Asked::End),
        }
    }

    fn say(&mut self, reply: &Reply) -> Result<()> {
        self.spoken = Instant::now();
        Ok(Frame::Message(serde_json::to_vec(reply)?).write(self.out)?)
    }

    fn answer(&mut self, request: Request) -> Result<()> {
        match request {
            Request::Hello { protocol, tool } if protocol != PROTOCOL || !talks(VERSION, &tool) => {
                let message = format!("hostdiag {VERSION} here does not talk to hostdiag {tool}");
                self.say(&failed(None, &Failure::new(Code::VersionSkew, message).into()))
            }
            Request::Hello { .. } => {
                let caps = Capabilities::of_this_thread();
                self.say(&Reply::Hello {
                    protocol: PROTOCOL,
                    tool: VERSION.to_owned(),
                    machine: host::this().machine.unwrap_or_default(),
                    root: caps.grants(Capability::Bpf) && caps.grants(Capability::Perfmon),
                })
            }
            Request::Time => self.say(&Reply::Time { now_us: now_us() }),
            Request::Record(order) => self.record(&order),
            Request::Busiest => {
                let functions = busiest::here(self.profile.as_ref(), TOLD);
                self.say(&Reply::Busiest { functions })
            }
            // What came too late.
            Request::Begin { .. } | Request::Stop => Ok(()),
        }
    }

    fn record(&mut self, order: &Order) -> Result<()> {
        if order.duration() > LONGEST {
            let failure = Failure::new(Code::BadInput, "nobody records for longer than an hour at a time");
            self.say(&failed(None, &failure.into()))?;
        } else {
            record::step(order, self)?;
        }
        self.say(&Reply::Done)
    }
}

impl Control for Agent<'_> {
    fn ready(&mut self) -> Result<()> {
        self.say(&Reply::Ready)
    }

    fn next(&mut self, wait: Duration) -> Result<Next> {
        if self.spoken.elapsed() >= ALIVE {
            self.say(&Reply::Alive)?;
        }
        Ok(match self.request(wait)? {
            Asked::Nothing => Next::GoOn,
            Asked::End | Asked::Request(Request::Stop) => Next::End,
            Asked::Request(Request::Begin { at_us }) => {
                let ahead = Duration::from_micros(at_us.saturating_sub(now_us())).min(LONGEST);
                Next::Begin(Instant::now() + ahead)
            }
            Asked::Request(request) => {
                self.answer_meanwhile(request)?;
                Next::GoOn
            }
        })
    }

    fn part(&mut self, tool: Tool, part: Result<Recording>) -> Result<()> {
        match part {
            Ok(recording) => {
                self.send(&recording)?;
                if let (Tool::Profile, Data::Trace(trace)) = (tool, recording.data) {
                    self.profile = Some(*trace);
                }
                self.say(&Reply::Part { tool })
            }
            Err(error) => self.say(&failed(Some(tool), &error)),
        }
    }
}

impl Agent<'_> {
    /// Everything else waits until the recording has ended, or is a mistake.
    fn answer_meanwhile(&mut self, request: Request) -> Result<()> {
        match request {
            Request::Time => self.answer(request),
            other => Err(anyhow!("a request that cannot be while a recording is made: {other:?}")),
        }
    }

    /// Sends a recording, in frames.
    fn send(&mut self, recording: &Recording) -> Result<()> {
        let mut frames = io::BufWriter::with_capacity(CHUNK, Frames(&mut *self.out));
        recording.write(&mut frames)?;
        frames.flush()?;
        Ok(())
    }
}

/// What is written here goes out as frames of data.
struct Frames<'a>(&'a mut dyn Write);

impl Write for Frames<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = &bytes[..bytes.len().min(CHUNK)];
        Frame::Data(part.to_vec()).write(self.0)?;
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn failed(tool: Option<Tool>, error: &anyhow::Error) -> Reply {
    let failure = error.chain().find_map(|cause| cause.downcast_ref::<Failure>());
    Reply::Failed {
        tool,
        code: failure.map(|failure| failure.code.as_str().to_owned()),
        message: format!("{error:#}"),
        hint: failure.and_then(|failure| failure.hint.clone()),
    }
}

/// Microseconds since 1970.
pub fn now_us() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_REALTIME).map(Duration::from).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}
