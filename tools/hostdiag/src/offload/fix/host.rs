//! The kernel of this host, in the network namespace of the calling thread.

use std::io;
use std::time::Duration;

use anyhow::Result;
use hostdiag_model::plan::Identity;
use hostdiag_model::{FeatureName, Namespace};

use super::apply::Kernel;
use super::vitals::Vitals;
use crate::net::change::Changer;
use crate::net::vitals;
use crate::offload::gather;
use crate::stop::Stop;

/// The kernel, to be used by the thread that opened it.
pub struct Host<'a> {
    changer: Changer,
    stop: &'a Stop,
    beat: Option<&'a (dyn Fn() + Sync)>,
}

impl<'a> Host<'a> {
    /// Opens what changes are made with. `stop` ends a wait early; `beat` is called before
    /// each, and no wait is longer than a second.
    pub fn open(stop: &'a Stop, beat: Option<&'a (dyn Fn() + Sync)>) -> Result<Self> {
        Ok(Self { changer: Changer::open()?, stop, beat })
    }
}

impl Kernel for Host<'_> {
    fn read(&mut self) -> Result<Namespace> {
        Ok(gather::namespace(None)?.namespace)
    }

    fn set(&mut self, device: &Identity, wishes: &[(FeatureName, bool)]) -> io::Result<()> {
        self.changer.set_wanted(device, wishes)
    }

    fn recompute(&mut self, device: &Identity) -> io::Result<()> {
        self.changer.recompute(device)
    }

    fn vitals(&mut self, devices: &[u32]) -> io::Result<Vitals> {
        vitals::read(devices, vitals::now()?)
    }

    fn wait(&mut self, time: Duration) -> bool {
        if let Some(beat) = self.beat {
            beat();
        }
        self.stop.wait(time)
    }
}
